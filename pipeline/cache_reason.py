"""Why a station was not taken from the cache: what differs from its last successful execution."""

from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd

_SUCCESSFUL = (mlmd.Execution.COMPLETE, mlmd.Execution.CACHED)
_FINGERPRINTS = ("fingerprint",)


def why_not_cached(store: Any, execution: mlmd.Execution) -> str:
    """One line: "first run", or what changed since the last success.

    Args:
        store: an ml_metadata MetadataStore.
        execution: the one that was not cached.
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
    changes = [*_changed_inputs(store, last, execution), *_changed_parameters(last, execution)]
    return "changed: " + ", ".join(changes) if changes else "its cached outputs are gone"


def _changed_inputs(store: Any, last: mlmd.Execution, now: mlmd.Execution) -> list[str]:
    before, after = _inputs(store, last.id), _inputs(store, now.id)
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def _inputs(store: Any, execution_id: int) -> dict[str, set[int]]:
    inputs: dict[str, set[int]] = {}
    for event in store.get_events_by_execution_ids([execution_id]):
        if event.type == mlmd.Event.INPUT:
            inputs.setdefault(event.path.steps[0].key, set()).add(event.artifact_id)
    return inputs


def _changed_parameters(last: mlmd.Execution, now: mlmd.Execution) -> list[str]:
    before, after = _parameters(last), _parameters(now)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    return sorted("source code" if key in _FINGERPRINTS else key for key in changed)


def _parameters(execution: mlmd.Execution) -> dict[str, str]:
    # Names that begin with "__" are TFX's own book-keeping.
    return {
        key: str(value).strip()
        for key, value in execution.custom_properties.items()
        if not key.startswith("__") and not key.endswith("__schema__")
    }
