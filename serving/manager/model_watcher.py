"""One model of the server: a thread that watches its base path and brings its versions into memory and out of it."""

import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import NamedTuple

from serving.config import ServerConfig
from serving.errors import Code, ServingError
from serving.manager.candidates import SECOND_LOOK_SECONDS, Candidates
from serving.manager.loader import Loader
from serving.manager.model_config import ModelConfig, lies_in
from serving.manager.version_set import Plan, VersionSet
from serving.manager.version_status import State, VersionStatus
from serving.storage.file_systems import Storage, find_versions, open_storage

logger = logging.getLogger(__name__)


class Failure(NamedTuple):
    """Why nothing of a model is available.

    Args:
        what: The model or the version, as TensorFlow Serving writes it.
        error: Why.
        tried: Whether it was tried to load; if not, there is nothing to load.
    """

    what: str
    error: ServingError
    tried: bool


class ModelWatcher:
    """One model, with a thread of its own: a storage that hangs, or is not there, concerns no other model.

    Args:
        name: What requests call it.
        settings: Of the server.
        loader: Loads and unloads.
        changed: Called, on any thread, whenever something has changed that somebody may wait for.

    Attributes:
        versions: In memory.
    """

    def __init__(self, name: str, settings: ServerConfig, loader: Loader, changed: Callable[[], None]) -> None:
        self.name = name
        self._settings, self._changed = settings, changed
        self._roots = [root.strip() for root in settings.model_roots.split(",") if root.strip()]
        retry_seconds = settings.load_retry_interval_micros / 1e6
        self.versions = VersionSet(name, loader, settings.max_num_load_retries, retry_seconds, self.wake)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._config: ModelConfig | None = None
        self._asked = self._looked = 0  # how often the configuration was given, and which one the last look knew
        self._next_look: float | None = None
        self._storage: tuple[str, Storage, Candidates] | None = None
        self._plan = Plan()
        self._lacking: dict[int, ServingError] = {}
        self._awaited: set[int] = set()  # incomplete versions that somebody is writing now
        self._problem: ServingError | None = None

    def update(self, config: ModelConfig | None) -> None:
        """Serves what a configuration says from now on; None ends the model, once its last request has left."""
        with self._lock:
            self._config = config
            self._asked += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"model {self.name}", daemon=True)
                self._thread.start()
        self.wake()

    def wake(self) -> None:
        """There is something to do. Quick, on any thread."""
        self._wake.set()

    @property
    def config(self) -> ModelConfig | None:
        """What it serves; None for one that is to end."""
        return self._config

    @property
    def finished(self) -> bool:
        """Whether it has nothing to do that should be waited for."""
        with self._lock:
            return self._looked == self._asked and self.versions.finished

    @property
    def problem(self) -> ServingError | None:
        """Why its base path has no versions; None if it has."""
        return self._problem

    def statuses(self) -> list[VersionStatus]:
        """Of all versions, newest first."""
        rows = self.versions.statuses()
        with self._lock:
            for number, error in self._lacking.items():
                if number not in rows or rows[number].state is State.END:
                    rows[number] = VersionStatus(number, State.START, error.code, error.message)
        return [rows[number] for number in sorted(rows, reverse=True)]

    def settled(self, labelled: Collection[int] | None = None) -> bool:
        """Whether there is nothing to wait for.

        Args:
            labelled: Versions that may be on their way; None for all that are wanted, until all retries are done.
        """
        with self._lock:
            if self._looked != self._asked:
                return False
            wanted, awaited = set(self._plan.wanted), self._awaited
        if labelled is not None:
            rows = {number: self.versions.get(number) for number in wanted.intersection(labelled)}
            return not awaited.intersection(labelled) and all(
                row and (row.state not in (State.START, State.LOADING) or self.versions.has_failed(number))
                for number, row in rows.items()
            )
        if not wanted:
            return not awaited
        states = [row and row.state for row in map(self.versions.get, wanted)]
        return all(state in (State.AVAILABLE, State.END) for state in states)

    def failure(self) -> Failure | None:
        """Why nothing is available though it should be; None if all is well."""
        if self.versions.newest:
            return None
        with self._lock:
            wanted, lacking, problem = self._plan.wanted, self._lacking, self._problem
        for number in sorted(wanted, reverse=True):
            row = self.versions.get(number)
            if row and row.code is not Code.OK:
                return Failure(f"{{name: {self.name} version: {number}}}", ServingError(row.code, row.message), True)
        if lacking:
            number = max(lacking)
            return Failure(f"{{name: {self.name} version: {number}}}", lacking[number], False)
        return Failure(f"{{name: {self.name}}}", problem, False) if problem else None

    def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                self._look_if_due()
                retry = self.versions.step(self._plan)
                times = [each for each in (retry, self._next_look) if each is not None]
            except Exception:
                logger.exception("model %s: the watch of its versions failed", self.name)
                times = [time.monotonic() + 1]
            self._changed()
            with self._lock:
                if self._config is None and self._looked == self._asked and self.versions.ended:
                    self._thread = None
                    return
            self._wake.wait(max(0.0, min(times) - time.monotonic()) if times else None)

    def _look_if_due(self) -> None:
        with self._lock:
            config, asked = self._config, self._asked
            if self._looked == asked and (self._next_look is None or time.monotonic() < self._next_look):
                return
        poll = self._settings.file_system_poll_wait_seconds
        plan, problem, candidates = Plan(), None, None
        if config is not None and poll >= 0:
            try:
                plan, problem, candidates = self._look(config)
            except Exception as error:  # whatever a storage may raise: what is loaded stays
                text = f"Could not find base path {config.base_path} for servable {self.name}"
                if not isinstance(error, FileNotFoundError):
                    text += f": {type(error).__name__}: {error}"
                plan, problem = self._plan, ServingError(Code.NOT_FOUND, text)
        incomplete = set(plan.expected) - set(plan.wanted)
        lacking = candidates.lacking(incomplete) if candidates else {}
        awaited = candidates.awaited(incomplete) if candidates else set()
        self._report(problem, {number: error for number, error in lacking.items() if number not in awaited})
        with self._lock:
            self._plan, self._problem, self._lacking, self._awaited = plan, problem, lacking, awaited
            self._looked = asked
            wait = SECOND_LOOK_SECONDS if awaited and not 0 < poll < SECOND_LOOK_SECONDS else poll
            self._next_look = time.monotonic() + wait if wait > 0 and config else None

    def _look(self, config: ModelConfig) -> tuple[Plan, ServingError | None, Candidates]:
        if self._storage is None or self._storage[0] != config.base_path:
            storage = open_storage(config.base_path)
            self._storage = config.base_path, storage, Candidates(storage)
        _, storage, candidates = self._storage
        found = find_versions(storage)
        folders = {number: name for number, name in found.items() if lies_in(storage.path(name), self._roots)}
        wanted = candidates.choose(folders, config.policy, self.versions.is_known)
        plan = Plan(storage, folders, wanted, config.policy.choose(folders))
        problem = None
        if not found:
            problem = ServingError(
                Code.NOT_FOUND,
                f"No versions of servable {self.name} found under base path {config.base_path}. Did you forget to name "
                "your leaf directory as a number (eg. '/1/')?",
            )
        elif outside := found.keys() - folders.keys():
            problem = ServingError(
                Code.PERMISSION_DENIED,
                f"versions {sorted(outside)} of servable {self.name} lead out of what --model-roots allows",
            )
        elif config.policy.specific and not plan.expected:
            problem = ServingError(
                Code.NOT_FOUND,
                f"No versions of servable {self.name} found under base path {config.base_path} that its policy names: "
                f"{sorted(config.policy.specific)}; there are {sorted(folders)[-5:]}",
            )
        return plan, problem, candidates

    def _report(self, problem: ServingError | None, lacking: dict[int, ServingError]) -> None:
        """Logs what is wrong, once."""
        if problem and (self._problem is None or problem.message != self._problem.message):
            logger.warning("%s", problem.message)
        for number, error in lacking.items():
            if number in self._awaited or number not in self._lacking:
                logger.warning("model %s version %d: %s", self.name, number, error.message)
