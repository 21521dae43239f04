"""Manager of all models of a server: which are served, which requests use them, and changes at run time."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from serving.config import ServerConfig
from serving.errors import Code, ServingError, invalid
from serving.manager.lease import Lease
from serving.manager.loader import Loader
from serving.manager.memory import settle_memory
from serving.manager.model_config import ModelConfig, check, read_config_file
from serving.manager.model_watcher import ModelWatcher
from serving.manager.version import Version
from serving.manager.version_labels import VersionLabels
from serving.manager.version_status import VersionStatus
from serving.manager.write_detection import WriteDetection
from serving.metrics import Metrics
from serving.model_spec import ModelSpec
from serving.servable import Servable
from serving.storage.file_systems import find_versions, open_storage

logger = logging.getLogger(__name__)

_STOP_SECONDS = 10.0  # for loads in progress when the server ends
_MAX_REMOVED = 100  # removed models whose statuses are kept
_MAX_LISTED = 10  # names or numbers in a hint


def _nothing(_: Servable) -> None:
    pass


class ModelManager:
    """Keeps the versions of all configured models loaded and up to date.

    Args:
        config: Settings of the server.
        models: Models to serve at the start.
        prepare: Runs on the loading thread before a version becomes available; a `ServingError` fails the load.
        before_close: Runs after the last request has left a version that is to be unloaded.
        metrics: Receives attempts and latencies of loads; None for none.
        load: Makes a servable from a path; None for `Servable` with the configured tags and threads.
        detection: Times after which a version's files count as completely written.
    """

    def __init__(
        self,
        config: ServerConfig,
        models: Sequence[ModelConfig] = (),
        prepare: Callable[[Servable], None] = _nothing,
        before_close: Callable[[Servable], None] = _nothing,
        metrics: Metrics | None = None,
        load: Callable[[str], Servable] | None = None,
        detection: WriteDetection | None = None,
    ) -> None:
        self._settings, self._first = config, models
        self._detection = detection or WriteDetection()
        self._loader = Loader(config, prepare, before_close, metrics, load)
        self._labels = VersionLabels(config.allow_version_labels_for_unavailable_models)
        self._models: Mapping[str, ModelWatcher] = {}  # replaced, never changed: requests read it without a lock
        self._reloading = threading.Lock()
        self._changed = threading.Condition()
        self._stopped = False
        self._stopping = threading.Event()

    def start(self) -> None:
        """Loads all models; returns when every wanted version is available or has failed.

        If several models are configured, one whose base path has no version yet is only logged, and is served as soon
        as it has one.

        Raises:
            ServingError: A model did not become available, no model has a version, or a label names a version that is
                not available.
        """
        settle_memory()
        with self._reloading:
            self._serve(self._first, starting=True)
        self._loader.yields_to_requests = True
        if self._settings.model_config_file and self._settings.model_config_file_poll_wait_seconds > 0:
            threading.Thread(target=self._poll_config_file, name="model config file", daemon=True).start()

    def reload(self, models: Sequence[ModelConfig]) -> None:
        """Replaces the served models; returns when the new ones are available or have failed.

        Args:
            models: All models to serve. Models that are served already and stay are not loaded again.

        Raises:
            ServingError: The models cannot be served together (nothing has changed then), or one did not become
                available.
        """
        with self._reloading:
            self._serve(models, starting=False)

    def acquire(self, spec: ModelSpec) -> Lease:
        """Keeps a version loaded for the length of a block: `with manager.acquire(spec) as handle`. Takes 1 us.

        Raises:
            ServingError: On entering: NOT_FOUND if no such version is available, INVALID_ARGUMENT for an unknown
                label or an empty model name.
        """
        return Lease(self.find, spec)

    def find(self, spec: ModelSpec) -> tuple[ModelWatcher, Version]:
        """Returns the version that a request names, with its model.

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

    def statuses(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """Returns the statuses of a model's versions, newest first.

        Args:
            name: Name of the model.
            version: Number of a version; None for all.

        Raises:
            ServingError: NOT_FOUND: There is no such model or version.
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
        """Returns the available versions of every configured model, newest first; an empty list without any."""
        return {
            name: sorted(model.versions.serving, reverse=True) for name, model in self._models.items() if model.config
        }

    def stop(self) -> None:
        """Unloads all versions that no request uses, and waits up to 10 s for loads in progress."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._stopping.set()
        for model in self._models.values():
            model.update(None)
        with self._changed:
            self._changed.wait_for(lambda: all(model.finished for model in self._models.values()), _STOP_SECONDS)

    def _not_found(self, name: str, model: ModelWatcher | None, number: int | None) -> ServingError:
        if not name:
            return invalid("ModelSpec has no name specified.")
        if model is None or model.config is None:
            names = list(self.available())
            hint = f"this server has {_listed(names)}" if names else "this server has no model"
        elif model.versions.serving:
            hint = f"available versions: {_listed(sorted(model.versions.serving, reverse=True))}"
        else:
            hint = "no version is available; GET /v1/models/NAME or GetModelStatus reports the reason"
        return ServingError(Code.NOT_FOUND, f"Servable not found for request: {ModelSpec(name, number)}; {hint}")

    def _serve(self, models: Sequence[ModelConfig], starting: bool) -> None:
        before = {name: model for name, model in self._models.items() if model.config}
        check(models, [model.config for model in before.values() if model.config], self._settings.roots)
        if not starting:
            configs = {config.name: config for config in models}
            # Labels that can be known to be wrong are refused before anything changes.
            self._labels.check(models, lambda name, number: name not in before or self._may_come(configs[name], number))
            self._labels.move(models, self._is_available)
        now = self._replace(models, before)
        added = {name: model for name, model in now.items() if name not in before}
        self._wait(now, added, models)
        self._raise_failures(list(added.values()), starting)
        self._labels.replace(models, self._is_available)

    def _replace(self, models: Sequence[ModelConfig], before: Mapping[str, ModelWatcher]) -> dict[str, ModelWatcher]:
        """Configures the watchers of these models, ends all others, and returns the former."""
        names = {model.name for model in models}
        removed = {name: model for name, model in self._models.items() if name not in names}
        for name in list(removed)[: max(0, len(removed) - _MAX_REMOVED)]:
            if removed[name].finished:
                del removed[name]
        now = {config.name: self._models.get(config.name) or self._watcher(config.name) for config in models}
        self._models = {**now, **removed}
        for name in removed.keys() & before.keys():
            removed[name].update(None)
        for config in models:
            now[config.name].update(config)
        return now

    def _watcher(self, name: str) -> ModelWatcher:
        return ModelWatcher(name, self._settings, self._loader, self._notify, self._detection)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _wait(
        self, now: Mapping[str, ModelWatcher], added: Mapping[str, ModelWatcher], models: Sequence[ModelConfig]
    ) -> None:
        labelled = {config.name: config.labels.values() for config in models}

        def settled() -> bool:
            return self._stopped or all(
                model.settled(None if name in added else labelled[name]) for name, model in now.items()
            )

        with self._changed:
            self._changed.wait_for(settled)
            if self._stopped:
                raise ServingError(Code.CANCELLED, "the server is shutting down")

    def _raise_failures(self, models: Sequence[ModelWatcher], starting: bool) -> None:
        failures = [failure for failure in (model.failure() for model in models) if failure]
        if starting and any(model.versions.newest for model in models):
            # An empty base path must not keep the other models from being served; a failed load must.
            failures = [failure for failure in failures if failure.attempted]
        if failures:
            kind = "servable" if starting else "model"
            listed = ", ".join(
                f"{{{each.servable} due to error: {each.error.code.name}: {each.error.message}}}" for each in failures
            )
            raise ServingError(Code.UNKNOWN, f"{len(failures)} {kind}(s) did not become available: {{{listed}}}")

    def _is_available(self, name: str, version: int) -> bool:
        return name in self._models and version in self._models[name].versions.serving

    def _may_come(self, config: ModelConfig, version: int) -> bool:
        if self._is_available(config.name, version):
            return True
        try:
            return version in config.policy.choose(find_versions(open_storage(config.base_path)))
        except Exception as error:  # a storage may raise anything
            logger.warning("cannot list %s: %s", config.base_path, error)
            return False

    def _poll_config_file(self) -> None:
        path = self._settings.model_config_file
        logged = ""
        while not self._stopping.wait(self._settings.model_config_file_poll_wait_seconds):
            try:
                models = read_config_file(path)
                if models is not None:
                    self.reload(models)
                logged = ""
            except ServingError as error:
                if error.message != logged and not self._stopping.is_set():
                    logger.error("%s is not applied: %s", path, error.message)
                logged = error.message
            except Exception:
                logger.exception("%s is not applied", path)


def _listed(things: Sequence[object]) -> str:
    return ", ".join(map(str, things[:_MAX_LISTED])) + (", ..." if len(things) > _MAX_LISTED else "")
