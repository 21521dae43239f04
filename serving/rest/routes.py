"""The paths of the REST API, and the API and model that each names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from serving.errors import ServingError, invalid
from serving.model_spec import ModelSpec

PREDICT, CLASSIFY, REGRESS, STATUS, METADATA = "predict", "classify", "regress", "status", "metadata"
# TensorFlow Serving matches paths without regard to case, but the verb must be in lower case.
_VERSION = rb"(?:/versions/(\d+)|/labels/([^/:]+))?"
_INFERENCE = re.compile(rb"/v1/models/([^/:]+)" + _VERSION + rb":(classify|regress|predict)", re.IGNORECASE)
_GET = re.compile(rb"/v1/models(?:/([^/:]+))?" + _VERSION + rb"(?:/(metadata))?", re.IGNORECASE)
_VERBS = {b"predict": PREDICT, b"classify": CLASSIFY, b"regress": REGRESS}
_MAX_INT64 = 2**63 - 1


@dataclass(frozen=True)
class Route:
    """Meaning of a request's path.

    Args:
        api: `PREDICT`, `CLASSIFY`, `REGRESS`, `STATUS` or `METADATA`.
        spec: The model, with its version or version label if the path names one.
    """

    api: str
    spec: ModelSpec


def find_route(scope: Mapping[str, Any]) -> Route:
    """Finds the route of a request.

    >>> find_route({"method": "GET", "path": "/v1/models/digits/versions/3", "query_string": b""})
    Route(api='status', spec=ModelSpec(name='digits', version=3, version_label=None, signature_name=''))

    Args:
        scope: ASGI scope of the request.

    Raises:
        ServingError: INVALID_ARGUMENT "Malformed request: ..." if there is no such route, or if it has a query string.
    """
    method, path, query = scope["method"], scope.get("raw_path") or scope["path"].encode(), scope["query_string"]
    api: str | None = None
    match = None
    if not query and method == "POST":
        if match := _INFERENCE.fullmatch(path):
            api = _VERBS.get(match[4])
    elif not query and method == "GET" and (match := _GET.fullmatch(path)):
        api = METADATA if match[4] == b"metadata" else STATUS
    if match is None or api is None:
        raise _malformed(method, path, query)
    name, version, label = match[1], match[2], match[3]
    if name is None:
        raise invalid("Missing model name in request.")
    number = None
    if version is not None:
        # Longer ones are not converted, because that takes a time that grows with the square of the length.
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
        hint = "; remove the query string"
    elif path.endswith(b"/"):
        hint = "; remove the slash at the end"
    elif path.rpartition(b":")[2].lower() in _VERBS:
        hint = "; inference is POST /v1/models/NAME[/versions/N or /labels/LABEL]:predict, :classify or :regress"
    elif method not in ("GET", "POST"):
        hint = "; use GET or POST"
    return invalid(f"Malformed request: {method} {target}{hint}")
