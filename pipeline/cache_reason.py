"""The reason why a node was not taken from the cache: the differences from its last successful execution."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

_SUCCESSFUL = (mlmd.Execution.COMPLETE, mlmd.Execution.CACHED)


def why_not_cached(store: MetadataStore, execution: mlmd.Execution) -> str:
    """Returns one line: "first run", or the inputs and parameters that changed since the last successful execution.

    Args:
        store: The store that holds the execution.
        execution: The execution that was not cached.

    Example:
        >>> config = mlmd.ConnectionConfig()
        >>> config.fake_database.SetInParent()
        >>> store = MetadataStore(config)
        >>> node = mlmd.Context(type_id=store.put_context_type(mlmd.ContextType(name="node")), name="digits.Trainer")
        >>> execution = mlmd.Execution(type_id=store.put_execution_type(mlmd.ExecutionType(name="Trainer")))
        >>> execution.id, _, _ = store.put_execution(execution, [], [node])
        >>> why_not_cached(store, execution)
        'first run'
    """
    [node] = [context for context in store.get_contexts_by_execution(execution.id) if context.type == "node"] or [None]
    if node is None:
        return ""
    earlier = [
        other
        for other in store.get_executions_by_context(node.id)
        if other.id < execution.id and other.last_known_state in _SUCCESSFUL
    ]
    if not earlier:
        return "first run"
    last = max(earlier, key=lambda other: other.id)
    # A cached execution lacks the findings of its driver, such as the data's digest; the last one that ran has them.
    ran = max((other for other in earlier if other.last_known_state == mlmd.Execution.COMPLETE), key=lambda e: e.id)
    before = {**_parameters(ran), **_parameters(last)}
    changes = [*_changed_inputs(store, last, execution), *_changed_parameters(before, _parameters(execution))]
    return "changed: " + ", ".join(changes) if changes else "its cached outputs are gone"


def _changed_inputs(store: MetadataStore, last: mlmd.Execution, now: mlmd.Execution) -> list[str]:
    before, after = _inputs(store, last.id), _inputs(store, now.id)
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def _inputs(store: MetadataStore, execution_id: int) -> dict[str, set[int]]:
    inputs: dict[str, set[int]] = {}
    for event in store.get_events_by_execution_ids([execution_id]):
        if event.type == mlmd.Event.INPUT:
            inputs.setdefault(event.path.steps[0].key, set()).add(event.artifact_id)
    return inputs


def _changed_parameters(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted({_shown(key) for key in before.keys() | after.keys() if before.get(key) != after.get(key)})


def _shown(key: str) -> str:
    if key.endswith("fingerprint") and key != "input_fingerprint":
        return "source code"
    return {"input_fingerprint": "data"}.get(key, key.removeprefix("custom_config.").removeprefix("config."))


def _parameters(execution: mlmd.Execution) -> dict[str, str]:
    # Names that start with "__" are internal to TFX.
    return {
        name: leaf
        for key, value in execution.custom_properties.items()
        if not key.startswith("__") and not key.endswith("__schema__")
        for name, leaf in _leaves(key, getattr(value, value.WhichOneof("value")))
    }


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yields the leaves of a parameter and of the JSON in it, such as custom_config.config.training.epochs."""
    if isinstance(value, str) and value.startswith("{"):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    if not isinstance(value, dict):
        yield name, str(value)
        return
    for key, part in value.items():
        yield from _leaves(f"{name}.{key}", part)
