"""Life of models and versions, with fake servables: what is loaded and unloaded, and in which order."""

import contextlib
import gc
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
from serving.manager.loader import Loader
from serving.manager.model_config import ModelConfig
from serving.manager.model_manager import ModelManager
from serving.manager.version_policy import VersionPolicy
from serving.manager.version_set import Plan, VersionSet
from serving.manager.write_detection import WriteDetection
from serving.model_spec import ModelSpec
from serving.storage.file_systems import open_storage

EMPTY_MODEL = b"\x08\x01\x12\x00"  # a SavedModel with one empty graph


class Fake:
    """Fake of a servable."""

    def __init__(self, folder: str) -> None:
        self.folder, self.closed = folder, False

    def close(self) -> None:
        self.closed = True


class World:
    """A folder of models, managers that serve it, and a list of what they did."""

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


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    for event in world.held.values():
        event.set()
    for manager in world.managers:
        manager.stop()


def eventually(true: Callable[[], object], seconds: float = 10) -> None:
    """Waits until a condition holds; a `ServingError` counts as not yet."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(ServingError):
            if true():
                return
        assert time.monotonic() < end, f"not after {seconds} s"
        time.sleep(0.005)


def states(manager: ModelManager, name: str) -> dict[int, str]:
    return {row.version: row.state.name for row in manager.statuses(name)}


def version_of(manager: ModelManager, name: str, version: int | None = None, label: str | None = None) -> int:
    with manager.acquire(ModelSpec(name, version, label)) as handle:
        assert (handle.name, handle.servable.closed) == (name, False)
        return handle.version


def refusal(manager: ModelManager, *spec) -> ServingError:
    with pytest.raises(ServingError) as caught, manager.acquire(ModelSpec(*spec)):
        pass
    return caught.value


# Policies.


def test_the_newest_is_served_by_default(world):
    world.add("m", 1, 3, 2)
    manager = world.started("m")
    assert version_of(manager, "m") == version_of(manager, "m", 3) == 3
    assert states(manager, "m") == {3: "AVAILABLE"}
    assert world.events == ["load m/3"]
    assert manager.available() == {"m": [3]}


def test_policies(world):
    world.add("m", 1, 2, 3, 4)
    policies = {
        VersionPolicy(newest=2): [4, 3],
        VersionPolicy(newest=0): [4],
        VersionPolicy(newest=None): [4, 3, 2, 1],
        VersionPolicy(specific=frozenset({1, 3, 9})): [3, 1],
    }
    for policy, served in policies.items():
        assert world.started(world.config("m", policy)).available() == {"m": served}


def test_no_versions_named_serve_none(world):
    world.add("m", 1)
    manager = world.started(world.config("m", VersionPolicy(specific=frozenset())))
    assert manager.available() == {"m": []}
    assert refusal(manager, "m").code is Code.NOT_FOUND


def test_the_highest_version_is_loaded_first(world):
    world.add("m", 1, 2, 3)
    world.started(world.config("m", VersionPolicy(newest=None)), num_load_threads=1)
    assert world.events == ["load m/3", "load m/2", "load m/1"]


def test_latest_means_the_highest_that_is_available(world):
    world.add("m", 1)
    manager = world.started(world.config("m", VersionPolicy(newest=2)))
    release = world.hold("m", 2)
    world.add("m", 2)
    eventually(lambda: states(manager, "m").get(2) == "LOADING")
    assert version_of(manager, "m") == 1
    assert refusal(manager, "m", 2).message.startswith("Servable not found for request: Specific(m, 2)")
    release.set()
    eventually(lambda: version_of(manager, "m") == 2)
    assert version_of(manager, "m", 1) == 1


# Swaps.


def test_the_new_version_is_loaded_before_the_old_one_is_unloaded(world):
    world.add("m", 1)
    manager = world.started("m")
    world.add("m", 2)
    eventually(lambda: states(manager, "m") == {2: "AVAILABLE", 1: "END"})
    assert world.events == ["load m/1", "load m/2", "unload m/1"]
    assert [row.version for row in manager.statuses("m")] == [2, 1]


def test_a_request_finishes_on_the_version_that_it_began_with(world):
    world.add("m", 1)
    manager = world.started("m")
    with manager.acquire(ModelSpec("m")) as handle:
        world.add("m", 2)
        eventually(lambda: states(manager, "m") == {2: "AVAILABLE", 1: "UNLOADING"})
        assert version_of(manager, "m") == 2
        assert refusal(manager, "m", 1).code is Code.NOT_FOUND
        time.sleep(0.1)
        assert handle.version == 1
        assert not handle.servable.closed
    eventually(lambda: states(manager, "m")[1] == "END")
    assert handle.servable.closed


def test_memory_is_released(world):
    world.add("m", 1)
    manager = world.started("m")
    for version in range(2, 6):
        world.add("m", version)
        eventually(
            lambda new=version: states(manager, "m") == {**dict.fromkeys(range(1, new), "END"), new: "AVAILABLE"}
        )
    eventually(lambda: sum(ref() is not None for ref in world.alive) == 1)


def test_no_request_fails_during_swaps(world):
    world.add("m", 1)
    manager = world.started("m")
    done, failures, seen = threading.Event(), [], set()

    def ask() -> None:
        while not done.is_set():
            try:
                seen.add(version_of(manager, "m"))
            except Exception as error:
                failures.append(error)
            time.sleep(0.0002)  # without a pause, three busy threads keep the loads from Python's lock

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for version in range(2, 31):
        world.add("m", version)
        eventually(lambda version=version: version in manager.available()["m"])
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(seen) > 20


def test_removing_the_newest_returns_to_the_one_before(world):
    world.add("m", 1, 2)
    manager = world.started("m")
    world.remove("m", 2)
    eventually(lambda: states(manager, "m") == {2: "END", 1: "AVAILABLE"})
    assert world.events == ["load m/2", "load m/1", "unload m/2"]


def test_removing_all_versions_unloads_and_a_new_one_comes_back(world):
    world.add("m", 1)
    manager = world.started("m")
    world.remove("m", 1)
    eventually(lambda: states(manager, "m") == {1: "END"})
    assert refusal(manager, "m").message.startswith("Servable not found for request: Latest(m)")
    world.add("m", 1)
    eventually(lambda: states(manager, "m") == {1: "AVAILABLE"})


def test_a_base_path_that_vanishes_leaves_the_loaded_versions(world, caplog):
    world.add("m", 1)
    manager = world.started("m")
    (world.root / "m").rename(world.root / "away")
    eventually(lambda: "Could not find base path" in caplog.text)
    time.sleep(0.1)
    assert version_of(manager, "m") == 1
    assert caplog.text.count("Could not find base path") == 1
    (world.root / "away").rename(world.root / "m")
    world.add("m", 2)
    eventually(lambda: version_of(manager, "m") == 2)


def test_only_the_last_ended_versions_are_remembered(world):
    storage = open_storage(str(world.add("m", *range(1, 9))))
    loader = Loader(ServerConfig(), lambda servable: None, world.before_close, None, world.load)
    versions = VersionSet("m", loader, retries=0, retry_seconds=0, wake=lambda: None, max_ended=3)
    folders = {number: str(number) for number in range(1, 9)}
    for number in folders:
        plan = Plan(storage, folders, {number: storage.files(str(number)).stamps}, {number})
        eventually(lambda plan=plan, number=number: versions.step(plan) or list(versions.serving) == [number])
        versions.step(plan)
    found = {number: status.state.name for number, status in versions.statuses().items()}
    assert found == {8: "AVAILABLE", 7: "END", 6: "END", 5: "END"}


# Incomplete versions.


def test_a_half_written_folder_is_left_alone_until_it_is_complete(world):
    world.detection = WriteDetection(quiet_seconds=60.0, recheck_seconds=0.3)
    world.add("m", 1)
    manager = world.started("m")
    folder = world.root / "m" / "2"
    folder.mkdir()
    eventually(lambda: states(manager, "m") == {2: "START", 1: "AVAILABLE"})
    eventually(lambda: manager.statuses("m")[0].code is Code.NOT_FOUND)
    assert manager.statuses("m")[0].message.startswith("Could not find SavedModel .pb or .pbtxt at supplied export")
    for _ in range(20):  # a file that grows, and is complete at every look
        with (folder / "saved_model.pb").open("ab") as file:
            file.write(EMPTY_MODEL)
        time.sleep(0.05)
        assert "load m/2" not in world.events
    eventually(lambda: states(manager, "m") == {2: "AVAILABLE", 1: "END"})
    assert version_of(manager, "m") == 2


def test_the_old_version_stays_while_its_only_successor_is_written(world):
    world.add("m", 1)
    manager = world.started("m")
    (world.root / "m" / "2").mkdir()
    eventually(lambda: 2 in states(manager, "m"))
    world.remove("m", 1)
    time.sleep(0.2)
    assert version_of(manager, "m") == 1
    (world.root / "m" / "2" / "saved_model.pb").write_bytes(EMPTY_MODEL)
    eventually(lambda: states(manager, "m") == {2: "AVAILABLE", 1: "END"})


def test_the_newest_complete_version_is_served_at_the_start(world):
    world.add("m", 1, 2)
    (world.root / "m" / "3").mkdir()
    manager = world.started("m")
    assert version_of(manager, "m") == 2
    assert states(manager, "m") == {3: "START", 2: "AVAILABLE"}


def test_unusual_files_that_stay_are_judged_by_the_loader(world):
    world.detection = WriteDetection(-1.0, recheck_seconds=0.05, patience_seconds=0.3)
    world.add("m", 1)
    manager = world.started("m", max_num_load_retries=0)
    world.broken.add("m/2")
    start = time.monotonic()
    world.add("m", 2, content=b"no model at all")
    eventually(lambda: states(manager, "m") == {2: "END", 1: "AVAILABLE"})
    assert time.monotonic() - start > 0.25
    assert manager.statuses("m", 2)[0].code is Code.DATA_LOSS


def test_a_folder_that_cannot_be_read_affects_no_other(world):
    world.detection = WriteDetection(-1.0, recheck_seconds=0.05, patience_seconds=0.2)
    world.add("m", 1)
    manager = world.started(world.config("m", VersionPolicy(newest=None)), max_num_load_retries=0)
    world.broken.add("m/2")
    (world.root / "m" / "2" / "saved_model.pb").mkdir(parents=True)
    (world.root / "m" / "3" / "variables" / "variables.index").mkdir(parents=True)
    world.add("m", 4)
    eventually(lambda: states(manager, "m") == {4: "AVAILABLE", 3: "START", 2: "START", 1: "AVAILABLE"})


# Versions that do not load.


def test_a_broken_version_is_reported_and_the_one_before_keeps_serving(world, caplog):
    world.add("m", 1)
    manager = world.started("m", max_num_load_retries=2)
    world.broken.add("m/2")
    world.add("m", 2)
    eventually(lambda: states(manager, "m").get(2) == "END")
    (row,) = manager.statuses("m", 2)
    assert (row.code, row.message) == (Code.DATA_LOSS, "m/2 is broken")
    assert world.events.count("load m/2") == 3
    assert version_of(manager, "m") == 1
    assert "model m version 2 does not load (given up until its files change): DATA_LOSS: m/2 is broken" in caplog.text
    time.sleep(0.15)
    assert world.events.count("load m/2") == 3  # not again while its files stay the same
    world.add("m", 3)
    eventually(lambda: states(manager, "m") == {3: "AVAILABLE", 2: "END", 1: "END"})


def test_a_broken_version_is_tried_again_when_it_comes_back(world):
    world.add("m", 1)
    manager = world.started("m", max_num_load_retries=0)
    world.broken.add("m/2")
    world.add("m", 2)
    eventually(lambda: states(manager, "m").get(2) == "END")
    world.remove("m", 2)
    time.sleep(0.1)
    world.broken.clear()
    world.add("m", 2)
    eventually(lambda: states(manager, "m") == {2: "AVAILABLE", 1: "END"})


def test_a_broken_version_is_tried_again_when_its_files_change(world):
    world.add("m", 1)
    manager = world.started("m", max_num_load_retries=0)
    world.broken.add("m/2")
    world.add("m", 2)
    eventually(lambda: states(manager, "m").get(2) == "END")
    world.broken.clear()
    (world.root / "m" / "2" / "saved_model.pb").write_bytes(EMPTY_MODEL + EMPTY_MODEL)
    eventually(lambda: states(manager, "m") == {2: "AVAILABLE", 1: "END"})


def test_a_retry_can_succeed(world):
    world.add("m", 1)
    world.broken.add("m/1")
    manager = world.manager("m")
    threading.Timer(0.05, world.broken.clear).start()
    manager.start()
    assert version_of(manager, "m") == 1
    assert manager.statuses("m")[0].code is Code.OK


def test_retries_and_slow_loads_block_no_other_version_or_model(world):
    world.add("a", 1)
    world.add("b", 1)
    manager = world.started("a", "b", load_retry_interval_micros=3_600_000_000)
    world.broken.add("a/2")
    world.hold("a", 3)
    world.add("a", 2)
    eventually(lambda: (row := manager.statuses("a")[0]).version == 2 and row.code is Code.DATA_LOSS)
    assert states(manager, "a")[2] == "LOADING"  # the next attempt is an hour away
    world.add("a", 3)
    eventually(lambda: states(manager, "a").get(3) == "LOADING")
    eventually(lambda: states(manager, "a").get(2) == "END")  # no longer wanted
    world.add("b", 2)
    eventually(lambda: version_of(manager, "b") == 2)
    world.add("a", 4)
    eventually(lambda: version_of(manager, "a") == 4)


def test_a_load_that_is_no_longer_wanted_is_unloaded_when_it_is_done(world):
    world.add("m", 1)
    manager = world.started("m")
    release = world.hold("m", 2)
    world.add("m", 2)
    eventually(lambda: states(manager, "m").get(2) == "LOADING")
    world.add("m", 3)
    eventually(lambda: version_of(manager, "m") == 3)
    release.set()
    eventually(lambda: states(manager, "m") == {3: "AVAILABLE", 2: "END", 1: "END"})
    assert "unload m/2" in world.events


def test_any_exception_fails_the_load_and_closes_the_servable(world):
    made = []

    def prepare(servable: Fake) -> None:
        made.append(servable)
        if servable.folder.endswith("2"):
            raise KeyError("warm-up")

    world.add("m", 1)
    manager = world.started("m", prepare=prepare, max_num_load_retries=0)
    world.add("m", 2)
    eventually(lambda: states(manager, "m").get(2) == "END")
    (row,) = manager.statuses("m", 2)
    assert row.code is Code.INTERNAL
    assert "KeyError: 'warm-up'" in row.message
    assert [servable.closed for servable in made] == [False, True]
    assert "unload m/2" not in world.events


# The start.


def test_start_fails_with_a_broken_model(world):
    world.add("good", 1)
    world.add("bad", 1)
    world.broken.add("bad/1")
    with pytest.raises(ServingError) as caught:
        world.started("good", "bad", max_num_load_retries=1)
    assert caught.value.message == (
        "1 servable(s) did not become available: {{{name: bad version: 1} due to error: DATA_LOSS: bad/1 is broken}}"
    )


def test_start_without_any_version_names_the_cure(world):
    with pytest.raises(ServingError, match=r"1 servable\(s\) .*Could not find base path .*/m for servable m"):
        world.started("m")
    (world.root / "m").mkdir()
    with pytest.raises(ServingError, match=r"No versions of servable m .* leaf directory as a number \(eg. '/1/'\)"):
        world.started("m")
    world.add("m", 1)
    with pytest.raises(ServingError, match=r"that its policy names: \[7\]; there are \[1\]"):
        world.started(world.config("m", VersionPolicy(specific=frozenset({7}))))


def test_a_missing_base_path_affects_its_own_model_only(world, caplog):
    world.add("good", 1)
    manager = world.started("good", "late")
    assert manager.available() == {"good": [1], "late": []}
    assert "Could not find base path" in caplog.text
    with pytest.raises(ServingError, match="Could not find any versions of model late; Could not find base path"):
        manager.statuses("late")
    world.add("good", 2)
    eventually(lambda: version_of(manager, "good") == 2)
    world.add("late", 5)
    eventually(lambda: version_of(manager, "late") == 5)


def test_start_waits_for_a_folder_that_is_being_written_and_gives_up_on_one_that_is_not(world):
    world.detection = WriteDetection(-1.0, recheck_seconds=0.1, patience_seconds=1.0)
    folder = world.root / "m" / "1"
    folder.mkdir(parents=True)
    manager = world.manager("m")
    threading.Timer(0.3, (folder / "saved_model.pb").write_bytes, [EMPTY_MODEL]).start()
    manager.start()
    assert version_of(manager, "m") == 1
    (world.root / "n" / "1").mkdir(parents=True)
    with pytest.raises(ServingError, match="name: n version: 1} due to error: NOT_FOUND: Could not find SavedModel"):
        world.started("n")


def test_base_paths_are_searched_once_when_configured_so(world):
    world.add("m", 1)
    manager = world.started("m", file_system_poll_wait_seconds=0)
    world.add("m", 2)
    time.sleep(0.2)
    assert states(manager, "m") == {1: "AVAILABLE"}
    manager.reload([world.config("m")])  # a reload searches again
    eventually(lambda: version_of(manager, "m") == 2)


def test_base_paths_are_never_searched_when_configured_so(world):
    world.add("m", 1)
    assert world.started("m", file_system_poll_wait_seconds=-1).available() == {"m": []}


def test_stop_interrupts_the_start(world):
    world.add("m", 1)
    release = world.hold("m", 1)
    manager = world.manager("m")
    errors = []

    def start() -> None:
        try:
            manager.start()
        except ServingError as error:
            errors.append(error.code)

    thread = threading.Thread(target=start)
    thread.start()
    eventually(lambda: world.events == ["load m/1"])
    threading.Timer(0.1, release.set).start()
    manager.stop()
    thread.join(5)
    assert errors == [Code.CANCELLED]


def test_stop_unloads_and_waits_for_no_request(world):
    world.add("a", 1)
    world.add("b", 1)
    manager = world.started("a", "b")
    with manager.acquire(ModelSpec("a")):
        start = time.monotonic()
        manager.stop()
        assert time.monotonic() - start < 2
    assert world.events[2:] == ["unload b/1"]


# Requests.


def test_errors_of_requests(world):
    world.add("m", 1)
    manager = world.started("m")
    assert refusal(manager, "x").message == "Servable not found for request: Latest(x); this server has m"
    assert refusal(manager, "m", 9).message == "Servable not found for request: Specific(m, 9); available versions: 1"
    assert refusal(manager, "m", None, "l").message == "Unrecognized servable version label: l"
    assert refusal(manager, "m", None, "l").code is refusal(manager, "").code is Code.INVALID_ARGUMENT
    assert refusal(manager, "").message == "ModelSpec has no name specified."
    with pytest.raises(ServingError, match="Could not find any versions of model x"):
        manager.statuses("x")
    with pytest.raises(ServingError, match="Could not find version 9 of model m"):
        manager.statuses("m", 9)


def test_acquire_takes_microseconds(world):
    world.add("m", 1)
    manager = world.started(world.config("m", None, stable=1))
    specs = [ModelSpec("m"), ModelSpec("m", 1), ModelSpec("m", version_label="stable")]
    best = 1.0
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(1000):
            for spec in specs:
                with manager.acquire(spec):
                    pass
        best = min(best, (time.perf_counter() - start) / 3000)
    assert best < 10e-6


def test_a_request_that_fails_releases_its_version(world):
    world.add("m", 1)
    manager = world.started("m")
    with pytest.raises(RuntimeError), manager.acquire(ModelSpec("m")):
        raise RuntimeError
    world.add("m", 2)
    eventually(lambda: states(manager, "m") == {2: "AVAILABLE", 1: "END"})


# Reload.


def test_reload_adds_keeps_and_removes(world):
    for name in "abc":
        world.add(name, 1)
    manager = world.started("a", "b")
    with manager.acquire(ModelSpec("a")):
        manager.reload([world.config("b"), world.config("c")])
        assert manager.available() == {"b": [1], "c": [1]}
        assert refusal(manager, "a").message.startswith("Servable not found for request: Latest(a)")
    eventually(lambda: states(manager, "a") == {1: "END"})
    assert sorted(world.events) == ["load a/1", "load b/1", "load c/1", "unload a/1"]
    manager.reload([])
    eventually(lambda: states(manager, "b") == states(manager, "c") == {1: "END"})
    assert manager.available() == {}
    manager.reload([world.config("a")])
    assert states(manager, "a") == {1: "AVAILABLE"}


def test_reload_of_a_policy(world):
    world.add("m", 1, 2, 3)
    manager = world.started("m")
    manager.reload([world.config("m", VersionPolicy(specific=frozenset({1, 2})))])
    eventually(lambda: states(manager, "m") == {1: "AVAILABLE", 2: "AVAILABLE", 3: "END"})
    # One new version is enough to unload the old one.
    assert world.events.index("unload m/3") > min(world.events.index("load m/1"), world.events.index("load m/2"))


def test_reload_waits_for_new_models_and_names_the_ones_that_fail(world):
    for name in ("a", "b", "slow"):
        world.add(name, 1)
    manager = world.started("a", max_num_load_retries=0)
    release = world.hold("slow", 1)
    threading.Timer(0.2, release.set).start()
    manager.reload([world.config("a"), world.config("slow")])
    assert version_of(manager, "slow") == 1
    world.broken.add("b/1")
    with pytest.raises(ServingError, match=r"2 model\(s\) did not become available: .*b/1 is broken.*base path"):
        manager.reload([world.config("a"), world.config("b"), world.config("none")])
    assert version_of(manager, "a") == 1
    world.add("none", 1)
    eventually(lambda: version_of(manager, "none") == 1)


def test_reload_refuses_invalid_models_and_changes_nothing(world):
    world.add("a", 1)
    world.add("b", 1)
    manager = world.started("a")
    wrong = {
        "Illegal to list model b multiple times in config list": [world.config("b"), world.config("b")],
        "Expected model b to have an absolute path or URI; got base_path..=b": [ModelConfig("b", "b")],
        "Illegal to change a model's platform": [ModelConfig("a", str(world.root / "a"), platform="other")],
        "Model b requests unsupported platform pytorch": [ModelConfig("b", "/b", platform="pytorch")],
        "have a name": [ModelConfig("", "/b")],
    }
    for message, models in wrong.items():
        with pytest.raises(ServingError, match=message):
            manager.reload(models)
        assert manager.available() == {"a": [1]}


def test_names_that_lead_out_of_a_folder_are_refused(world):
    manager = world.manager()
    for name in ("..", "../m", "a/../b", "/etc", "a\\..\\b", "a//b", "./a", "a\0b", "C:a", "a\n", "a/"):
        with pytest.raises(ServingError, match="looks like a path"):
            manager.reload([ModelConfig(name, str(world.root))])
    world.add("m", 1)
    manager.reload([ModelConfig("team/größer 2..0", str(world.root / "m"))])
    assert version_of(manager, "team/größer 2..0") == 1


def test_model_roots(world):
    world.add("in", 1)
    world.add("out", 1)
    (world.root / "in" / "2").symlink_to(world.root / "out" / "1")
    (world.root / "in2").mkdir()
    manager = world.started("in", model_roots=str(world.root / "in"))
    assert states(manager, "in") == {1: "AVAILABLE"}
    for path in (world.root / "out", world.root / "in" / ".." / "out", world.root / "in2", "gs://in/x"):
        with pytest.raises(ServingError, match="--model-roots allows") as caught:
            manager.reload([ModelConfig("m", str(path))])
        assert caught.value.code is Code.PERMISSION_DENIED


def test_the_config_file_is_followed(world, caplog):
    world.add("a", 1)
    world.add("b", 1)
    file = world.root / "models.config"

    def write(*names: str) -> None:
        models = "".join(
            f'config {{ name: "{name}" base_path: "{world.root / name}" model_platform: "tensorflow" }}'
            for name in names
        )
        file.write_text(f"model_config_list {{ {models} }}")

    write("a")
    manager = world.started("a", model_config_file=str(file), model_config_file_poll_wait_seconds=0.02)
    write("a", "b")
    eventually(lambda: manager.available() == {"a": [1], "b": [1]})
    file.write_text("model_config_list { config { nonsense } }")
    eventually(lambda: "Error parsing text-format tensorflow.serving.ModelServerConfig" in caplog.text)
    file.write_text("custom_model_config {}")
    eventually(lambda: "Cannot transition to requested config" in caplog.text)
    file.write_text("")
    time.sleep(0.1)
    assert manager.available() == {"a": [1], "b": [1]}
    write("b")
    eventually(lambda: manager.available() == {"b": [1]})
    assert caplog.text.count("Cannot transition") == 1


# Labels.


def test_labels_exist_from_the_start(world):
    world.add("m", 1, 2)
    manager = world.started(world.config("m", VersionPolicy(newest=2), stable=1, canary=2))
    assert version_of(manager, "m", label="stable") == 1
    assert version_of(manager, "m", label="canary") == 2
    assert "m has canary, stable" in refusal(manager, "m", None, "other").message


def test_labels_need_an_available_version(world):
    world.add("m", 1)
    with pytest.raises(ServingError) as caught:
        world.started(world.config("m", None, stable=5))
    assert caught.value.code is Code.FAILED_PRECONDITION
    phrase = "Request to assign label to version 5 of model m, which is not currently available for inference"
    assert caught.value.message.startswith(phrase)
    manager = world.started("m")
    with pytest.raises(ServingError, match=phrase):
        manager.reload([world.config("m", VersionPolicy(newest=None), stable=5)])
    assert refusal(manager, "m", None, "stable").code is Code.INVALID_ARGUMENT


def test_labels_move_with_a_reload_that_loads_their_version(world):
    world.add("m", 1)
    manager = world.started(world.config("m", None, stable=1))
    both = VersionPolicy(specific=frozenset({1, 2}))
    world.add("m", 2)
    manager.reload([world.config("m", both, stable=1, canary=2)])
    assert version_of(manager, "m", label="canary") == 2
    manager.reload([world.config("m", VersionPolicy(specific=frozenset({2})), stable=2)])
    assert version_of(manager, "m", label="stable") == 2
    assert refusal(manager, "m", None, "canary").message.startswith("Unrecognized servable version label: canary")
    eventually(lambda: states(manager, "m") == {1: "END", 2: "AVAILABLE"})
    # Back again: the label stays until its version is available.
    release = world.hold("m", 1)
    thread = threading.Thread(target=manager.reload, args=[[world.config("m", both, stable=1)]])
    thread.start()
    eventually(lambda: states(manager, "m")[1] == "LOADING")
    assert version_of(manager, "m", label="stable") == 2
    release.set()
    thread.join(10)
    assert version_of(manager, "m", label="stable") == 1


def test_a_label_of_a_version_that_fails_to_load_does_not_move(world):
    world.add("m", 1)
    manager = world.started(world.config("m", VersionPolicy(newest=2), stable=1))
    world.broken.add("m/2")
    world.add("m", 2)
    with pytest.raises(ServingError, match="assign label to version 2"):
        manager.reload([world.config("m", VersionPolicy(newest=2), stable=2)])
    assert version_of(manager, "m", label="stable") == 1


def test_labels_of_unavailable_versions_when_allowed(world):
    world.add("m", 1)
    manager = world.started("m", allow_version_labels_for_unavailable_models=True)
    manager.reload([world.config("m", None, stable=1, next=2)])
    assert refusal(manager, "m", None, "next").message.startswith("Servable not found for request: Specific(m, 2)")
    with pytest.raises(ServingError, match="assign label to version 3"):  # only new labels
        manager.reload([world.config("m", None, stable=3)])
    assert version_of(manager, "m", label="stable") == 1
    world.add("m", 2)
    eventually(lambda: version_of(manager, "m", label="next") == 2 if manager.available()["m"] == [2] else False)


def test_everything_ends(world):
    """Removed models leave no thread behind."""
    for number in range(5):
        world.add(f"m{number}", 1)
    manager = world.started(*(f"m{number}" for number in range(5)))
    manager.reload([])
    eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith(("model m", "load model m"))])
    gc.collect()
    assert all(ref() is None for ref in world.alive)


@pytest.fixture(autouse=True)
def _logs(caplog):
    caplog.set_level(logging.INFO)
