"""Loading and unloading of versions: the slow part, which runs on the caller's threads."""

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

from serving.config import ServerConfig
from serving.errors import Code, ServingError
from serving.manager.memory import release_memory
from serving.metrics import LOAD_ATTEMPTS, LOAD_LATENCY, Metrics
from serving.servable import Servable
from serving.storage.file_systems import Storage

logger = logging.getLogger(__name__)

# Nice value of a thread that loads beside requests. On two cores, ten loads of a small model kept the event loop
# waiting 70 times for 3 ms, and 23 times at this value; a load then takes two to three times as long.
_NICE = 10


class Loader:
    """Loads a few versions at the same time.

    Args:
        config: Settings of the server.
        prepare: Runs before a version becomes available; a `ServingError` fails the load.
        before_close: Runs after the last request has left a version.
        metrics: Receives attempts and latencies; None for none.
        load: Makes a servable from a path; None for `Servable` with the configured tags and threads.

    Attributes:
        yields_to_requests: Whether loads run at a lower priority than requests; not at the start, when nothing is
            served before the loads are done.
    """

    def __init__(
        self,
        config: ServerConfig,
        prepare: Callable[[Servable], None],
        before_close: Callable[[Servable], None],
        metrics: Metrics | None,
        load: Callable[[str], Servable] | None = None,
    ) -> None:
        self._config, self._prepare, self._before_close, self._metrics = config, prepare, before_close, metrics
        self._load = load or self._servable
        self.yields_to_requests = False
        self._copies: dict[int, tuple[Storage, str]] = {}
        # TensorFlow Serving uses as many for its first loads: waiting for storage needs no core.
        self._slots = threading.Semaphore(config.num_load_threads or 4 * (os.cpu_count() or 1))

    def _servable(self, path: str) -> Servable:
        return Servable(path, self._config.tags, self._config.tensorflow_intra_op_parallelism)

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Holds one of the slots for concurrent loads; blocks until one is free."""
        with self._slots:
            yield

    def load(self, storage: Storage, folder: str) -> Servable:
        """Loads and prepares a version. The calling thread keeps the lowered priority, so it should end afterwards.

        Raises:
            ServingError: The version does not load; nothing of it stays in memory.
        """
        if self.yields_to_requests and sys.platform == "linux":  # where each thread has its own nice value
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        path, start = storage.path(folder), time.perf_counter()
        try:
            servable = self._loaded(storage, folder)
        except Exception as error:
            self._count(path, "fail", time.perf_counter() - start)
            if isinstance(error, ServingError):
                raise
            raise ServingError(Code.INTERNAL, f"{path} does not load: {type(error).__name__}: {error}") from error
        self._count(path, "success", time.perf_counter() - start)
        return servable

    def unload(self, servable: Servable) -> None:
        """Closes a servable and deletes its local copy; call `release_memory` after the last reference is gone."""
        storage, fetched = self._copies.pop(id(servable))
        for step in (lambda: self._before_close(servable), servable.close, lambda: storage.discard(fetched)):
            try:
                step()
            except Exception:
                logger.exception("%s was not closed properly", fetched)

    def release_memory(self) -> None:
        """Returns the memory of unloaded versions to the system."""
        release_memory()

    def _loaded(self, storage: Storage, folder: str) -> Servable:
        fetched = storage.fetch(folder)
        try:
            servable = self._load(fetched)
            try:
                self._prepare(servable)
            except BaseException:
                servable.close()
                raise
        except BaseException:
            storage.discard(fetched)
            raise
        self._copies[id(servable)] = storage, fetched
        return servable

    def _count(self, path: str, status: str, seconds: float) -> None:
        if self._metrics is not None:
            self._metrics.count(LOAD_ATTEMPTS, model_path=path, status=status)
            self._metrics.count(LOAD_LATENCY, seconds * 1e6, model_path=path)
