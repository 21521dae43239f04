"""Assignment of images to the splits that a data set lacks: per class, by a seeded hash, with exact totals."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction

from components.errors import UsageError
from components.features import TEST, TRAIN, VALIDATION

_CLASS_SPLITS_FROM = 3  # smallest number of distinct images of a class with which every split gets one of them


def assign_splits(
    labels: Sequence[int],
    given: Sequence[str],
    contents: Sequence[bytes],
    validation_share: float,
    test_share: float,
    seed: int,
) -> list[str]:
    """Assigns a split to every image.

    Images with a given split keep it. Of the others, `test_share` becomes the test split if no image has it yet,
    `validation_share` becomes the validation split if no image has it yet, and the rest becomes the train split. The
    shares are kept per class and in total by the method of largest remainders. A hash of seed and content decides which
    image goes where: copies of an image stay together, and an image keeps its split when others are added or removed,
    except for the few at the border between two splits.

    Args:
        labels: Class of each image.
        given: Split of each image, "train", "validation" or "test"; "" for an image without a split.
        contents: SHA-256 of each image, 32 bytes.
        validation_share: Share of the images without a split, above 0 and below 1.
        test_share: Share of the images without a split, above 0 and below 1.
        seed: Seed of the hash.

    Returns:
        "train", "validation" or "test" for each image.

    Raises:
        UsageError: A share is not between 0 and 1, or the shares leave no image for training.

    Example:
        >>> import collections, hashlib
        >>> images = [hashlib.sha256(bytes([number])).digest() for number in range(100)]
        >>> splits = assign_splits([0] * 100, [""] * 100, images, validation_share=0.1, test_share=0.2, seed=1)
        >>> sorted(collections.Counter(splits).items())
        [('test', 20), ('train', 70), ('validation', 10)]
    """
    wanted = {TEST: test_share, VALIDATION: validation_share}
    shares = {split: share for split, share in wanted.items() if split not in set(given)}
    _check_shares(shares)
    splits = list(given)
    groups = _copies(labels, given, contents)
    sizes = {label: sum(map(len, members.values())) for label, members in groups.items()}
    quotas = {split: _quotas(sizes, share) for split, share in shares.items()}
    for label, members in groups.items():
        left = {split: quota[label] for split, quota in quotas.items()}
        if len(members) >= _CLASS_SPLITS_FROM:
            left = {split: max(1, count) for split, count in left.items()}
        for content in sorted(members, key=lambda content: seeded_hash(seed, "split", content)):
            copies = members[content]
            split = next((split for split in left if len(copies) <= left[split]), TRAIN)
            if split != TRAIN:
                left[split] -= len(copies)
            for index in copies:
                splits[index] = split
    return splits


def seeded_hash(seed: int, use: str, content: bytes) -> bytes:
    """Returns a pseudorandom number for an image as eight bytes; images sorted by it are shuffled.

    Args:
        seed: Seed of the run.
        use: Name of the decision, so that two decisions are independent.
        content: SHA-256 of the image, 32 bytes.
    """
    return hashlib.blake2b(content, digest_size=8, key=f"{use} {seed}".encode()).digest()


def _check_shares(shares: Mapping[str, float]) -> None:
    for split, share in shares.items():
        if not 0 < share < 1:
            raise UsageError(f"--{split}-share is {share}; use a number between 0 and 1, such as 0.1")
    if sum(shares.values()) >= 1:
        raise UsageError(
            f"--validation-share and --test-share add up to {sum(shares.values())}; use less than 1 in total"
        )


def _copies(
    labels: Sequence[int], given: Sequence[str], contents: Sequence[bytes]
) -> dict[int, dict[bytes, list[int]]]:
    """Maps class -> content -> indices of images without a split; an image in two classes counts for the first."""
    groups: dict[int, dict[bytes, list[int]]] = defaultdict(dict)
    first_label: dict[bytes, int] = {}
    for index, (label, split, content) in enumerate(zip(labels, given, contents, strict=True)):
        if not split:
            home = first_label.setdefault(content, label)
            groups[home].setdefault(content, []).append(index)
    return groups


def _quotas(sizes: Mapping[int, int], share: float) -> dict[int, int]:
    """Returns the number of images of each class that make up the share; the total is exact."""
    exact = {label: Fraction(share) * size for label, size in sizes.items()}
    quotas = {label: int(part) for label, part in exact.items()}
    missing = round(Fraction(share) * sum(sizes.values())) - sum(quotas.values())
    by_remainder = sorted(sizes, key=lambda label: (quotas[label] - exact[label], label))
    for label in by_remainder[:missing]:
        quotas[label] += 1
    return quotas
