"""The versions of one model in memory: what is wanted is loaded, and what it replaces is unloaded after that."""

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

# TensorFlow Serving keeps what it says of ended versions for ever; a server that swaps every minute would fill up.
MAX_ENDED = 100


@dataclass(frozen=True)
class Plan:
    """What shall be in memory.

    Args:
        storage: The base path; None for a model that is to end.
        folders: All versions there.
        wanted: Those to serve, with their files for those that are not known yet.
        expected: Those that would be wanted if all folders were complete: while one of them is still being written,
            nothing is unloaded for want of successors.
    """

    storage: Storage | None = None
    folders: Mapping[int, str] = field(default_factory=dict)
    wanted: Mapping[int, Stamps | None] = field(default_factory=dict)
    expected: Collection[int] = ()


class VersionSet:
    """The versions of one model. One thread calls `step`; the loads have threads of their own.

    Args:
        name: Of the model.
        loader: Loads and unloads.
        retries: How often a failed load is tried again.
        retry_seconds: Seconds between these.
        wake: Called when there is something to do for `step`.

    Attributes:
        serving: Available versions by number. Replaced, never changed: to be read without a lock.
        newest: The highest of them; None if there is none.
    """

    def __init__(self, name: str, loader: Loader, retries: int, retry_seconds: float, wake: Callable[[], None]) -> None:
        self.serving: Mapping[int, Version] = {}
        self.newest: Version | None = None
        self._name, self._loader, self._wake = name, loader, wake
        self._retries, self._retry_seconds = retries, retry_seconds
        self._lock = threading.Lock()
        self._wanted: Collection[int] = ()
        self._versions: dict[int, Version] = {}  # those that ended first come first

    def get(self, number: int) -> VersionStatus | None:
        """Where a version is; None for one that never was wanted."""
        with self._lock:
            return self._versions[number].status if number in self._versions else None

    def statuses(self) -> dict[int, VersionStatus]:
        """Where all are."""
        with self._lock:
            return {number: version.status for number, version in self._versions.items()}

    def has_failed(self, number: int) -> bool:
        """Whether a load of a version has failed, be it tried again or not."""
        with self._lock:
            return number in self._versions and self._versions[number].failures > 0

    @property
    def ended(self) -> bool:
        """Whether none is in memory or on its way there."""
        with self._lock:
            return all(version.ended for version in self._versions.values())

    @property
    def finished(self) -> bool:
        """Whether nothing is to be waited for but requests in progress."""
        with self._lock:
            return all(version.ended or version.leaving for version in self._versions.values())

    def is_known(self, number: int) -> bool:
        """Whether a version is loaded or loading, or has failed to load and its files are still the same."""
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
        """Starts and ends what the plan says; when to come again, on the monotonic clock, unless woken before."""
        now = time.monotonic()
        with self._lock:
            self._wanted = plan.wanted.keys()
            for number in sorted(plan.wanted, reverse=True):
                self._begin(number, plan, now)
            for version in list(self._versions.values()):
                if version.number not in plan.folders:
                    version.failed = False  # should it come back, it is tried again
                if version.number not in plan.wanted:
                    self._dismiss(version, plan)
            closing = [v for v in self._versions.values() if v.state is State.UNLOADING and not v.leaving]
        for version in closing:
            self._unload(version)
        with self._lock:
            return min((v.retry_at for v in self._versions.values() if v.retry_at is not None), default=None)

    def _begin(self, number: int, plan: Plan, now: float) -> None:
        version, stamps = self._versions.get(number), plan.wanted[number]
        if version is None or (version.ended and not version.failed):
            if stamps is None or plan.storage is None:
                return  # it has ended since the look; the next one will find it
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
                version.shut()  # after it is out of `serving`: who is refused looks there again, and finds another
        elif version.retry_at is not None:
            self._end(version)

    def _load(self, version: Version) -> None:
        with self._loader.turn():
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
        then = f"again in {self._retry_seconds:g} s" if again else "given up until its files change"
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
        # The youngest last, and the oldest out; but who failed is remembered as long as it could be tried again.
        self._versions[version.number] = self._versions.pop(version.number)
        old = [each.number for each in self._versions.values() if each.ended and not each.failed]
        for number in old[: max(0, len(old) - MAX_ENDED)]:
            del self._versions[number]

    def _publish(self) -> None:
        available = {n: version for n, version in self._versions.items() if version.state is State.AVAILABLE}
        self.serving = available
        self.newest = available[max(available)] if available else None
