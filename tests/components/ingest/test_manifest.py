"""Manifest, labels and quarantine are read back unchanged."""

import pyarrow as pa

from components.ingest import manifest

ROWS = [
    {"file_name": "Käfer/1.png", "sha256": "ab", "label": 1, "size": 3, "width": 8, "height": 9, "split": "train",
     "verdict": "ok"},
    {"file_name": "x/2.png", "sha256": "cd", "label": 0, "size": 0, "width": None, "height": None, "split": "test",
     "verdict": "empty"},
]  # fmt: skip


def test_labels_are_read_back_in_order(tmp_path):
    labels = ["Käfer", "red panda", "10", "9"]
    manifest.write_labels(tmp_path, labels)
    assert manifest.read_labels(tmp_path) == labels
    assert (tmp_path / "labels.txt").read_text(encoding="utf-8").splitlines() == labels


def test_the_manifest_is_read_back(tmp_path):
    table = pa.Table.from_pylist(ROWS, manifest.SCHEMA)
    manifest.write_manifest(tmp_path, table.append_column("reason", [["", "0 bytes"]]))
    assert manifest.read_manifest(tmp_path).to_pylist() == ROWS
    assert manifest.read_manifest(tmp_path).column_names == manifest.SCHEMA.names


def test_the_quarantine_is_read_back(tmp_path):
    manifest.write_quarantine(tmp_path, ROWS)
    assert manifest.read_quarantine(tmp_path) == ROWS
    manifest.write_quarantine(tmp_path, [])
    assert manifest.read_quarantine(tmp_path) == []
