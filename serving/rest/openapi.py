"""Description of the REST API in OpenAPI 3.1, served at `/openapi.json`."""

from typing import Any

from serving.rest.metrics_path import DEFAULT_PATH
from serving.saved_model_files import DEFAULT_SIGNATURE

Json = dict[str, Any]

_STATUSES = {
    "400": "The request is invalid; `error` gives the reason.",
    "401": "A bearer token is missing or wrong.",
    "404": "The model does not exist, or the version is not available.",
    "413": "The body exceeds the server's limit.",
    "429": "Too many requests are in progress, or the request waited too long for its batch.",
    "500": "The model failed.",
    "501": "The input has a type that JSON cannot represent; use gRPC.",
    "503": "The server is shutting down, or its queue is full.",
    "504": "The request exceeded the server's time limit.",
}
_ACTIONS = {
    "predict": (
        "Run a signature",
        "Rows (`instances`) return rows (`predictions`), columns (`inputs`) return columns (`outputs`).",
    ),
    "classify": ("Run a classify signature on examples", "Features are converted to `tf.Example`s."),
    "regress": ("Run a regress signature on examples", "Features are converted to `tf.Example`s."),
}
_SELECTORS = (
    ("", "", ""),
    ("/versions/{version}", " of one version", "Version"),
    ("/labels/{label}", " of the version with a version label", "Labelled"),
)


def description() -> Json:
    """Returns the description as dictionaries, lists and strings, ready for JSON.

    >>> description()["openapi"], len(description()["paths"])
    ('3.1.0', 17)
    """
    paths: Json = {}
    for suffix, which, operation in _SELECTORS:
        base = f"/v1/models/{{model}}{suffix}"
        parameters = [_parameter(name) for name in ("model", "version", "label") if f"{{{name}}}" in base]
        for action, (summary, text) in _ACTIONS.items():
            paths[f"{base}:{action}"] = {
                "parameters": parameters,
                "post": _inference(action, operation, summary + which, text),
            }
        # TensorFlow Serving ignores a version label here and returns the status of all versions, so it is not offered.
        if not suffix.startswith("/labels"):
            paths[base] = {"parameters": parameters, "get": _get(f"Status{which}", "Status", f"status{operation}")}
        metadata = _get(f"Signatures{which}", "Metadata", f"metadata{operation}")
        paths[f"{base}/metadata"] = {"parameters": parameters, "get": metadata}
    paths["/healthz"] = _probe("The process is alive", "live", {"200": "The process is alive."})
    ready = {"200": "Every model is available.", "503": "A model is not available, or the server is shutting down."}
    paths["/readyz"] = _probe("The server is ready for requests", "ready", ready)
    paths[DEFAULT_PATH] = _probe("Metrics in Prometheus' text format", "metrics", {"200": "All metrics."})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Model server",
            "version": "1",
            "summary": "TensorFlow Serving's REST API",
            "description": "Numbers that are not finite are written as NaN, Infinity and -Infinity, which strict JSON "
            "parsers refuse. Paths with a query string or a slash at the end are refused.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _parameter(name: str) -> Json:
    schema: Json = {"type": "string", "minLength": 1}
    if name == "version":
        schema = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _inference(action: str, operation: str, summary: str, text: str) -> Json:
    kind = "Predict" if action == "predict" else "Examples"
    response = {"predict": "Predictions", "classify": "Classes", "regress": "Regressions"}[action]
    return {
        "summary": summary,
        "description": text,
        "operationId": action + operation,
        "requestBody": {"required": True, "content": _json(f"{kind}Request")},
        "responses": {"200": {"description": "The response.", "content": _json(response)}, **_errors(_STATUSES)},
    }


def _get(summary: str, schema: str, operation: str) -> Json:
    return {
        "summary": summary,
        "operationId": operation,
        "responses": {
            "200": {"description": "The response.", "content": _json(schema)},
            **_errors(["400", "401", "404", "503"]),
        },
    }


def _probe(summary: str, operation: str, statuses: dict[str, str]) -> Json:
    text = {"text/plain": {"schema": {"type": "string"}}}
    responses = {status: {"description": meaning, "content": text} for status, meaning in statuses.items()}
    return {"get": {"summary": summary, "operationId": operation, "responses": responses}}


def _errors(statuses: Any) -> Json:
    return {status: {"description": _STATUSES[status], "content": _json("Error")} for status in statuses}


def _json(schema: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _object(required: list[str], **properties: Json) -> Json:
    return {"type": "object", "required": required, "properties": properties}


def _list(items: Json, **more: Any) -> Json:
    return {"type": "array", "items": items, **more}


def _schemas() -> Json:
    text, number, anything = {"type": "string"}, {"type": "number"}, {"description": "Any JSON."}
    base64 = {**_object(["b64"], b64={"type": "string", "contentEncoding": "base64"}), "additionalProperties": False}
    value = {"$ref": "#/components/schemas/Value"}
    by_name = {"type": "object", "additionalProperties": value}
    leaf = {"anyOf": [number, {"type": "boolean"}, text, base64]}
    example = {"type": "object", "additionalProperties": {"anyOf": [leaf, _list(leaf)]}}
    signature = {"type": "string", "default": DEFAULT_SIGNATURE}
    return {
        "Value": {
            "description": "A tensor, or one row of it: nested lists of numbers, booleans, strings, or base64 bytes.",
            "anyOf": [leaf, _list(value)],
        },
        "PredictRequest": {
            "oneOf": [
                _object(
                    ["instances"],
                    signature_name=signature,
                    instances=_list({"anyOf": [value, by_name]}, minItems=1),
                ),
                _object(["inputs"], signature_name=signature, inputs={"anyOf": [value, by_name]}),
            ],
            "examples": [{"instances": [[1.0, 2.0], [3.0, 4.0]]}, {"inputs": {"image_bytes": [{"b64": "/9j/4A=="}]}}],
        },
        "ExamplesRequest": _object(
            ["examples"], signature_name=signature, context=example, examples=_list(example, minItems=1)
        ),
        "Predictions": {
            "oneOf": [
                _object(["predictions"], predictions=_list(anything)),
                _object(["outputs"], outputs=anything),
            ]
        },
        "Classes": _object(["results"], results=_list(_list({"type": "array", "prefixItems": [text, number]}))),
        "Regressions": _object(["results"], results=_list(number)),
        "Status": _object(
            ["model_version_status"],
            model_version_status=_list(
                _object(
                    ["version", "state", "status"],
                    version=text,
                    state={"enum": ["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
                    status=_object(["error_code", "error_message"], error_code=text, error_message=text),
                )
            ),
        ),
        "Metadata": _object(
            ["model_spec", "metadata"],
            model_spec=_object(["name", "signature_name", "version"], name=text, signature_name=text, version=text),
            metadata=_object(["signature_def"], signature_def=_object(["signature_def"], signature_def=anything)),
        ),
        "Error": _object(["error"], error=text),
    }
