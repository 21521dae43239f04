"""Cuts the splits that a data set lacks: per class, by a seeded hash of the content, to exact totals."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction

from components.errors import UsageError
from components.features import TEST, TRAIN, VALIDATION

_CLASS_SPLITS_FROM = 3  # distinct images of a class from which on each split gets one at least


def assign_splits(
    labels: Sequence[int],
    given: Sequence[str],
    contents: Sequence[bytes],
    validation_share: float,
    test_share: float,
    seed: int,
) -> list[str]:
    """The split of every image.

    Images whose split is given keep it. Of the others, `test_share` becomes the test split where nothing is given as
    test, `validation_share` the validation split where nothing is given as validation, and the rest trains. Both shares
    are of the images to be cut, and are kept per class and in total by the method of largest remainders. Which images
    go where is decided by a hash of seed and content: copies of one image stay together, and an image keeps its place
    when others come and go, but for those at the border.

    Args:
        labels: Class of each image.
        given: "train", "validation", "test", or "" for an image to be cut.
        contents: SHA-256 of each image.
        validation_share: 0 to 1.
        test_share: 0 to 1.
        seed: Another seed cuts otherwise.

    Returns:
        "train", "validation" or "test" for each image.

    Raises:
        UsageError: A share is not between 0 and 1, or they leave nothing to train on.
    """
    wanted = {TEST: test_share, VALIDATION: validation_share}
    shares = {split: share for split, share in wanted.items() if split not in set(given)}
    _check_shares(shares)
    splits = list(given)
    groups = _copies(labels, given, contents)
    sizes = {label: sum(map(len, members.values())) for label, members in groups.items()}
    quotas = {split: _quotas(sizes, share) for split, share in shares.items()}
    for label, members in groups.items():
        room = {split: quota[label] for split, quota in quotas.items()}
        if len(members) >= _CLASS_SPLITS_FROM:
            room = {split: max(1, count) for split, count in room.items()}
        for content in sorted(members, key=lambda content: seeded_hash(seed, "split", content)):
            copies = members[content]
            split = next((split for split in room if len(copies) <= room[split]), TRAIN)
            if split != TRAIN:
                room[split] -= len(copies)
            for index in copies:
                splits[index] = split
    return splits


def seeded_hash(seed: int, use: str, content: bytes) -> bytes:
    """Eight bytes that look random, the same for the same seed, use and content.

    Args:
        seed: Of the run.
        use: What it decides; two uses share no order.
        content: SHA-256 of an image.
    """
    return hashlib.blake2b(content, digest_size=8, key=f"{use} {seed}".encode()).digest()


def _check_shares(shares: Mapping[str, float]) -> None:
    for split, share in shares.items():
        if not 0 < share < 1:
            raise UsageError(f"--{split}-share is {share}: give a number between 0 and 1, such as 0.1.")
    if sum(shares.values()) >= 1:
        raise UsageError(
            f"--validation-share and --test-share are {sum(shares.values())} together: leave some to train on."
        )


def _copies(
    labels: Sequence[int], given: Sequence[str], contents: Sequence[bytes]
) -> dict[int, dict[bytes, list[int]]]:
    """Class -> content -> images to be cut; an image that occurs in two classes counts with the first."""
    groups: dict[int, dict[bytes, list[int]]] = defaultdict(dict)
    first_label: dict[bytes, int] = {}
    for index, (label, split, content) in enumerate(zip(labels, given, contents, strict=True)):
        if not split:
            home = first_label.setdefault(content, label)
            groups[home].setdefault(content, []).append(index)
    return groups


def _quotas(sizes: Mapping[int, int], share: float) -> dict[int, int]:
    """How many images of each class make up the share, in whole numbers whose total is right."""
    exact = {label: Fraction(share) * size for label, size in sizes.items()}
    quotas = {label: int(part) for label, part in exact.items()}
    missing = round(Fraction(share) * sum(sizes.values())) - sum(quotas.values())
    by_remainder = sorted(sizes, key=lambda label: (quotas[label] - exact[label], label))
    for label in by_remainder[:missing]:
        quotas[label] += 1
    return quotas
