"""Loads versions and unloads them: the slow part, on threads of its caller."""

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

# Of a thread that loads beside requests. On two cores a load kept the event loop off them for 70 times 3 ms in ten
# loads of a small model, and 23 times at this nice value; it takes two to three times as long then.
_NICE = 10


class Loader:
    """Loads a few versions at the same time.

    Args:
        config: All settings.
        prepare: Runs before a version is available; a ServingError fails the load.
        before_close: Runs when the last request has left.
        metrics: Receives attempts and times.
        load: Makes a servable from a path; None for `Servable` with the settings' tags and threads.

    Attributes:
        gives_way: Whether requests come before loads; not at the start, when everybody waits for the loads.
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
        self.gives_way = False
        self._copies: dict[int, tuple[Storage, str]] = {}
        # As many as TensorFlow Serving has for its first loads: waiting for storage takes no core.
        self._turns = threading.Semaphore(config.num_load_threads or 4 * (os.cpu_count() or 1))

    def _servable(self, path: str) -> Servable:
        tags = [tag.strip() for tag in self._config.saved_model_tags.split(",") if tag.strip()]
        return Servable(path, tags, self._config.tensorflow_intra_op_parallelism)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """One of the places for those who load."""
        with self._turns:
            yield

    def load(self, storage: Storage, folder: str) -> Servable:
        """Loads and prepares a version. The thread keeps the priority that this gives it, so it should do no more.

        Raises:
            ServingError: It does not load; nothing of it is left then.
        """
        if self.gives_way and sys.platform == "linux":  # where threads have nice values of their own
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

    def unload(self, servable: Servable) -> None:
        """Gives back all that a servable holds but its memory, for which `release_memory` comes after the last use."""
        storage, fetched = self._copies.pop(id(servable))
        for step in (lambda: self._before_close(servable), servable.close, lambda: storage.discard(fetched)):
            try:
                step()
            except Exception:
                logger.exception("%s was not closed properly", fetched)

    def release_memory(self) -> None:
        """Gives the memory of unloaded versions back to the system."""
        release_memory()
