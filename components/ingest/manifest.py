"""Record of an ingest, beside the splits of the Examples artifact.

labels.txt          one class name per line, in index order
manifest.parquet    one row per file of the source (columns: `SCHEMA`)
quarantine.jsonl    one JSON object per file that was left out, with the reason
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.features import JPEG_QUALITY, LABELS_FILE, MANIFEST_FILE, OK, QUARANTINE_FILE, SPLITS

SCHEMA = pa.schema(
    [
        ("file_name", pa.string()),
        ("sha256", pa.string()),  # hexadecimal, of the source's bytes
        ("label", pa.int64()),
        ("size", pa.int64()),  # bytes
        ("width", pa.int64()),  # pixels of the source's file; null if unknown
        ("height", pa.int64()),  # pixels of the source's file; null if unknown
        ("split", pa.string()),
        ("verdict", pa.string()),  # a verdict of `components.features`
    ]
)


def write_labels(folder: Path, labels: Sequence[str]) -> None:
    """Writes the class names to labels.txt, one per line.

    Args:
        folder: Folder of the Examples artifact.
        labels: Class names in index order.
    """
    (folder / LABELS_FILE).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")


def read_labels(folder: Path) -> list[str]:
    """Returns the class names in index order."""
    return (folder / LABELS_FILE).read_text(encoding="utf-8").splitlines()


def write_manifest(folder: Path, manifest: pa.Table, stored_size: int | None = None) -> None:
    """Writes the manifest.

    Args:
        folder: Folder of the Examples artifact.
        manifest: One row per file; columns that are not in `SCHEMA` are dropped.
        stored_size: Side in pixels of the stored square JPEGs, written to the table's metadata together with their
            quality; None if the images are stored at their own sizes.

    Example:
        >>> import tempfile
        >>> row = {"file_name": "cat/1.png", "label": 0, "size": 96, "split": "train", "verdict": OK}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_manifest(Path(folder), pa.Table.from_pylist([row], schema=SCHEMA), stored_size=256)
        ...     count_images(Path(folder)), read_stored_size(Path(folder))
        ({'train': 1, 'validation': 0, 'test': 0}, 256)
    """
    table = manifest.select(SCHEMA.names).cast(SCHEMA)
    if stored_size is not None:
        table = table.replace_schema_metadata({"stored_size": str(stored_size), "jpeg_quality": str(JPEG_QUALITY)})
    pq.write_table(table, folder / MANIFEST_FILE)


def read_manifest(folder: Path) -> pa.Table:
    """Returns one row per file of the source, sorted by split and file name."""
    return pq.read_table(folder / MANIFEST_FILE)


def read_stored_size(folder: Path) -> int | None:
    """Returns the side in pixels of the stored square JPEGs; None if the images are stored at their own sizes."""
    size = (pq.read_schema(folder / MANIFEST_FILE).metadata or {}).get(b"stored_size")
    return int(size) if size else None


def count_images(folder: Path) -> dict[str, int]:
    """Returns the number of examples in each split."""
    columns = pq.read_table(folder / MANIFEST_FILE, columns=["split"], filters=[("verdict", "=", OK)])["split"]
    found = {entry["values"]: entry["counts"] for entry in columns.value_counts().to_pylist()}
    return {split: found.get(split, 0) for split in SPLITS}


def write_quarantine(folder: Path, rows: Sequence[dict]) -> None:
    """Writes one JSON object per line.

    Args:
        folder: Folder of the Examples artifact.
        rows: The manifest's columns, "reason" and "label_name" of every file that was left out.
    """
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / QUARANTINE_FILE).write_text("".join(lines), encoding="utf-8")


def read_quarantine(folder: Path) -> list[dict]:
    """Returns the rows that `write_quarantine` wrote."""
    with (folder / QUARANTINE_FILE).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
