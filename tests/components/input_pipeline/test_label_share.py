"""Choice of the labelled images when only a share has labels."""

import hashlib
import itertools

import pyarrow as pa
import pytest

from components.ingest import manifest
from components.input_pipeline.label_share import labelled_subset

SIZES = {0: 100, 1: 40, 2: 3}


@pytest.fixture(scope="module")
def table():
    empty = dict.fromkeys(manifest.SCHEMA.names)
    rows = [
        {**empty, "file_name": f"{label}/{i}", "sha256": hashlib.sha256(f"{label} {i}".encode()).hexdigest()}
        | {"label": label, "split": split, "verdict": verdict}
        for split, verdict, shift in (("train", "ok", 0), ("test", "ok", 1000), ("train", "truncated", 2000))
        for label, size in SIZES.items()
        for i in range(shift, shift + size)
    ]
    return pa.Table.from_pylist(rows, schema=manifest.SCHEMA)


def of_class(names, label):
    return [name for name in names if name.startswith(f"{label}/")]


@pytest.mark.parametrize(
    ("share", "counts"), [(0.01, (1, 1, 1)), (0.1, (10, 4, 1)), (0.5, (50, 20, 2)), (1, (100, 40, 3))]
)
def test_every_class_has_its_share_of_good_training_images(table, share, counts):
    names = labelled_subset(table, ["train"], share, seed=1)
    assert tuple(len(of_class(names, label)) for label in SIZES) == counts
    assert all(int(name.split("/")[1]) < 1000 for name in names)
    assert len(set(names)) == len(names)


def test_a_larger_share_holds_a_smaller_one(table):
    shares = [set(labelled_subset(table, ["train"], share, seed=1)) for share in (0.01, 0.05, 0.1, 0.7)]
    assert all(small < large for small, large in itertools.pairwise(shares))


def test_a_seed_chooses_the_same_images_in_any_order_of_the_manifest_and_another_seed_others(table):
    backwards = table.take(list(range(len(table)))[::-1])
    assert labelled_subset(table, ["train"], 0.1, seed=1) == labelled_subset(backwards, ["train"], 0.1, seed=1)
    assert labelled_subset(table, ["train"], 0.1, seed=1) != labelled_subset(table, ["train"], 0.1, seed=2)
