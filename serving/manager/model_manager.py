"""All models of the server: which are served, who uses them, and how that changes while it runs."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from serving.config import ServerConfig
from serving.errors import Code, ServingError, invalid
from serving.manager.loader import Loader
from serving.manager.memory import settle_memory
from serving.manager.model_config import ModelConfig, check, read_config_file
from serving.manager.model_watcher import ModelWatcher
from serving.manager.version import Handle, Version
from serving.manager.version_labels import VersionLabels
from serving.manager.version_status import State, VersionStatus
from serving.metrics import Metrics
from serving.model_spec import ModelSpec
from serving.servable import Servable
from serving.storage.file_systems import find_versions, open_storage

__all__ = ["Handle", "ModelManager", "State", "VersionStatus"]

logger = logging.getLogger(__name__)

_STOP_SECONDS = 10.0  # that loads in progress have when the server ends
_MAX_REMOVED = 100  # models whose ended versions are remembered
_MAX_NAMED = 10  # in a hint


def _nothing(_: Servable) -> None:
    pass


class ModelManager:
    """Keeps the versions of all models that are configured, loaded and up to date.

    Args:
        config: All settings.
        models: What to serve at first.
        prepare: Runs on the loading thread before a version is available; a ServingError fails the load.
        before_close: Runs when the last request has left a version that is to be unloaded.
        metrics: Receives attempts and times of loads.
        load: Makes a servable from a path; None for `Servable` with the settings' tags and threads.
    """

    def __init__(
        self,
        config: ServerConfig,
        models: Sequence[ModelConfig] = (),
        prepare: Callable[[Servable], None] = _nothing,
        before_close: Callable[[Servable], None] = _nothing,
        metrics: Metrics | None = None,
        load: Callable[[str], Servable] | None = None,
    ) -> None:
        self._settings, self._first = config, models
        self._loader = Loader(config, prepare, before_close, metrics, load)
        self._labels = VersionLabels(config.allow_version_labels_for_unavailable_models)
        self._models: Mapping[str, ModelWatcher] = {}  # replaced, never changed: requests read it without a lock
        self._reloading = threading.Lock()
        self._changed = threading.Condition()
        self._stopped = False
        self._stopping = threading.Event()

    def start(self) -> None:
        """Loads all models; returns when every version that is wanted is available, or has failed.

        A model of several whose base path has no version yet is only reported, and served once there is one.

        Raises:
            ServingError: A model did not become available, none has a version, or a label's version is not there.
        """
        settle_memory()
        with self._reloading:
            self._serve(self._first, starting=True)
        self._loader.gives_way = True
        if self._settings.model_config_file and self._settings.model_config_file_poll_wait_seconds > 0:
            threading.Thread(target=self._poll_config_file, name="model config file", daemon=True).start()

    def reload(self, models: Sequence[ModelConfig]) -> None:
        """Serves these models and no others. Blocks until those that are new are available, or have failed.

        Args:
            models: All that are to be served; what is served already and stays is not loaded again.

        Raises:
            ServingError: They cannot be served together (nothing has changed then), or one did not become available.
        """
        with self._reloading:
            self._serve(models, starting=False)

    def acquire(self, spec: ModelSpec) -> "Lease":
        """A version that stays loaded as long as the block runs: `with manager.acquire(spec) as handle`. Some 1 us.

        Raises:
            ServingError: On entering: NOT_FOUND when no such version is available, INVALID_ARGUMENT for an unknown
                label or a model without a name.
        """
        return Lease(self, spec)

    def find(self, spec: ModelSpec) -> tuple[ModelWatcher, Version]:
        """The version that a request means.

        Raises:
            ServingError: As `acquire`.
        """
        model, number = self._models.get(spec.name), spec.version
        if spec.version_label is not None:
            number = self._labels.version(spec.name, spec.version_label)
        if model is not None:
            version = model.versions.newest if number is None else model.versions.serving.get(number)
            if version is not None:
                return model, version
        raise self._not_found(spec.name, model, number)

    def _not_found(self, name: str, model: ModelWatcher | None, number: int | None) -> ServingError:
        if not name:
            return invalid("ModelSpec has no name specified.")
        if model is None or model.config is None:
            names = list(self.available())
            hint = f"this server has {_some(names)}" if names else "this server has no model"
        elif model.versions.serving:
            hint = f"available versions: {_some(sorted(model.versions.serving, reverse=True))}"
        else:
            hint = "no version of it is available; GET /v1/models/NAME or GetModelStatus tells why"
        return ServingError(Code.NOT_FOUND, f"Servable not found for request: {ModelSpec(name, number)}; {hint}")

    def statuses(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """Where the versions of a model are, newest first.

        Args:
            name: Of the model.
            version: One version; None for all.

        Raises:
            ServingError: NOT_FOUND.
        """
        model = self._models.get(name)
        rows = model.statuses() if model else []
        if version is not None:
            rows = [row for row in rows if row.version == version]
            if not rows:
                raise ServingError(Code.NOT_FOUND, f"Could not find version {version} of model {name}")
        if not rows:
            hint = f"; {model.problem.message}" if model and model.config and model.problem else ""
            raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {name}{hint}")
        return rows

    def available(self) -> Mapping[str, list[int]]:
        """Available versions of every configured model, newest first; none of one that has none."""
        return {
            name: sorted(model.versions.serving, reverse=True) for name, model in self._models.items() if model.config
        }

    def stop(self) -> None:
        """Unloads everything that nobody uses. Waits for loads in progress, but not long."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._stopping.set()
        for model in self._models.values():
            model.update(None)
        with self._changed:
            self._changed.wait_for(lambda: all(model.finished for model in self._models.values()), _STOP_SECONDS)

    def _serve(self, models: Sequence[ModelConfig], starting: bool) -> None:
        before = {name: model for name, model in self._models.items() if model.config}
        roots = [root.strip() for root in self._settings.model_roots.split(",") if root.strip()]
        check(models, [model.config for model in before.values() if model.config], roots)
        if not starting:
            configs = {config.name: config for config in models}
            # What can be known to be wrong is refused before anything changes.
            self._labels.check(models, lambda name, number: name not in before or self._may_come(configs[name], number))
            self._labels.move(models, self._is_available)
        names = {model.name for model in models}
        removed = {name: model for name, model in self._models.items() if name not in names}
        for name in list(removed)[: max(0, len(removed) - _MAX_REMOVED)]:
            if removed[name].finished:
                del removed[name]
        now = {config.name: self._models.get(config.name) or self._new(config.name) for config in models}
        self._models = {**now, **removed}
        for name in removed.keys() & before.keys():
            removed[name].update(None)
        for config in models:
            now[config.name].update(config)
        awaited = {name: model for name, model in now.items() if name not in before}
        self._wait(now, awaited, models)
        self._judge(list(awaited.values()), starting)
        self._labels.replace(models, self._is_available)

    def _new(self, name: str) -> ModelWatcher:
        return ModelWatcher(name, self._settings, self._loader, self._notify)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _wait(
        self, now: Mapping[str, ModelWatcher], awaited: Mapping[str, ModelWatcher], models: Sequence[ModelConfig]
    ) -> None:
        labelled = {config.name: config.labels.values() for config in models}

        def settled() -> bool:
            return self._stopped or all(
                model.settled(None if name in awaited else labelled[name]) for name, model in now.items()
            )

        with self._changed:
            self._changed.wait_for(settled)
            if self._stopped:
                raise ServingError(Code.CANCELLED, "the server is shutting down")

    def _judge(self, models: Sequence[ModelWatcher], starting: bool) -> None:
        failures = [failure for failure in (model.failure() for model in models) if failure]
        if starting and any(model.versions.newest for model in models):
            # One empty base path is no reason to keep the others from their users; a model that fails to load is.
            failures = [failure for failure in failures if failure.tried]
        if failures:
            kind = "servable" if starting else "model"
            listed = ", ".join(
                f"{{{one.what} due to error: {one.error.code.name}: {one.error.message}}}" for one in failures
            )
            raise ServingError(Code.UNKNOWN, f"{len(failures)} {kind}(s) did not become available: {{{listed}}}")

    def _is_available(self, name: str, version: int) -> bool:
        return name in self._models and version in self._models[name].versions.serving

    def _may_come(self, config: ModelConfig, version: int) -> bool:
        if self._is_available(config.name, version):
            return True
        try:
            return version in config.policy.choose(find_versions(open_storage(config.base_path)))
        except Exception as error:  # whatever a storage may raise
            logger.warning("%s cannot be listed: %s", config.base_path, error)
            return False

    def _poll_config_file(self) -> None:
        path = self._settings.model_config_file
        complaint = ""
        while not self._stopping.wait(self._settings.model_config_file_poll_wait_seconds):
            try:
                models = read_config_file(path)
                if models is not None:
                    self.reload(models)
                complaint = ""
            except ServingError as error:
                if error.message != complaint and not self._stopping.is_set():
                    logger.error("%s is not followed: %s", path, error.message)
                complaint = error.message
            except Exception:
                logger.exception("%s is not followed", path)


def _some(things: Sequence[object]) -> str:
    return ", ".join(map(str, things[:_MAX_NAMED])) + (", ..." if len(things) > _MAX_NAMED else "")


class Lease:
    """The use of a version by one request, as a context manager that gives its `Handle`."""

    __slots__ = ("_manager", "_model", "_spec", "_version")

    def __init__(self, manager: ModelManager, spec: ModelSpec) -> None:
        self._manager, self._spec = manager, spec

    def __enter__(self) -> Handle:
        while True:
            self._model, self._version = self._manager.find(self._spec)
            if handle := self._version.enter():
                return handle
            # It left between the two lines; by now it is not found any more, but the one after it may be.

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._version.leave():
            self._model.wake()
