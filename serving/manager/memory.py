"""Control of garbage collection, and return of freed memory to the system."""

import ctypes
import functools
import gc
from collections.abc import Callable


def settle_memory() -> None:
    """Excludes all existing objects from garbage collection, for good. Call once, before models load.

    TensorFlow's modules are 430,000 objects that live as long as the process. A full collection with them took 0.3 to
    0.8 s on two cores, during which no request is answered; without them it takes 5 us.
    """
    gc.collect()
    gc.freeze()


def release_memory() -> None:
    """Returns freed memory to the system: reference cycles first, then the C library's free pages.

    Otherwise glibc keeps freed memory for later use, and resident memory grows with every swap of versions.
    """
    gc.collect()
    if trim := _malloc_trim():
        trim(0)  # takes some ms and does not hold Python's lock


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):  # the C library is not glibc
        return None
