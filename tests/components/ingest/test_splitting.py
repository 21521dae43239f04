"""Splits are exact in total, proportional per class and stable, and never separate two copies of an image."""

import hashlib
from collections import Counter

import pytest

from components.errors import UsageError
from components.ingest.splitting import assign_splits


def contents(count, prefix=""):
    return [hashlib.sha256(f"{prefix}{index}".encode()).digest() for index in range(count)]


def cut(labels, validation_share=0.1, test_share=0.1, seed=1, given=None, hashes=None):
    given = given or [""] * len(labels)
    return assign_splits(labels, given, hashes or contents(len(labels)), validation_share, test_share, seed)


def test_digits_are_cut_80_10_10():
    counts = Counter(cut([index % 10 for index in range(1797)]))
    assert counts == {"train": 1437, "validation": 180, "test": 180}


def test_mnist_gives_5000_of_its_60000_training_images_to_validation():
    per_class = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    labels = [label for label, count in enumerate(per_class) for _ in range(count)] + [0] * 10_000
    splits = cut(labels, validation_share=1 / 12, given=[""] * 60_000 + ["test"] * 10_000)
    assert Counter(splits) == {"train": 55_000, "validation": 5_000, "test": 10_000}


def test_every_class_gets_its_share():
    labels = [0] * 1000 + [1] * 500 + [2] * 30
    splits = cut(labels)
    assert Counter(zip(labels, splits, strict=True)) == {
        (0, "train"): 800, (0, "validation"): 100, (0, "test"): 100,
        (1, "train"): 400, (1, "validation"): 50, (1, "test"): 50,
        (2, "train"): 24, (2, "validation"): 3, (2, "test"): 3,
    }  # fmt: skip


def test_a_small_class_is_in_every_split():
    splits = cut([0] * 100 + [1] * 3)
    assert set(splits[100:]) == {"train", "validation", "test"}


def test_given_splits_stay_and_only_missing_ones_are_cut():
    given = ["train"] * 20 + ["validation"] * 5 + ["test"] * 5
    assert cut([0] * 30, given=given) == given
    splits = cut([0] * 30, given=[""] * 20 + ["test"] * 10)
    assert Counter(splits[:20]) == {"train": 18, "validation": 2}


def test_copies_stay_together_even_across_classes():
    hashes = [content for content in contents(200) for _ in range(2)]
    labels = [index % 3 for index in range(400)]
    splits = cut(labels, hashes=hashes)
    assert splits[0::2] == splits[1::2]
    assert {"validation", "test"} < set(splits)


def test_order_and_place_do_not_matter_but_the_seed_does():
    labels = [index % 2 for index in range(100)]
    hashes = contents(100)
    splits = cut(labels, hashes=hashes)
    assert cut(labels[::-1], hashes=hashes[::-1]) == splits[::-1]
    assert cut(labels, hashes=hashes, seed=2) != splits


def test_most_images_keep_their_split_when_others_are_added():
    before = cut([0] * 1000, hashes=contents(1000))
    after = cut([0] * 1100, hashes=contents(1000) + contents(100, "new"))
    assert sum(a != b for a, b in zip(before, after, strict=False)) < 30


@pytest.mark.parametrize(("validation_share", "test_share"), [(0, 0.1), (0.1, 1), (-0.1, 0.1), (0.6, 0.5)])
def test_shares_that_leave_a_split_empty_are_refused(validation_share, test_share):
    with pytest.raises(UsageError, match="share"):
        cut([0] * 10, validation_share, test_share)


def test_a_share_that_is_not_used_is_not_checked():
    cut([0] * 10, test_share=0, given=[""] * 8 + ["test"] * 2)
