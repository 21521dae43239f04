"""Watcher of one model: a thread that follows the base path and loads and unloads the model's versions."""

import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import NamedTuple

from serving.config import ServerConfig
from serving.errors import Code, ServingError
from serving.manager.candidates import Candidates
from serving.manager.loader import Loader
from serving.manager.model_config import ModelConfig
from serving.manager.version_set import Plan, VersionSet
from serving.manager.version_status import State, VersionStatus
from serving.manager.write_detection import WriteDetection
from serving.storage.file_systems import Storage, find_versions, open_storage
from serving.storage.paths import lies_in

logger = logging.getLogger(__name__)


class Failure(NamedTuple):
    """Reason why no version of a model is available.

    Args:
        servable: The model or the version, in TensorFlow Serving's notation.
        error: The error.
        attempted: Whether a load was attempted; False if there is no version to load.
    """

    servable: str
    error: ServingError
    attempted: bool


class ModelWatcher:
    """Watcher of one model, on its own thread: a storage that hangs or is missing does not affect other models.

    Args:
        name: Name of the model in requests.
        settings: Settings of the server.
        loader: Loads and unloads versions.
        changed: Called, on any thread, after every change that a caller may wait for.
        detection: Times after which files count as completely written.

    Attributes:
        versions: Versions in memory.
    """

    def __init__(
        self,
        name: str,
        settings: ServerConfig,
        loader: Loader,
        changed: Callable[[], None],
        detection: WriteDetection,
    ) -> None:
        self.name = name
        self._settings, self._changed, self._detection = settings, changed, detection
        retry_seconds = settings.load_retry_interval_micros / 1e6
        self.versions = VersionSet(name, loader, settings.max_num_load_retries, retry_seconds, self.wake)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._config: ModelConfig | None = None
        self._updates = 0  # configurations received
        self._seen_updates = 0  # configurations that the last look took into account
        self._next_look: float | None = None
        self._storage: tuple[str, Storage, Candidates] | None = None
        self._plan = Plan()
        self._unready: dict[int, ServingError] = {}
        self._awaited: set[int] = set()  # incomplete versions that are being written
        self._problem: ServingError | None = None

    def update(self, config: ModelConfig | None) -> None:
        """Replaces the configuration; None ends the model once its last request has left."""
        with self._lock:
            self._config = config
            self._updates += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"model {self.name}", daemon=True)
                self._thread.start()
        self.wake()

    def wake(self) -> None:
        """Wakes the thread; quick, and callable from any thread."""
        self._wake.set()

    @property
    def config(self) -> ModelConfig | None:
        """Current configuration; None for a model that is to end."""
        return self._config

    @property
    def finished(self) -> bool:
        """Whether nothing is left to wait for except requests in progress."""
        with self._lock:
            return self._seen_updates == self._updates and self.versions.finished

    @property
    def problem(self) -> ServingError | None:
        """Reason why the base path has no versions; None if it has some."""
        return self._problem

    def statuses(self) -> list[VersionStatus]:
        """Returns the statuses of all versions, newest first."""
        rows = self.versions.statuses()
        with self._lock:
            for number, error in self._unready.items():
                if number not in rows or rows[number].state is State.END:
                    rows[number] = VersionStatus(number, State.START, error.code, error.message)
        return [rows[number] for number in sorted(rows, reverse=True)]

    def settled(self, labelled: Collection[int] | None = None) -> bool:
        """Returns whether there is nothing to wait for.

        Args:
            labelled: Versions to wait for until their first attempt to load has ended; None for all wanted versions,
                until all retries are done.
        """
        with self._lock:
            if self._seen_updates != self._updates:
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
        """Returns the reason why no version is available though one should be; None if all is well."""
        if self.versions.newest:
            return None
        with self._lock:
            wanted, unready, problem = self._plan.wanted, self._unready, self._problem
        for number in sorted(wanted, reverse=True):
            row = self.versions.get(number)
            if row and row.code is not Code.OK:
                return Failure(f"{{name: {self.name} version: {number}}}", ServingError(row.code, row.message), True)
        if unready:
            number = max(unready)
            return Failure(f"{{name: {self.name} version: {number}}}", unready[number], False)
        return Failure(f"{{name: {self.name}}}", problem, False) if problem else None

    def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                self._look_if_due()
                retry = self.versions.step(self._plan)
                times = [each for each in (retry, self._next_look) if each is not None]
            except Exception:
                logger.exception("model %s: watching its versions failed; the next attempt is in 1 s", self.name)
                times = [time.monotonic() + 1]
            self._changed()
            with self._lock:
                if self._config is None and self._seen_updates == self._updates and self.versions.ended:
                    self._thread = None
                    return
            self._wake.wait(max(0.0, min(times) - time.monotonic()) if times else None)

    def _look_if_due(self) -> None:
        with self._lock:
            config, updates = self._config, self._updates
            if self._seen_updates == updates and (self._next_look is None or time.monotonic() < self._next_look):
                return
        plan, problem, candidates = Plan(), None, None
        if config is not None and self._settings.file_system_poll_wait_seconds >= 0:
            try:
                plan, problem, candidates = self._look(config)
            except Exception as error:  # a storage may raise anything; loaded versions stay
                text = f"Could not find base path {config.base_path} for servable {self.name}"
                if not isinstance(error, FileNotFoundError):
                    text += f": {type(error).__name__}: {error}"
                plan, problem = self._plan, ServingError(Code.NOT_FOUND, text)
        incomplete = set(plan.expected) - set(plan.wanted)
        unready = candidates.unready(incomplete) if candidates else {}
        awaited = candidates.awaited(incomplete) if candidates else set()
        self._log(problem, {number: error for number, error in unready.items() if number not in awaited})
        with self._lock:
            self._plan, self._problem, self._unready, self._awaited = plan, problem, unready, awaited
            self._seen_updates = updates
            wait = self._poll_seconds(bool(awaited))
            self._next_look = time.monotonic() + wait if wait > 0 and config else None

    def _poll_seconds(self, awaiting: bool) -> float:
        poll, recheck = self._settings.file_system_poll_wait_seconds, self._detection.recheck_seconds
        return recheck if awaiting and not 0 < poll < recheck else poll

    def _look(self, config: ModelConfig) -> tuple[Plan, ServingError | None, Candidates]:
        if self._storage is None or self._storage[0] != config.base_path:
            storage = open_storage(config.base_path)
            self._storage = config.base_path, storage, Candidates(storage, self._detection)
        _, storage, candidates = self._storage
        found = find_versions(storage)
        folders = {number: name for number, name in found.items() if lies_in(storage.path(name), self._settings.roots)}
        wanted = candidates.choose(folders, config.policy, self.versions.is_known)
        plan = Plan(storage, folders, wanted, config.policy.choose(folders))
        return plan, self._problem_of(config, found.keys(), plan), candidates

    def _problem_of(self, config: ModelConfig, found: Collection[int], plan: Plan) -> ServingError | None:
        nothing = f"No versions of servable {self.name} found under base path {config.base_path}"
        if not found:
            hint = "Did you forget to name your leaf directory as a number (eg. '/1/')?"
            return ServingError(Code.NOT_FOUND, f"{nothing}. {hint}")
        if outside := set(found) - plan.folders.keys():
            return ServingError(
                Code.PERMISSION_DENIED,
                f"versions {sorted(outside)} of servable {self.name} lead outside of the folders that --model-roots "
                "allows; move them, or add their folder to --model-roots",
            )
        if config.policy.specific and not plan.expected:
            return ServingError(
                Code.NOT_FOUND,
                f"{nothing} that its policy names: {sorted(config.policy.specific)}; there are "
                f"{sorted(plan.folders)[-5:]}",
            )
        return None

    def _log(self, problem: ServingError | None, unready: dict[int, ServingError]) -> None:
        """Logs every problem once."""
        if problem and (self._problem is None or problem.message != self._problem.message):
            logger.warning("%s", problem.message)
        for number, error in unready.items():
            if number in self._awaited or number not in self._unready:
                logger.warning("model %s version %d: %s", self.name, number, error.message)
