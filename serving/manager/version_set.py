"""Versions of one model in memory: loads the wanted ones, then unloads the ones that they replace."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from serving.errors import ServingError
from serving.manager.loader import Loader
from serving.manager.version import Version
from serving.manager.version_status import State, VersionStatus
from serving.storage.file_systems import Stamps, Storage

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """Versions that are to be in memory.

    Args:
        storage: Storage of the base path; None for a model that is to end.
        folders: Folders of all versions by number.
        wanted: Versions to serve, with the stamps of their files; None for versions that are known already.
        expected: Versions that would be wanted if all folders were complete. While one of them is being written, the
            old version stays loaded.
    """

    storage: Storage | None = None
    folders: Mapping[int, str] = field(default_factory=dict)
    wanted: Mapping[int, Stamps | None] = field(default_factory=dict)
    expected: Collection[int] = ()


class VersionSet:
    """Versions of one model. One thread calls `step`; every load has its own thread.

    Args:
        name: Name of the model.
        loader: Loads and unloads versions.
        retries: Number of further attempts after a failed load.
        retry_seconds: Seconds between these attempts.
        wake: Called when `step` has something to do.
        max_ended: Number of ended versions whose status is kept. TensorFlow Serving keeps all of them, which fills the
            memory of a server that swaps every minute.

    Attributes:
        serving: Available versions by number. Replaced as a whole, never changed: reads need no lock.
        newest: The highest available version; None if there is none.
    """

    def __init__(
        self,
        name: str,
        loader: Loader,
        retries: int,
        retry_seconds: float,
        wake: Callable[[], None],
        max_ended: int = 100,
    ) -> None:
        self.serving: Mapping[int, Version] = {}
        self.newest: Version | None = None
        self._name, self._loader, self._wake = name, loader, wake
        self._retries, self._retry_seconds, self._max_ended = retries, retry_seconds, max_ended
        self._lock = threading.Lock()
        self._wanted: Collection[int] = ()
        self._versions: dict[int, Version] = {}  # ended versions come in the order in which they ended

    def get(self, number: int) -> VersionStatus | None:
        """Returns the status of a version; None for a version that was never wanted."""
        with self._lock:
            return self._versions[number].status if number in self._versions else None

    def statuses(self) -> dict[int, VersionStatus]:
        """Returns the statuses of all versions by number."""
        with self._lock:
            return {number: version.status for number, version in self._versions.items()}

    def has_failed(self, number: int) -> bool:
        """Returns whether an attempt to load a version has failed, whether or not there will be another."""
        with self._lock:
            return number in self._versions and self._versions[number].failures > 0

    @property
    def ended(self) -> bool:
        """Whether no version is in memory or being loaded."""
        with self._lock:
            return all(version.ended for version in self._versions.values())

    @property
    def finished(self) -> bool:
        """Whether nothing is left to wait for except requests in progress."""
        with self._lock:
            return all(version.ended or version.draining for version in self._versions.values())

    def is_known(self, number: int) -> bool:
        """Returns whether a version is loaded or loading, or failed to load with the files that it still has."""
        with self._lock:
            version = self._versions.get(number)
            if version is None or not version.failed:
                return version is not None and not version.ended
        try:
            if version.storage.files(version.folder).stamps == version.stamps:
                return True
        except FileNotFoundError:
            pass
        with self._lock:
            version.failed = False
        return False

    def step(self, plan: Plan) -> float | None:
        """Starts the loads and does the unloads that a plan requires.

        Returns:
            Monotonic time at which to call it again, unless woken before; None for no such time.
        """
        now = time.monotonic()
        with self._lock:
            self._wanted = plan.wanted.keys()
            for number in sorted(plan.wanted, reverse=True):
                self._begin(number, plan, now)
            for version in list(self._versions.values()):
                if version.number not in plan.folders:
                    version.failed = False  # tried again if the folder comes back
                if version.number not in plan.wanted:
                    self._dismiss(version, plan)
            closing = [v for v in self._versions.values() if v.state is State.UNLOADING and not v.draining]
        for version in closing:
            self._unload(version)
        with self._lock:
            return min((v.retry_at for v in self._versions.values() if v.retry_at is not None), default=None)

    def _begin(self, number: int, plan: Plan, now: float) -> None:
        version, stamps = self._versions.get(number), plan.wanted[number]
        if version is None or (version.ended and not version.failed):
            if stamps is None or plan.storage is None:
                return  # the version ended after the look; the next look finds it
            self._versions.pop(number, None)
            version = self._versions[number] = Version(self._name, number, plan.storage, plan.folders[number], stamps)
        elif version.retry_at is None or now < version.retry_at:
            return
        version.retry_at = None
        threading.Thread(target=self._load, args=(version,), name=f"load {version}", daemon=True).start()

    def _dismiss(self, version: Version, plan: Plan) -> None:
        if version.state is State.AVAILABLE:
            replaced = any(number in self.serving for number in plan.wanted)
            if replaced or not (plan.wanted or plan.expected):
                version.state = State.UNLOADING
                self._publish()
                version.shut()  # after `_publish`: a request that is refused looks again and finds another version
        elif version.retry_at is not None:
            self._end(version)

    def _load(self, version: Version) -> None:
        with self._loader.slot():
            if self._still_wanted(version):
                start = time.monotonic()
                try:
                    servable = self._loader.load(version.storage, version.folder)
                except ServingError as error:
                    self._failed(version, error)
                else:
                    with self._lock:
                        version.open(servable)
                        self._publish()
                    logger.info("%s is available after %.1f s", version, time.monotonic() - start)
        self._wake()

    def _still_wanted(self, version: Version) -> bool:
        with self._lock:
            wanted = version.number in self._wanted
            if wanted:
                version.state = State.LOADING
            else:
                self._end(version)
        return wanted

    def _failed(self, version: Version, error: ServingError) -> None:
        with self._lock:
            again = version.failures < self._retries
            version.fail(error, time.monotonic() + self._retry_seconds if again else None)
            if not again:
                self._end(version)
        then = f"next attempt in {self._retry_seconds:g} s" if again else "given up until its files change"
        logger.error("%s does not load (%s): %s: %s", version, then, error.code.name, error.message)

    def _unload(self, version: Version) -> None:
        if version.handle:
            self._loader.unload(version.handle.servable)
        with self._lock:
            self._end(version)
        self._loader.release_memory()
        logger.info("%s is unloaded", version)

    def _end(self, version: Version) -> None:
        if not version.failed:
            version.end()
        # Moves the version to the end and forgets the oldest; failed versions stay, since they could be tried again.
        self._versions[version.number] = self._versions.pop(version.number)
        old = [each.number for each in self._versions.values() if each.ended and not each.failed]
        for number in old[: max(0, len(old) - self._max_ended)]:
            del self._versions[number]

    def _publish(self) -> None:
        available = {n: version for n, version in self._versions.items() if version.state is State.AVAILABLE}
        self.serving = available
        self.newest = available[max(available)] if available else None
