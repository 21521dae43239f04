"""One version of a model: its way from a folder into memory and out again, and the requests that use it."""

import threading

from serving.errors import Code, ServingError
from serving.manager.handle import Handle
from serving.manager.version_status import State, VersionStatus
from serving.servable import Servable
from serving.storage.file_systems import Stamps, Storage


class Version:
    """One version. Everything except `enter` and `leave` belongs to `VersionSet`, under its lock.

    Args:
        name: Name of the model.
        number: Number of the version.
        storage: Storage of the base path.
        folder: Name of the version's folder.
        stamps: Sizes and times of its files when they were found complete.

    Attributes:
        state: Current state.
        code: OK, or the outcome of the last attempt to load.
        message: Message of that outcome; empty for OK.
        failures: Number of failed attempts to load.
        retry_at: Monotonic time of the next attempt; None for no further attempt.
        failed: Whether the version ended because it cannot be loaded; it is not tried again until its files change.
        handle: Handle for requests; None unless the version is loaded.
    """

    def __init__(self, name: str, number: int, storage: Storage, folder: str, stamps: Stamps) -> None:
        self.name, self.number, self.storage, self.folder, self.stamps = name, number, storage, folder, stamps
        self.state, self.code, self.message = State.START, Code.OK, ""
        self.failures, self.failed = 0, False
        self.retry_at: float | None = None
        self.handle: Handle | None = None
        self._users, self._shut = 0, False
        self._lock = threading.Lock()

    def __str__(self) -> str:
        return f"model {self.name} version {self.number}"

    @property
    def status(self) -> VersionStatus:
        """Status as the protocol reports it."""
        return VersionStatus(self.number, self.state, self.code, self.message)

    @property
    def ended(self) -> bool:
        """Whether the version is out of memory, or never was in it."""
        return self.state is State.END

    @property
    def draining(self) -> bool:
        """Whether the version is being unloaded but requests still use it."""
        return self.state is State.UNLOADING and self._users > 0

    def enter(self) -> Handle | None:
        """Begins a use; returns None if the version is being unloaded. Takes 0.2 us."""
        with self._lock:
            if self._shut:
                return None
            self._users += 1
            return self.handle

    def leave(self) -> bool:
        """Ends a use; returns whether it was the last use of a version that is being unloaded."""
        with self._lock:
            self._users -= 1
            return self._shut and not self._users

    def shut(self) -> None:
        """Refuses further uses."""
        with self._lock:
            self._shut = True

    def open(self, servable: Servable) -> None:
        """Makes the loaded version available."""
        self.handle = Handle(self.name, self.number, servable)
        self.state, self.code, self.message = State.AVAILABLE, Code.OK, ""

    def fail(self, error: ServingError, retry_at: float | None) -> None:
        """Records a failed attempt to load.

        Args:
            error: Reason of the failure.
            retry_at: Monotonic time of the next attempt; None to give up.
        """
        self.failures += 1
        self.code, self.message, self.retry_at = error.code, error.message, retry_at
        if retry_at is None:
            self.state, self.failed = State.END, True

    def end(self) -> None:
        """Ends a version that is out of memory, or no longer wanted before it was loaded."""
        self.state, self.code, self.message = State.END, Code.OK, ""
        self.handle = self.retry_at = None
