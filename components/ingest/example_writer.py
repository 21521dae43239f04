"""Writing of a source as an Examples artifact: sharded TFRecords, and the record of the ingest beside them."""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.errors import GateRefused, VisionTfxError
from components.features import OK, SPLITS, split_folder
from components.ingest import manifest
from components.ingest.shard_writer import PARTS, write_shard
from components.ingest.shards import Shard, plan_shards
from components.ingest.write_errors import user_errors
from components.sources.content_hashes import ContentHashes
from components.sources.source import Source


def write_examples(
    source: Source,
    destination: Path,
    hashes: ContentHashes,
    validation_share: float,
    test_share: float,
    seed: int,
    pipeline_factory: Callable[[], beam.Pipeline],
    stored_size: int | None = None,
) -> Counter:
    """Writes the examples of a source, its labels, the manifest and the quarantine file into an empty folder.

    Each Beam element is the work list of one shard, so that a worker holds only a few images per core in memory.
    Records are written in an order that depends on seed and content: a reader of the first records meets all classes.

    Args:
        source: The images.
        destination: Folder for `Split-<name>/`, labels.txt, manifest.parquet and quarantine.jsonl; empty after a
            failure.
        hashes: Cache of the content hashes of the source's files.
        validation_share: Share of the images without a split that becomes the validation split, 0 to 1.
        test_share: Share of the images without a split that becomes the test split, 0 to 1.
        seed: Seed of splits and order.
        pipeline_factory: Creates the Beam pipeline that writes the shards.
        stored_size: Side in pixels of the square JPEGs to store; None stores every image at its own size.

    Returns:
        Number of files by (split, verdict).

    Raises:
        GateRefused: Not one file can be used.
        VisionTfxError: A file changed since it was listed, the disk is full, or the numbers of listed and written
            files differ.
    """
    try:
        with user_errors(destination):
            items = source.items(hashes)
            shards = plan_shards(items, validation_share, test_share, seed)
            _prepare_folders(destination)
            with pipeline_factory() as pipeline:
                _ = (
                    pipeline
                    | "Shards" >> beam.Create(shards)
                    | "Spread" >> beam.Reshuffle()
                    | "Write"
                    >> beam.Map(
                        write_shard,
                        read=source.reader,
                        labels=source.labels,
                        destination=destination,
                        kinds=source.kinds,
                        stored_size=stored_size,
                    )
                )
            counts = _write_records(source, shards, destination, stored_size)
    except BaseException:
        _empty(destination)
        raise
    logging.info("%s: %s", source.name, {f"{split} {verdict}": count for (split, verdict), count in counts.items()})
    return counts


def _write_records(source: Source, shards: Sequence[Shard], destination: Path, stored_size: int | None) -> Counter:
    """Joins the rows of all shards into manifest and quarantine, and checks that no file was lost or doubled."""
    parts = sorted((destination / PARTS).iterdir())
    table = pa.concat_tables([pq.read_table(part) for part in parts])
    table = table.sort_by([("split", "ascending"), ("file_name", "ascending")])
    listed = sum(len(shard.items) for shard in shards)
    if table.num_rows != listed or len(parts) != len(shards):
        raise VisionTfxError(
            f"{source.name} lists {listed} files but {table.num_rows} were written or quarantined; run again"
        )
    broken = table.filter(pc.not_equal(table["verdict"], OK))
    if broken.num_rows == table.num_rows:
        examples = ", ".join(f"{row['file_name']}: {row['reason']}" for row in broken.slice(0, 3).to_pylist())
        raise GateRefused(f"none of the {listed} files of {source.name} can be used ({examples}); check the data set")
    manifest.write_manifest(destination, table, stored_size)
    manifest.write_labels(destination, source.labels)
    rows = [row | {"label_name": _name_of(row["label"], source.labels)} for row in broken.to_pylist()]
    manifest.write_quarantine(destination, rows)
    shutil.rmtree(destination / PARTS)
    return Counter(zip(table["split"].to_pylist(), table["verdict"].to_pylist(), strict=True))


def _name_of(label: int, labels: Sequence[str]) -> str | None:
    return labels[label] if 0 <= label < len(labels) else None


def _prepare_folders(destination: Path) -> None:
    for name in (PARTS, *map(split_folder, SPLITS)):
        (destination / name).mkdir(parents=True)


def _empty(destination: Path) -> None:
    for path in destination.iterdir() if destination.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
