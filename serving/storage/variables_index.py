"""Reader of `variables.index`, which records how many data files there are and how long each is at least.

The file is a LevelDB table of serialized `BundleEntryProto`s by variable, with a `BundleHeaderProto` under the empty
key; see TensorFlow's tensor_bundle.h and table/format.cc. TensorFlow's own reader opens the data files as well, which
are not there yet while a version is being copied.
"""

from collections.abc import Iterator

from serving.protobuf.wire import fields, number, varint

_FOOTER, _MAGIC = 48, bytes.fromhex("57fb808b247547db")
_TRAILER = 5  # bytes after each block: compression (TensorFlow writes 0, none) and a checksum
_NUM_SHARDS = 1  # of BundleHeaderProto
_SHARD, _OFFSET, _SIZE = 3, 4, 5  # of BundleEntryProto
_MAX_SHARDS = 99_999  # file names have five digits


def shard_sizes(index: bytes) -> list[int]:
    """Returns the number of bytes that each data file must have at least, by shard.

    Args:
        index: Content of `variables.index`.

    Raises:
        ValueError: The index is truncated, or is not an index.
    """
    data = memoryview(index)
    if len(data) < _FOOTER or data[-8:] != _MAGIC:
        raise ValueError("the table's footer is missing")
    _, _, position = _block(data, len(data) - _FOOTER)  # skips the handle of the meta index
    start, size, _ = _block(data, position)
    sizes: list[int] = []
    for _, handle in _entries(_contents(data, start, size)):
        start, size, _ = _block(handle, 0)
        for key, value in _entries(_contents(data, start, size)):
            found = {name: number(field) for name, field in fields(value) if isinstance(field, int)}
            if not key:
                shards = found.get(_NUM_SHARDS, 0)
                if not 0 < shards <= _MAX_SHARDS:
                    raise ValueError(f"{shards} shards")
                sizes = [0] * shards
                continue
            shard = found.get(_SHARD, 0)
            if shard >= len(sizes):
                raise ValueError(f"shard {shard} of {len(sizes)}")
            sizes[shard] = max(sizes[shard], found.get(_OFFSET, 0) + found.get(_SIZE, 0))
    if not sizes:
        raise ValueError("the header is missing")
    return sizes


def _block(data: memoryview, position: int) -> tuple[int, int, int]:
    start, position = varint(data, position)
    size, position = varint(data, position)
    return start, size, position


def _contents(data: memoryview, start: int, size: int) -> memoryview:
    if start + size + _TRAILER > len(data):
        raise ValueError("a block is truncated")
    if data[start + size]:
        raise ValueError("a block is compressed")
    return data[start : start + size]


def _entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    position, key = 0, b""
    while position < end:
        shared, position = varint(block, position)
        unshared, position = varint(block, position)
        size, position = varint(block, position)
        if position + unshared + size > end:
            raise ValueError("an entry is truncated")
        key = key[:shared] + bytes(block[position : position + unshared])
        position += unshared
        yield key, block[position : position + size]
        position += size
