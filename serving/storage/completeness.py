"""Check whether a SavedModel is completely written, by what its files record about each other."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from serving.protobuf.wire import fields, message
from serving.storage.variables_index import shard_sizes

_GRAPHS = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")
_INDEX = "variables/variables.index"
_NO_GRAPH = "Could not find SavedModel .pb or .pbtxt at supplied export directory path"
# Larger graphs carry their weights as constants; reading them twice would cost more than the check saves.
_MAX_READ = 256 * 1024 * 1024
# Field numbers of the protobuf messages
_META_GRAPHS = 2  # of SavedModel
_GRAPH, _SAVER, _ASSETS = 2, 3, 6  # of MetaGraphDef
_NODES, _OP, _FILE_NAME = 1, 2, 2  # of GraphDef, NodeDef, AssetFileDef
_VARIABLES = {b"VarHandleOp", b"VariableV2", b"Variable"}


@dataclass(frozen=True)
class Unfinished:
    """Reason why a SavedModel is not complete.

    Args:
        reason: The reason, as one clause.
        certain: Whether the SavedModel certainly cannot be loaded. If not, it is unusual, and TensorFlow judges it once
            it has not changed for a while.
    """

    reason: str
    certain: bool


def unfinished(folder: str, sizes: Mapping[str, int], read: Callable[[str], bytes]) -> Unfinished | None:
    """Returns the reason why a SavedModel is not complete; None if it is.

    Args:
        folder: Path or URI of the SavedModel, for the message.
        sizes: Sizes in bytes of all its files, by path within the folder, with "/".
        read: Returns the content of a file.

    Example:
        >>> unfinished("/models/m/1", {"variables/variables.index": 8}, {}.__getitem__).reason
        'Could not find SavedModel .pb or .pbtxt at supplied export directory path: /models/m/1'
        >>> unfinished("/models/m/1", {"saved_model.pb": 4}, lambda name: bytes([8, 1, 18, 0])) is None
        True
    """
    graph = next((name for name in _GRAPHS if name in sizes), None)
    if graph is None:
        return Unfinished(f"{_NO_GRAPH}: {folder}", certain=True)
    if _INDEX in sizes:
        if missing := _missing_shard(sizes, read):
            return missing
    elif any(name.startswith("variables/") for name in sizes):
        return Unfinished(f"{_INDEX} is missing", certain=True)
    if graph != _GRAPHS[0] or sizes[graph] > _MAX_READ:
        return None
    return _missing_from_graph(sizes, memoryview(read(graph)))


def _missing_shard(sizes: Mapping[str, int], read: Callable[[str], bytes]) -> Unfinished | None:
    try:
        expected = shard_sizes(read(_INDEX))
    except ValueError as error:
        return Unfinished(f"{_INDEX} is truncated ({error})", certain=False)
    for shard, size in enumerate(expected):
        name = f"variables/variables.data-{shard:05d}-of-{len(expected):05d}"
        if name not in sizes:
            return Unfinished(f"{name} is missing", certain=True)
        if sizes[name] < size:
            return Unfinished(f"{name} has {sizes[name]} of {size} bytes", certain=True)
    return None


def _missing_from_graph(files: Collection[str], data: memoryview) -> Unfinished | None:
    try:
        graphs = [_submessages(message(value)) for number, value in fields(data) if number == _META_GRAPHS]
        if not graphs:
            return Unfinished(f"{_GRAPHS[0]} has no graph yet", certain=False)
        for graph in graphs:
            for name in _assets(graph):
                if f"assets/{name}" not in files:
                    return Unfinished(f"assets/{name} is missing", certain=False)
            if _INDEX not in files and _SAVER in graph and _has_variables(graph):
                return Unfinished(f"{_INDEX} is missing", certain=True)
    except ValueError as error:
        return Unfinished(f"{_GRAPHS[0]} is truncated ({error})", certain=False)
    return None


def _submessages(data: memoryview) -> dict[int, list[memoryview]]:
    found: dict[int, list[memoryview]] = {}
    for number, value in fields(data):
        if not isinstance(value, int):
            found.setdefault(number, []).append(value)
    return found


def _assets(graph: Mapping[int, list[memoryview]]) -> Iterator[str]:
    for asset in graph.get(_ASSETS, []):
        for number, value in fields(asset):
            if number == _FILE_NAME:
                yield bytes(message(value)).decode("utf-8", "replace")


def _has_variables(graph: Mapping[int, list[memoryview]]) -> bool:
    nodes = (node for part in graph.get(_GRAPH, []) for number, node in fields(part) if number == _NODES)
    return any(
        bytes(message(value)) in _VARIABLES
        for node in nodes
        for number, value in fields(message(node))
        if number == _OP
    )
