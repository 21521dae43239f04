"""Conversion of arrays to the JSON of a response: compact, with the shortest exact numbers, at orjson's speed."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from serving.errors import invalid
from serving.inference import Classification
from serving.signature import TensorSpec

_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_WRITTEN = {"float", "double", "int8", "uint8", "int16", "int32", "int64", "uint32", "uint64", "bool", "string"}
# Outputs whose name has this suffix are written as base64.
_BYTES_SUFFIX = "_bytes"
Specs = Mapping[str, TensorSpec]


def write_rows(outputs: Mapping[str, np.ndarray], specs: Specs) -> bytes:
    """Writes `{"predictions": [...]}`: one value per row, or one object per row if there are several outputs.

    Raises:
        ServingError: INVALID_ARGUMENT if the outputs have no common first dimension or a type that JSON lacks.
    """
    _check_types(outputs, specs)
    rows: int | None = None
    for alias, array in outputs.items():
        if not array.ndim:
            raise invalid(f'Tensor name: {alias} has no shape information ; send "inputs" instead of "instances"')
        if rows not in (None, len(array)):
            raise invalid(
                f"Tensor name: {alias} has inconsistent batch size: {len(array)} expecting: {rows}; send "
                '"inputs" instead of "instances"'
            )
        rows = len(array)
    if len(outputs) == 1:
        alias, array = next(iter(outputs.items()))
        return orjson.dumps({"predictions": _value(alias, array)}, option=_NUMPY)
    columns = [_each(alias, array) for alias, array in outputs.items()]
    objects = [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]
    return orjson.dumps({"predictions": objects}, option=_NUMPY)


def write_columns(outputs: Mapping[str, np.ndarray], specs: Specs) -> bytes:
    """Writes `{"outputs": value}`, or `{"outputs": {name: value}}` if there are several outputs.

    Raises:
        ServingError: INVALID_ARGUMENT if an output has a type that JSON lacks.
    """
    _check_types(outputs, specs)
    values = {alias: _value(alias, array) for alias, array in outputs.items()}
    content = next(iter(values.values())) if len(values) == 1 else values
    return orjson.dumps({"outputs": content}, option=_NUMPY)


def write_classification(found: Classification) -> bytes:
    """Writes `{"results": [[[class, score], ...], ...]}`.

    Args:
        found: Classes and scores; a missing class is written as "", a missing score as 0.
    """
    present = found.classes if found.classes is not None else found.scores
    if present is None or not len(present):
        raise invalid("Cannot convert empty ClassificationResults to JSON")
    classes: Any = [[""] * present.shape[1]] * len(present)
    if found.classes is not None:
        classes = _value("", found.classes)
    scores = np.zeros(present.shape, np.float32) if found.scores is None else found.scores
    rows = zip(classes, scores, strict=True)
    results = [list(zip(row_classes, _each("", row_scores), strict=True)) for row_classes, row_scores in rows]
    return orjson.dumps({"results": results}, option=_NUMPY)


def write_regressions(values: np.ndarray) -> bytes:
    """Writes `{"results": [...]}`.

    Args:
        values: Floats, shape (examples,).
    """
    if not len(values):
        raise invalid("Cannot convert empty RegressionResults to JSON")
    return orjson.dumps({"results": _value("", values)}, option=_NUMPY)


def write_error(message: str) -> bytes:
    """Writes `{"error": "..."}`, byte for byte as TensorFlow Serving does.

    >>> print(write_error("Input is empty").decode())
    {
        "error": "Input is empty"
    }
    """
    clean = message.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return b'{\n    "error": ' + orjson.dumps(clean) + b"\n}"


def _check_types(outputs: Mapping[str, np.ndarray], specs: Specs) -> None:
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    for alias in outputs:
        if specs[alias].type_name not in _WRITTEN:
            raise invalid(
                f"Failed to write JSON value for tensor type: {specs[alias].type_name} (output {alias}); use gRPC"
            )


def _value(alias: str, array: np.ndarray) -> Any:
    """Returns an object that orjson writes as this array."""
    if array.dtype == object:
        as_base64 = alias.endswith(_BYTES_SUFFIX)
        texts = np.empty(array.size, object)
        texts[:] = [_string(each, as_base64) for each in array.flat]
        return texts.reshape(array.shape).tolist()
    if array.ndim == 0:
        array = array.reshape(1)
        return orjson.Fragment(_with_infinities(array)[1:-1])
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return orjson.Fragment(_with_infinities(array))
    return array


def _each(alias: str, array: np.ndarray) -> Sequence:
    """Returns objects that orjson writes as the rows of this array."""
    if array.dtype == object:
        return _value(alias, array)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return [_value(alias, row) for row in map(np.asarray, array)]
    if array.ndim == 1 and array.dtype != np.float32:
        return array.tolist()
    return list(np.ascontiguousarray(array))


def _with_infinities(array: np.ndarray) -> bytes:
    text = orjson.dumps(array, option=_NUMPY)
    if array.dtype.kind != "f":
        return text
    # orjson writes null for numbers that are not finite; no other null is in the text, so they are replaced in order.
    not_finite = iter(array[~np.isfinite(array)].tolist())
    return re.sub(b"null", lambda _: json.dumps(next(not_finite)).encode(), text)


def _string(value: bytes, as_base64: bool) -> Any:
    if as_base64:
        return {"b64": base64.b64encode(value).decode()}
    try:
        return value.decode()
    except UnicodeDecodeError:  # written unchanged, as by TensorFlow Serving, although most clients refuse the text
        text = value.decode("utf-8", "surrogateescape")
        return orjson.Fragment(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogateescape"))
