"""Which paths the REST API has, and what they ask for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from serving.errors import ServingError, invalid
from serving.model_spec import ModelSpec

PREDICT, CLASSIFY, REGRESS, STATUS, METADATA = "predict", "classify", "regress", "status", "metadata"
# As TensorFlow Serving matches them: without regard to case; the verb itself must then be in lower case.
_VERSION = rb"(?:/versions/(\d+)|/labels/([^/:]+))?"
_INFERENCE = re.compile(rb"/v1/models/([^/:]+)" + _VERSION + rb":(classify|regress|predict)", re.IGNORECASE)
_LOOK = re.compile(rb"/v1/models(?:/([^/:]+))?" + _VERSION + rb"(?:/(metadata))?", re.IGNORECASE)
_VERBS = {b"predict": PREDICT, b"classify": CLASSIFY, b"regress": REGRESS}
_MAX_INT64 = 2**63 - 1


@dataclass(frozen=True)
class Route:
    """A request's path.

    Args:
        api: `PREDICT`, `CLASSIFY`, `REGRESS`, `STATUS` or `METADATA`.
        spec: The model, its version or label.
    """

    api: str
    spec: ModelSpec


def find_route(scope: Mapping[str, Any]) -> Route:
    """The route of a request.

    Args:
        scope: ASGI's.

    Raises:
        ServingError: INVALID_ARGUMENT "Malformed request: ..." for all that is no route, a query string included.
    """
    method, path, query = scope["method"], scope.get("raw_path") or scope["path"].encode(), scope["query_string"]
    api: str | None = None
    match = None
    if not query and method == "POST":
        if match := _INFERENCE.fullmatch(path):
            api = _VERBS.get(match[4])
    elif not query and method == "GET" and (match := _LOOK.fullmatch(path)):
        api = METADATA if match[4] == b"metadata" else STATUS
    if match is None or api is None:
        raise _malformed(method, path, query)
    name, version, label = match[1], match[2], match[3]
    if name is None:
        raise invalid("Missing model name in request.")
    number = None
    if version is not None:
        # Longer ones are not even converted: that would take a time that grows with the square of the length.
        number = int(version) if len(version.lstrip(b"0")) < 20 else _MAX_INT64 + 1
        if number > _MAX_INT64:
            raise invalid(f"Failed to convert version: {version.decode()[:256]} to numeric.")
    return Route(api, ModelSpec(_decoded(name), number, None if label is None else _decoded(label)))


def _decoded(part: bytes) -> str:
    return unquote_to_bytes(part).decode("utf-8", "replace")


def _malformed(method: str, path: bytes, query: bytes) -> ServingError:
    target = (path + b"?" * bool(query) + query).decode("latin-1")[:1024]
    hint = ""
    if query:
        hint = "; no request has a query string"
    elif path.endswith(b"/"):
        hint = "; no path ends in a slash"
    elif path.rpartition(b":")[2].lower() in _VERBS:
        hint = "; inference is POST /v1/models/NAME[/versions/N or /labels/LABEL]:predict, :classify or :regress"
    elif method not in ("GET", "POST"):
        hint = "; there is only GET and POST"
    return invalid(f"Malformed request: {method} {target}{hint}")
