"""A folder of models with fake servables, and managers that serve them."""

import contextlib
import logging
import shutil
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.config import ServerConfig
from serving.errors import Code, ServingError
from serving.manager.model_config import ModelConfig
from serving.manager.model_manager import ModelManager
from serving.manager.version_policy import VersionPolicy
from serving.manager.write_detection import WriteDetection
from serving.model_spec import ModelSpec


class Fake:
    """Fake of a servable."""

    def __init__(self, folder: str) -> None:
        self.folder, self.closed = folder, False

    def close(self) -> None:
        self.closed = True


class World:
    """A folder of models, managers that serve it, and a list of what they did."""

    EMPTY_MODEL = b"\x08\x01\x12\x00"  # a SavedModel with one empty graph

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[str] = []
        self.broken: set[str] = set()
        self.held: dict[str, threading.Event] = {}  # loads that wait
        self.alive: list[weakref.ref] = []
        self.managers: list[ModelManager] = []
        self.detection = WriteDetection(quiet_seconds=-1.0)  # files just written are old enough

    def add(self, name: str, *versions: int, content: bytes = EMPTY_MODEL) -> Path:
        for version in versions:
            aside = self.root / f"aside-{name}-{version}"
            aside.mkdir(parents=True)
            (aside / "saved_model.pb").write_bytes(content)
            (self.root / name).mkdir(exist_ok=True)
            aside.rename(self.root / name / str(version))
        return self.root / name

    def remove(self, name: str, *versions: int) -> None:
        for version in versions:
            shutil.rmtree(self.root / name / str(version))

    def hold(self, name: str, version: int) -> threading.Event:
        return self.held.setdefault(f"{name}/{version}", threading.Event())

    def load(self, folder: str) -> Fake:
        what = "/".join(Path(folder).parts[-2:])
        self.events.append(f"load {what}")
        if what in self.held:
            assert self.held[what].wait(30)
        if what in self.broken:
            raise ServingError(Code.DATA_LOSS, f"{what} is broken")
        fake = Fake(folder)
        self.alive.append(weakref.ref(fake))
        return fake

    def before_close(self, servable: Fake) -> None:
        self.events.append("unload " + "/".join(Path(servable.folder).parts[-2:]))
        assert not servable.closed

    def config(self, name: str, policy: VersionPolicy | None = None, **labels: int) -> ModelConfig:
        return ModelConfig(name, str(self.root / name), policy or VersionPolicy(), labels)

    def manager(self, *models: ModelConfig | str, **settings) -> ModelManager:
        defaults = {"file_system_poll_wait_seconds": 0.02, "load_retry_interval_micros": 30_000}
        prepare = settings.pop("prepare", lambda servable: None)
        manager = ModelManager(
            ServerConfig(**{**defaults, **settings}),
            [self.config(model) if isinstance(model, str) else model for model in models],
            prepare,
            self.before_close,
            load=self.load,
            detection=self.detection,
        )
        self.managers.append(manager)
        return manager

    def started(self, *models: ModelConfig | str, **settings) -> ModelManager:
        manager = self.manager(*models, **settings)
        manager.start()
        return manager

    @staticmethod
    def eventually(true: Callable[[], object], seconds: float = 10) -> None:
        """Waits until a condition holds; a `ServingError` counts as not yet."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(ServingError):
                if true():
                    return
            assert time.monotonic() < end, f"not after {seconds} s"
            time.sleep(0.005)

    @staticmethod
    def states(manager: ModelManager, name: str) -> dict[int, str]:
        return {row.version: row.state.name for row in manager.statuses(name)}

    @staticmethod
    def version_of(manager: ModelManager, name: str, version: int | None = None, label: str | None = None) -> int:
        with manager.acquire(ModelSpec(name, version, label)) as handle:
            assert (handle.name, handle.servable.closed) == (name, False)
            return handle.version

    @staticmethod
    def refusal(manager: ModelManager, *spec) -> ServingError:
        with pytest.raises(ServingError) as caught, manager.acquire(ModelSpec(*spec)):
            pass
        return caught.value


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    for event in world.held.values():
        event.set()
    for manager in world.managers:
        manager.stop()


@pytest.fixture(autouse=True)
def _logs(caplog):
    caplog.set_level(logging.INFO)
