"""Choice of the labelled images for a training with few labels, as if the other images had none."""

from collections import defaultdict
from collections.abc import Sequence

import pyarrow as pa

from components.features import OK
from components.ingest.splitting import seeded_hash


def labelled_subset(manifest: pa.Table, splits: Sequence[str], share: float, seed: int) -> list[str]:
    """Chooses the images whose labels are used: the same share of every class, at least one image each.

    A hash of seed and content decides. A larger share contains every smaller one, so that neighbouring points of a
    curve over shares differ only in the images that were added.

    Args:
        manifest: Manifest of the Examples artifact, see `components.ingest.manifest`.
        splits: Splits to choose from.
        share: Share of the labels, above 0 and up to 1.
        seed: Seed of the hash.

    Returns:
        Sorted file names.

    Example:
        >>> import hashlib
        >>> digests = [hashlib.sha256(bytes([number])).hexdigest() for number in range(10)]
        >>> rows = [
        ...     {"file_name": str(number), "sha256": digest, "label": number % 2, "split": "train", "verdict": "ok"}
        ...     for number, digest in enumerate(digests)
        ... ]
        >>> labelled_subset(pa.Table.from_pylist(rows), ["train"], share=0.4, seed=1)
        ['0', '2', '5', '7']
    """
    columns = ["file_name", "sha256", "label", "split", "verdict"]
    by_class: dict[int, list[tuple[bytes, str]]] = defaultdict(list)
    for row in manifest.select(columns).to_pylist():
        if row["split"] in splits and row["verdict"] == OK:
            place = seeded_hash(seed, "label", bytes.fromhex(row["sha256"]))
            by_class[row["label"]].append((place, row["file_name"]))
    chosen = [sorted(members)[: max(1, round(share * len(members)))] for members in by_class.values()]
    return sorted(name for members in chosen for _, name in members)
