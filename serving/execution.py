"""How a call of a model gets its turn: at once on the event loop when it is short, else on a thread."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from serving.servable import Servable
from serving.signature import Signature

Arrays = Mapping[str, np.ndarray]

# A hop to a thread and back costs some 0.1 ms; a call that is shorter would keep the event loop for less.
SHORT_SECONDS = 0.0003
# A call that was short lately is done on the loop, as long as its batch is not much larger than those measured.
_SMOOTHING = 0.1
# A short call that something else held up once, such as a load, is known to be short again after 4 calls. With the rate
# above it took 22, each by way of a thread, and swaps raised the 99th percentile to 2.3 times the steady one, not 1.8.
_RECOVERY = 0.5


class Execution(Protocol):
    """What runs signatures: alone, or together with other requests."""

    async def run(self, servable: Servable, signature: Signature, inputs: Arrays, outputs: Sequence[str]) -> Arrays:
        """As `Servable.run`."""

    def prepare(self, servable: Servable) -> Sequence[int]:
        """Makes ready for a servable, on the thread that loads it.

        Returns:
            The batch sizes that are worth a warm-up, ascending.

        Raises:
            ServingError: What the model brings for its execution is wrong.
        """

    def forget(self, servable: Servable) -> None:
        """Drops what is remembered of a servable that is about to be closed."""


class DirectExecution:
    """Runs every request by itself.

    Args:
        threads: Calls that run at the same time, those on the event loop aside.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="inference")
        self._seconds: dict[tuple[int, str], tuple[float, int]] = {}

    async def run(self, servable: Servable, signature: Signature, inputs: Arrays, outputs: Sequence[str]) -> Arrays:
        """As `Servable.run`."""
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
        answer = servable.run(signature, inputs, outputs)
        took = time.perf_counter() - start
        before, measured_size = self._seconds.get(key, (took, size))
        if size >= measured_size or took > before:
            smoothing = _SMOOTHING if took > before else _RECOVERY
            self._seconds[key] = (before + smoothing * (took - before), max(size, measured_size))
        return answer

    def prepare(self, servable: Servable) -> Sequence[int]:
        """As `Execution.prepare`."""
        return (1,)

    def forget(self, servable: Servable) -> None:
        """Drops what is remembered of a servable that is about to be closed."""
        for key in [key for key in self._seconds if key[0] == id(servable)]:
            self._seconds.pop(key, None)
