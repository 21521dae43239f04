"""The record of an ingest, beside the splits of the Examples artifact: every file, what became of it, and why.

labels.txt          one class name a line, in index order
manifest.parquet    one row per file of the source
quarantine.jsonl    one line per file that was left out, with the reason
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.features import LABELS_FILE, MANIFEST_FILE, QUARANTINE_FILE, SPLITS
from components.ingest.image_inspection import OK
from components.ingest.stored_image import JPEG_QUALITY

# Verdict of an image whose label is not the index of a class; the others are in components.ingest.image_inspection.
BAD_LABEL = "label out of range"

SCHEMA = pa.schema(
    [
        ("file_name", pa.string()),
        ("sha256", pa.string()),  # hexadecimal, of the source's bytes
        ("label", pa.int64()),
        ("size", pa.int64()),  # bytes
        ("width", pa.int64()),  # pixels of the source's file; null where unknown
        ("height", pa.int64()),
        ("split", pa.string()),
        ("verdict", pa.string()),
    ]
)


def write_labels(folder: Path, labels: Sequence[str]) -> None:
    """Writes the class names, one a line."""
    (folder / LABELS_FILE).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")


def read_labels(folder: Path) -> list[str]:
    """The class names in index order."""
    return (folder / LABELS_FILE).read_text(encoding="utf-8").splitlines()


def write_manifest(folder: Path, manifest: pa.Table, stored_size: int | None = None) -> None:
    """Writes the rows (columns of `SCHEMA`); a stored size (pixels) and its JPEG quality are the table's metadata."""
    table = manifest.select(SCHEMA.names).cast(SCHEMA)
    if stored_size is not None:
        table = table.replace_schema_metadata({"stored_size": str(stored_size), "jpeg_quality": str(JPEG_QUALITY)})
    pq.write_table(table, folder / MANIFEST_FILE)


def read_manifest(folder: Path) -> pa.Table:
    """One row per file of the source, in the order of splits and file names."""
    return pq.read_table(folder / MANIFEST_FILE)


def read_stored_size(folder: Path) -> int | None:
    """Pixels a side of every image, all of which are square JPEGs, or none where files are kept as they came."""
    size = (pq.read_schema(folder / MANIFEST_FILE).metadata or {}).get(b"stored_size")
    return int(size) if size else None


def count_images(folder: Path) -> dict[str, int]:
    """Number of images in each split's examples."""
    columns = pq.read_table(folder / MANIFEST_FILE, columns=["split"], filters=[("verdict", "=", OK)])["split"]
    found = {entry["values"]: entry["counts"] for entry in columns.value_counts().to_pylist()}
    return {split: found.get(split, 0) for split in SPLITS}


def write_quarantine(folder: Path, rows: Sequence[dict]) -> None:
    """Writes one JSON object a line: the manifest's columns and "reason"."""
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / QUARANTINE_FILE).write_text("".join(lines), encoding="utf-8")


def read_quarantine(folder: Path) -> list[dict]:
    """The files that were left out, each with the manifest's columns and "reason"."""
    with (folder / QUARANTINE_FILE).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
