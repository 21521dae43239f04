"""One version of a model on its way from a folder into memory and out of it again, and who is using it."""

import threading
from dataclasses import dataclass

from serving.errors import Code, ServingError
from serving.manager.version_status import State, VersionStatus
from serving.servable import Servable
from serving.storage.file_systems import Stamps, Storage


@dataclass(frozen=True)
class Handle:
    """A version in use: it stays loaded until it is given back.

    Args:
        name: Of the model.
        version: Its number.
        servable: What runs it.
    """

    name: str
    version: int
    servable: Servable


class Version:
    """A version. All but `enter` and `leave` is for `VersionSet`, under its lock.

    Args:
        name: Of the model.
        number: Its number.
        storage: Where it lies.
        folder: The name of its folder.
        stamps: Its files when they were found complete.

    Attributes:
        state: Where it is.
        code: OK, or how the last try to load it ended.
        message: The same in words.
        failures: Tries to load it that failed.
        retry_at: When to try again, on the monotonic clock; None for not.
        failed: Whether it ended because it cannot be loaded: it is not tried again while its files stay as they are.
        handle: What requests get while it is loaded.
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
        """As the protocol tells it."""
        return VersionStatus(self.number, self.state, self.code, self.message)

    @property
    def ended(self) -> bool:
        """Whether it is out of memory, or never was there."""
        return self.state is State.END

    @property
    def leaving(self) -> bool:
        """Whether it is on its way out, but somebody still uses it."""
        return self.state is State.UNLOADING and self._users > 0

    def enter(self) -> Handle | None:
        """Begins a use; None when it is on its way out. Takes 0.2 us."""
        with self._lock:
            if self._shut:
                return None
            self._users += 1
            return self.handle

    def leave(self) -> bool:
        """Ends a use; whether it was the last of a version on its way out, for which somebody waits."""
        with self._lock:
            self._users -= 1
            return self._shut and not self._users

    def shut(self) -> None:
        """Lets nobody in any more."""
        with self._lock:
            self._shut = True

    def open(self, servable: Servable) -> None:
        """It is loaded."""
        self.handle = Handle(self.name, self.number, servable)
        self.state, self.code, self.message = State.AVAILABLE, Code.OK, ""

    def fail(self, error: ServingError, retry_at: float | None) -> None:
        """It did not load, and will be tried again, or not."""
        self.failures += 1
        self.code, self.message, self.retry_at = error.code, error.message, retry_at
        if retry_at is None:
            self.state, self.failed = State.END, True

    def end(self) -> None:
        """It is out of memory, or not wanted any more before it got there."""
        self.state, self.code, self.message = State.END, Code.OK, ""
        self.handle = self.retry_at = None
