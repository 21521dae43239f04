"""Training with few labels: which images have one, as if nobody had labelled the others."""

from collections import defaultdict
from collections.abc import Sequence

import pyarrow as pa

from components.features import OK
from components.ingest.splitting import seeded_hash


def labelled(manifest: pa.Table, splits: Sequence[str], share: float, seed: int) -> list[str]:
    """File names of the images whose labels are used: the same share of every class, at least one image each.

    Which ones is decided by a hash of seed and content. A larger share holds all that a smaller one does, so that
    points of a curve over shares differ in what was added alone.

    Args:
        manifest: Of the Examples artifact.
        splits: To choose from.
        share: Above 0, up to 1.
        seed: Another seed chooses others.

    Returns:
        Sorted file names.
    """
    columns = ["file_name", "sha256", "label", "split", "verdict"]
    by_class: dict[int, list[tuple[bytes, str]]] = defaultdict(list)
    for row in manifest.select(columns).to_pylist():
        if row["split"] in splits and row["verdict"] == OK:
            place = seeded_hash(seed, "label", bytes.fromhex(row["sha256"]))
            by_class[row["label"]].append((place, row["file_name"]))
    chosen = [sorted(members)[: max(1, round(share * len(members)))] for members in by_class.values()]
    return sorted(name for members in chosen for _, name in members)
