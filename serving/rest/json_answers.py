"""Arrays to the JSON of an answer: compact, numbers as short as they can be without loss, at orjson's speed."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from serving.errors import invalid
from serving.inference import Classes
from serving.signature import TensorSpec

_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_WRITTEN = {"float", "double", "int8", "uint8", "int16", "int32", "int64", "uint32", "uint64", "bool", "string"}
# Outputs whose name ends so are written as base64.
_BYTES_SUFFIX = "_bytes"
Specs = Mapping[str, TensorSpec]


def write_rows(outputs: Mapping[str, np.ndarray], specs: Specs) -> bytes:
    """`{"predictions": [...]}`: one value per row, or one object per row where there are several outputs.

    Raises:
        ServingError: The outputs have no common first dimension, or a type that JSON does not have.
    """
    _check_types(outputs, specs)
    rows: int | None = None
    for alias, array in outputs.items():
        if not array.ndim:
            raise invalid(f'Tensor name: {alias} has no shape information ; ask with "inputs" instead of "instances"')
        if rows not in (None, len(array)):
            raise invalid(
                f"Tensor name: {alias} has inconsistent batch size: {len(array)} expecting: {rows}; ask with "
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
    """`{"outputs": value}`, or `{"outputs": {name: value}}` where there are several.

    Raises:
        ServingError: A type that JSON does not have.
    """
    _check_types(outputs, specs)
    values = {alias: _value(alias, array) for alias, array in outputs.items()}
    answer = next(iter(values.values())) if len(values) == 1 else values
    return orjson.dumps({"outputs": answer}, option=_NUMPY)


def write_classes(classes: Classes) -> bytes:
    """`{"results": [[[label, score], ...], ...]}`.

    Args:
        classes: A missing label is "", a missing score is 0.
    """
    found = classes.labels if classes.labels is not None else classes.scores
    if found is None or not len(found):
        raise invalid("Cannot convert empty ClassificationResults to JSON")
    labels: Any = [[""] * found.shape[1]] * len(found)
    if classes.labels is not None:
        labels = _value("", classes.labels)
    scores = np.zeros(found.shape, np.float32) if classes.scores is None else classes.scores
    rows = zip(labels, scores, strict=True)
    results = [list(zip(row_labels, _each("", row_scores), strict=True)) for row_labels, row_scores in rows]
    return orjson.dumps({"results": results}, option=_NUMPY)


def write_regressions(values: np.ndarray) -> bytes:
    """`{"results": [...]}`.

    Args:
        values: Floats, shape (examples,).
    """
    if not len(values):
        raise invalid("Cannot convert empty RegressionResults to JSON")
    return orjson.dumps({"results": _value("", values)}, option=_NUMPY)


def write_error(message: str) -> bytes:
    """`{"error": "..."}`, byte for byte as TensorFlow Serving writes it."""
    clean = message.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return b'{\n    "error": ' + orjson.dumps(clean) + b"\n}"


def _check_types(outputs: Mapping[str, np.ndarray], specs: Specs) -> None:
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    for alias in outputs:
        if specs[alias].type_name not in _WRITTEN:
            raise invalid(
                f"Failed to write JSON value for tensor type: {specs[alias].type_name} (output {alias}); ask over gRPC"
            )


def _value(alias: str, array: np.ndarray) -> Any:
    """What orjson writes as this array."""
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
    """What orjson writes as each row of this array."""
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
    # orjson writes null for what is not finite. Nothing else in the text is null, so these go back in order.
    odd = iter(array[~np.isfinite(array)].tolist())
    return re.sub(b"null", lambda _: json.dumps(next(odd)).encode(), text)


def _string(value: bytes, as_base64: bool) -> Any:
    if as_base64:
        return {"b64": base64.b64encode(value).decode()}
    try:
        return value.decode()
    except UnicodeDecodeError:  # the bytes as they are, which most clients refuse, as they do TensorFlow Serving's
        text = value.decode("utf-8", "surrogateescape")
        return orjson.Fragment(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogateescape"))
