"""Where a call of a model runs: on the event loop if it is short, else on a thread."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from serving.servable import Servable
from serving.signature import Signature

Arrays = Mapping[str, np.ndarray]

# Longest call on the event loop, which it holds up: a hop to a thread and back costs about 0.1 ms itself.
SHORT_SECONDS = 0.0003
# Weight of a new measurement that is slower than the average of the earlier ones.
_SMOOTHING = 0.1
# Weight of one that is faster: after something else, such as a load, has held up a short call, it is known to be short
# again after 4 calls. With the weight above it took 22 calls, all on threads, and a change of version raised the 99th
# percentile of latency to 2.3 times the steady one instead of 1.8 times.
_RECOVERY = 0.5


class Execution(Protocol):
    """Strategy that runs signatures: each request by itself, or several in one batch."""

    async def run(self, servable: Servable, signature: Signature, inputs: Arrays, outputs: Sequence[str]) -> Arrays:
        """Runs a signature; arguments and errors are those of `Servable.run`."""

    def prepare(self, servable: Servable) -> Sequence[int]:
        """Prepares for a servable, on the thread that loads it.

        Returns:
            The batch sizes to warm up, ascending.

        Raises:
            ServingError: The model's own batching parameters are wrong.
        """

    def forget(self, servable: Servable) -> None:
        """Drops the state that belongs to a servable which is about to be closed."""


class DirectExecution:
    """Execution of every request by itself.

    Args:
        threads: Most calls that run at the same time, besides those on the event loop.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="inference")
        # By servable and signature: the average seconds of a call, and the largest size that they were measured for.
        self._seconds: dict[tuple[int, str], tuple[float, int]] = {}

    async def run(self, servable: Servable, signature: Signature, inputs: Arrays, outputs: Sequence[str]) -> Arrays:
        """Runs a signature; on the event loop if its calls are short and its batch is not much larger than theirs."""
        key, size = (id(servable), signature.name), sum(array.size for array in inputs.values())
        seconds, measured_size = self._seconds.get(key, (1.0, 0))
        if seconds < SHORT_SECONDS and size <= 2 * measured_size:
            return self._timed(key, size, servable, signature, inputs, outputs)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._timed, key, size, servable, signature, inputs, outputs)

    def _timed(
        self,
        key: tuple[int, str],
        size: int,
        servable: Servable,
        signature: Signature,
        inputs: Arrays,
        outputs: Sequence[str],
    ) -> Arrays:
        start = time.perf_counter()
        results = servable.run(signature, inputs, outputs)
        seconds = time.perf_counter() - start
        average, measured_size = self._seconds.get(key, (seconds, size))
        if size >= measured_size or seconds > average:
            weight = _SMOOTHING if seconds > average else _RECOVERY
            self._seconds[key] = (average + weight * (seconds - average), max(size, measured_size))
        return results

    def prepare(self, servable: Servable) -> Sequence[int]:
        """Returns the only batch size to warm up; there is nothing to prepare."""
        return (1,)

    def forget(self, servable: Servable) -> None:
        """Drops the measured times of a servable."""
        for key in [key for key in self._seconds if key[0] == id(servable)]:
            self._seconds.pop(key, None)
