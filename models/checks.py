"""Checks of arguments. Each raises a ValueError that names the argument, the accepted values and the received value."""

from collections.abc import Collection
from typing import Any

import numpy as np

from models.types import Tensor


def check_choice(key: str, value: Any, choices: Collection[Any]) -> None:
    """Raises a ValueError unless `value` is one of `choices`.

    Args:
        key: Name of the argument, for the message.
        value: Received value.
        choices: Accepted values.
    """
    if value not in choices:
        raise ValueError(f"`{key}` must be one of {', '.join(map(str, choices))}; received {key}={value!r}")


def check_count(key: str, value: Any, least: int = 1) -> None:
    """Raises a ValueError unless `value` is an integer of at least `least`.

    Args:
        key: Name of the argument, for the message.
        value: Received value.
        least: Smallest accepted integer.
    """
    if not isinstance(value, int) or value < least:
        raise ValueError(f"`{key}` must be an integer of at least {least}; received {key}={value!r}")


def check_unit_interval(key: str, values: Tensor) -> None:
    """Raises a ValueError unless all values are probabilities, as binary units require; grey levels up to 255 are not.

    Args:
        key: Name of the argument, for the message.
        values: Array of any shape. NaN is refused too.
    """
    low, high = np.min(values), np.max(values)
    if not (low >= 0 and high <= 1):  # comparisons with NaN are false
        raise ValueError(
            f"binary units require values between 0 and 1, but `{key}` has values from {low:g} to {high:g}; divide "
            'grey levels by 255, or use visible_type="gaussian"'
        )
