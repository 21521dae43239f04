"""Fixtures for tests of nodes: PNG bytes, and an Examples artifact made of arrays."""

import io
from pathlib import Path

import numpy as np
import pytest


def _png(image):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def png():
    """Encodes a uint8 array as PNG bytes."""
    return _png


@pytest.fixture(scope="session")
def write_examples_artifact():
    """Writes `{split: (images, labels)}` as an Examples artifact and returns the name of its folder."""

    def write(root: Path, splits: dict, shards: int = 1) -> str:
        import pyarrow as pa
        import tensorflow as tf

        from components import features
        from components.ingest import manifest

        rows = []
        for split, (images, labels) in splits.items():
            folder = root / features.split_folder(split)
            folder.mkdir(parents=True)
            parts = np.array_split(np.arange(len(images)), shards)
            for shard, part in enumerate(parts):
                path = folder / f"data_tfrecord-{shard:05d}-of-{shards:05d}"
                with tf.io.TFRecordWriter(str(path)) as writer:
                    for index in part:
                        example = tf.train.Example()
                        example.features.feature[features.IMAGE].bytes_list.value.append(_png(images[index]))
                        example.features.feature[features.LABEL].int64_list.value.append(int(labels[index]))
                        name = f"{split}/{index}.png".encode()
                        example.features.feature[features.FILE_NAME].bytes_list.value.append(name)
                        writer.write(example.SerializeToString())
            rows += [{**dict.fromkeys(manifest.SCHEMA.names), "split": split, "verdict": features.OK} for _ in images]
        # The manifest has a row for a quarantined file too, which is not an example.
        rows.append({**dict.fromkeys(manifest.SCHEMA.names), "split": features.TRAIN, "verdict": features.EMPTY})
        manifest.write_manifest(root, pa.Table.from_pylist(rows, schema=manifest.SCHEMA))
        return str(root)

    return write
