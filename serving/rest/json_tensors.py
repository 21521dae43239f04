"""Conversion of the tensors in a predict request, rows ("instances") or columns ("inputs") of JSON, to arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from serving.errors import Code, ServingError, invalid
from serving.rest.json_arrays import MAX_RANK, explain, is_base64, to_array
from serving.rest.json_text import shown
from serving.signature import TensorSpec

_ROWS, _COLUMNS = "instances", "inputs"
Specs = Mapping[str, TensorSpec]


@dataclass(frozen=True)
class Tensors:
    """Inputs of a predict request.

    Args:
        arrays: Arrays by alias.
        by_row: Whether the request has the row format, which its response then has too.
        rows: Length of the batch; 1 for scalars.
    """

    arrays: dict[str, np.ndarray]
    by_row: bool
    rows: int


def read_tensors(document: dict[str, Any], specs: Specs) -> Tensors:
    """Reads the tensors of a request.

    Args:
        document: The request, either `{"instances": [...]}` or `{"inputs": ...}`.
        specs: Inputs of the signature, by alias.

    Raises:
        ServingError: TensorFlow Serving's message for the first error in its order of checks.
    """
    if not specs:
        raise invalid("Failed to get input map for signature: it has no inputs")
    by_row = _ROWS in document
    if by_row and _COLUMNS in document:
        raise invalid(
            f"JSON Value: {shown(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' keys "
            "to exist"
        )
    if not by_row:
        if _COLUMNS not in document:
            raise invalid("Missing 'inputs' or 'instances' key")
        arrays = _columns(document[_COLUMNS], specs)
        first = next(iter(arrays.values()))
        return Tensors(arrays, False, len(first) if first.ndim else 1)
    rows = document[_ROWS]
    if type(rows) is not list:
        raise invalid(f"JSON Value: {shown(document)} Expecting 'instances' to be an list/array")
    if not rows:
        raise invalid(f"JSON Value: {shown(document)} No values in 'instances' array")
    return Tensors(_rows(rows, specs), True, len(rows))


def _rows(rows: list, specs: Specs) -> dict[str, np.ndarray]:
    named = _is_named(rows[0])
    if len(specs) > 1 and not named:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            f"tensorinfo_map: give each instance as an object with the keys {_names(specs)}"
        )
    arrays = {}
    for alias, spec in specs.items():
        column = _column_of(rows, alias, len(specs)) if named else rows
        array = None if column is None else to_array(column, spec)
        if array is None:
            raise _wrong_row(rows, named, specs)
        arrays[alias] = array
    return arrays


def _column_of(rows: list, alias: str, keys: int) -> list | None:
    """Returns one input's values; None unless every row is an object that has the input and exactly `keys` keys."""
    if set(map(type, rows)) != {dict} or set(map(len, rows)) != {keys}:
        return None
    try:
        column = [row[alias] for row in rows]
    except KeyError:
        return None
    # {"b64": "..."} is a value, even if an input is named "b64".
    return None if alias == "b64" and any(map(is_base64, rows)) else column


def _is_named(row: Any) -> bool:
    return type(row) is dict and not is_base64(row)


def _wrong_row(rows: list, named: bool, specs: Specs) -> ServingError:
    """Returns the error of the first wrong row."""
    only = next(iter(specs))
    seen: dict[str, tuple[int, list[int]]] = {}
    for i, row in enumerate(rows):
        if named and not _is_named(row):
            return invalid(f"Expecting object but got list at item {i} of input list")
        if not named and _is_named(row):
            return invalid(f"Expecting value/list but got object at item {i} of input list")
        for alias, value in row.items() if named else [(only, row)]:
            try:
                _explain_item(value, alias, specs, seen)
            except ServingError as error:
                key = f" key: {alias}" if named else ""
                reason = f"{error.code.name}: {error.message}"
                return invalid(f"Failed to process element: {i}{key} of 'instances' list. Error: {reason}")
        if named and row.keys() != specs.keys():
            return invalid(
                f"Failed to process element: {i} of 'instances' list. JSON object: {shown(row)} keys must be equal to: "
                f"{_names(specs)}"
            )
    return ServingError(Code.INTERNAL, "'instances' could not be converted")


def _explain_item(value: Any, alias: str, specs: Specs, seen: dict[str, tuple[int, list[int]]]) -> None:
    if alias not in specs:
        raise invalid(f"JSON object: does not have named input: {alias}; the inputs are {_names(specs)}")
    size, shape = explain(value, specs[alias], MAX_RANK - 1)  # the batch is a level too
    expected_size, expected_shape = seen.setdefault(alias, (size, shape))
    if size != expected_size:
        raise invalid(f"Expecting tensor size: {expected_size} but got: {size}")
    if shape != expected_shape:
        raise invalid(f"Expecting shape {_shape(expected_shape)} but got: {_shape(shape)}")


def _columns(value: Any, specs: Specs) -> dict[str, np.ndarray]:
    if not _is_named(value):
        if len(specs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                f"tensorinfo_map: give an object with the keys {_names(specs)}"
            )
        only = next(iter(specs))
        return {only: _column(value, specs[only])}
    arrays = {}
    for alias, spec in specs.items():
        if alias not in value:
            raise invalid(f"Missing named input: {alias} in 'inputs' object.")
        arrays[alias] = _column(value[alias], spec)
    return arrays


def _column(value: Any, spec: TensorSpec) -> np.ndarray:
    array = to_array(value, spec)
    if array is None:
        explain(value, spec)
        raise ServingError(Code.INTERNAL, f"'inputs' could not be converted ({spec.alias})")
    return array


def _names(specs: Specs) -> str:
    return ",".join(sorted(specs))


def _shape(shape: list[int]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"
