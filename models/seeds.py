"""Seeds of independent random streams."""

import zlib


def derived_seed(seed: int | None, use: str) -> int | None:
    """Returns a different seed for each use of a model's seed, so that no two random streams are equal.

    Args:
        seed: Seed of the model; None for random streams.
        use: Name of the use, unique within the model, such as "rbm 0".

    Returns:
        An integer of 31 bits, or None if `seed` is None.
    """
    return None if seed is None else zlib.crc32(f"{seed} {use}".encode()) >> 1
