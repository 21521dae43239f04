"""Distribution of the images over splits and output files."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from components.features import SPLITS, split_folder
from components.ingest.splitting import assign_splits, seeded_hash
from components.sources.source import Item

SHARD_BYTES = 128 * 2**20  # few enough files for ImageNet (1,100), large enough for sequential reads
SHARD_IMAGES = 16_384  # so that several readers share small images too: MNIST's train split has 4 shards


@dataclass(frozen=True)
class Shard:
    """Work list of one output file.

    Args:
        split: Name of the split.
        index: Number of the shard within its split, from 0.
        total: Number of shards of the split.
        items: Images in the order in which they are written.

    Example:
        >>> Shard("train", index=0, total=4, items=()).file_name
        'Split-train/data_tfrecord-00000-of-00004'
    """

    split: str
    index: int
    total: int
    items: Sequence[Item]

    @property
    def file_name(self) -> str:
        """Path below the artifact: TFX's own name without .gz, because decompression would be the bottleneck."""
        return f"{split_folder(self.split)}/data_tfrecord-{self.index:05d}-of-{self.total:05d}"


def plan_shards(items: Sequence[Item], validation_share: float, test_share: float, seed: int) -> list[Shard]:
    """Distributes the images over splits and shards.

    The order within a split depends on seed and content only, so that every shard holds all classes in random order.

    Args:
        items: All images of a source.
        validation_share: Share of the images without a split that becomes the validation split, 0 to 1.
        test_share: Share of the images without a split that becomes the test split, 0 to 1.
        seed: Seed of splits and order.

    Returns:
        Shards of at most `SHARD_BYTES` and `SHARD_IMAGES`, or of one image that is larger; at least one per split.
    """
    splits = assign_splits(
        [item.label for item in items],
        [item.split for item in items],
        [item.sha256 for item in items],
        validation_share,
        test_share,
        seed,
    )
    members: dict[str, list[Item]] = {split: [] for split in SPLITS}
    for item, split in zip(items, splits, strict=True):
        members[split].append(item)
    shards = []
    for split, chosen in members.items():
        chosen.sort(key=lambda item: (seeded_hash(seed, "order", item.sha256), item.name))
        parts = _cut(chosen)
        shards += [Shard(split, index, len(parts), part) for index, part in enumerate(parts)]
    return shards


def _cut(items: Sequence[Item]) -> list[Sequence[Item]]:
    """Cuts a list into parts of even length; an empty list into one, because TFX cannot read a split without a file."""
    size = sum(item.size for item in items)
    parts = max(1, -(-size // SHARD_BYTES), -(-len(items) // SHARD_IMAGES))
    bounds = [len(items) * part // parts for part in range(parts + 1)]
    return [items[start:end] for start, end in pairwise(bounds)]
