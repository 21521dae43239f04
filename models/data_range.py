"""What binary units can be shown."""

import numpy as np


def check_unit_interval(key, values):
    """Refuses values for binary units that are no probabilities, such as grey levels up to 255.

    Args:
        key: What they are called.
        values: Of any shape.

    Raises:
        ValueError: Some are below 0, above 1, or no numbers.
    """
    low, high = np.min(values), np.max(values)
    if not (low >= 0 and high <= 1):  # NaN included
        raise ValueError(
            f"Binary units take values between 0 and 1, but `{key}` has values from {low:g} to {high:g}: divide grey "
            'levels by 255, or use visible_type="gaussian".'
        )
