"""Life of versions: policies, swaps, incomplete versions, failed loads; what is loaded, and in which order."""

import threading
import time

import pytest

from serving.config import ServerConfig
from serving.errors import Code
from serving.manager.loader import Loader
from serving.manager.version_policy import VersionPolicy
from serving.manager.version_set import Plan, VersionSet
from serving.manager.write_detection import WriteDetection
from serving.model_spec import ModelSpec
from serving.storage.file_systems import open_storage

# Policies.


@pytest.mark.lengthy
def test_the_newest_is_served_by_default(world):
    world.add("m", 1, 3, 2)
    manager = world.started("m")
    assert world.version_of(manager, "m") == world.version_of(manager, "m", 3) == 3
    assert world.states(manager, "m") == {3: "AVAILABLE"}
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
    assert world.refusal(manager, "m").code is Code.NOT_FOUND


def test_the_highest_version_is_loaded_first(world):
    world.add("m", 1, 2, 3)
    world.started(world.config("m", VersionPolicy(newest=None)), num_load_threads=1)
    assert world.events == ["load m/3", "load m/2", "load m/1"]


def test_latest_means_the_highest_that_is_available(world):
    world.add("m", 1)
    manager = world.started(world.config("m", VersionPolicy(newest=2)))
    release = world.hold("m", 2)
    world.add("m", 2)
    world.eventually(lambda: world.states(manager, "m").get(2) == "LOADING")
    assert world.version_of(manager, "m") == 1
    assert world.refusal(manager, "m", 2).message.startswith("Servable not found for request: Specific(m, 2)")
    release.set()
    world.eventually(lambda: world.version_of(manager, "m") == 2)
    assert world.version_of(manager, "m", 1) == 1


# Swaps.


def test_the_new_version_is_loaded_before_the_old_one_is_unloaded(world):
    world.add("m", 1)
    manager = world.started("m")
    world.add("m", 2)
    world.eventually(lambda: world.states(manager, "m") == {2: "AVAILABLE", 1: "END"})
    assert world.events == ["load m/1", "load m/2", "unload m/1"]
    assert [row.version for row in manager.statuses("m")] == [2, 1]


def test_a_request_finishes_on_the_version_that_it_began_with(world):
    world.add("m", 1)
    manager = world.started("m")
    with manager.acquire(ModelSpec("m")) as handle:
        world.add("m", 2)
        world.eventually(lambda: world.states(manager, "m") == {2: "AVAILABLE", 1: "UNLOADING"})
        assert world.version_of(manager, "m") == 2
        assert world.refusal(manager, "m", 1).code is Code.NOT_FOUND
        time.sleep(0.1)
        assert handle.version == 1
        assert not handle.servable.closed
    world.eventually(lambda: world.states(manager, "m")[1] == "END")
    assert handle.servable.closed


def test_memory_is_released(world):
    world.add("m", 1)
    manager = world.started("m")
    for version in range(2, 6):
        world.add("m", version)
        world.eventually(
            lambda new=version: world.states(manager, "m") == {**dict.fromkeys(range(1, new), "END"), new: "AVAILABLE"}
        )
    world.eventually(lambda: sum(ref() is not None for ref in world.alive) == 1)


def test_no_request_fails_during_swaps(world):
    world.add("m", 1)
    manager = world.started("m")
    done, failures, seen = threading.Event(), [], set()

    def ask() -> None:
        while not done.is_set():
            try:
                seen.add(world.version_of(manager, "m"))
            except Exception as error:
                failures.append(error)
            time.sleep(0.0002)  # without a pause, three busy threads keep the loads from Python's lock

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for version in range(2, 31):
        world.add("m", version)
        world.eventually(lambda version=version: version in manager.available()["m"])
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(seen) > 20


def test_removing_the_newest_returns_to_the_one_before(world):
    world.add("m", 1, 2)
    manager = world.started("m")
    world.remove("m", 2)
    world.eventually(lambda: world.states(manager, "m") == {2: "END", 1: "AVAILABLE"})
    assert world.events == ["load m/2", "load m/1", "unload m/2"]


def test_removing_all_versions_unloads_and_a_new_one_comes_back(world):
    world.add("m", 1)
    manager = world.started("m")
    world.remove("m", 1)
    world.eventually(lambda: world.states(manager, "m") == {1: "END"})
    assert world.refusal(manager, "m").message.startswith("Servable not found for request: Latest(m)")
    world.add("m", 1)
    world.eventually(lambda: world.states(manager, "m") == {1: "AVAILABLE"})


def test_a_base_path_that_vanishes_leaves_the_loaded_versions(world, caplog):
    world.add("m", 1)
    manager = world.started("m")
    (world.root / "m").rename(world.root / "away")
    world.eventually(lambda: "Could not find base path" in caplog.text)
    time.sleep(0.1)
    assert world.version_of(manager, "m") == 1
    assert caplog.text.count("Could not find base path") == 1
    (world.root / "away").rename(world.root / "m")
    world.add("m", 2)
    world.eventually(lambda: world.version_of(manager, "m") == 2)


def test_only_the_last_ended_versions_are_remembered(world):
    storage = open_storage(str(world.add("m", *range(1, 9))))
    loader = Loader(ServerConfig(), lambda servable: None, world.before_close, None, world.load)
    versions = VersionSet("m", loader, retries=0, retry_seconds=0, wake=lambda: None, max_ended=3)
    folders = {number: str(number) for number in range(1, 9)}
    for number in folders:
        plan = Plan(storage, folders, {number: storage.files(str(number)).stamps}, {number})
        world.eventually(lambda plan=plan, number=number: versions.step(plan) or list(versions.serving) == [number])
        versions.step(plan)
    found = {number: status.state.name for number, status in versions.statuses().items()}
    assert found == {8: "AVAILABLE", 7: "END", 6: "END", 5: "END"}


# Incomplete versions.


@pytest.mark.lengthy
def test_a_half_written_folder_is_left_alone_until_it_is_complete(world):
    world.detection = WriteDetection(quiet_seconds=60.0, recheck_seconds=0.3)
    world.add("m", 1)
    manager = world.started("m")
    folder = world.root / "m" / "2"
    folder.mkdir()
    world.eventually(lambda: world.states(manager, "m") == {2: "START", 1: "AVAILABLE"})
    world.eventually(lambda: manager.statuses("m")[0].code is Code.NOT_FOUND)
    assert manager.statuses("m")[0].message.startswith("Could not find SavedModel .pb or .pbtxt at supplied export")
    for _ in range(20):  # a file that grows, and is complete at every look
        with (folder / "saved_model.pb").open("ab") as file:
            file.write(world.EMPTY_MODEL)
        time.sleep(0.05)
        assert "load m/2" not in world.events
    world.eventually(lambda: world.states(manager, "m") == {2: "AVAILABLE", 1: "END"})
    assert world.version_of(manager, "m") == 2


def test_the_old_version_stays_while_its_only_successor_is_written(world):
    world.add("m", 1)
    manager = world.started("m")
    (world.root / "m" / "2").mkdir()
    world.eventually(lambda: 2 in world.states(manager, "m"))
    world.remove("m", 1)
    time.sleep(0.2)
    assert world.version_of(manager, "m") == 1
    (world.root / "m" / "2" / "saved_model.pb").write_bytes(world.EMPTY_MODEL)
    world.eventually(lambda: world.states(manager, "m") == {2: "AVAILABLE", 1: "END"})


def test_the_newest_complete_version_is_served_at_the_start(world):
    world.add("m", 1, 2)
    (world.root / "m" / "3").mkdir()
    manager = world.started("m")
    assert world.version_of(manager, "m") == 2
    assert world.states(manager, "m") == {3: "START", 2: "AVAILABLE"}


def test_unusual_files_that_stay_are_judged_by_the_loader(world):
    world.detection = WriteDetection(-1.0, recheck_seconds=0.05, patience_seconds=0.3)
    world.add("m", 1)
    manager = world.started("m", max_num_load_retries=0)
    world.broken.add("m/2")
    start = time.monotonic()
    world.add("m", 2, content=b"no model at all")
    world.eventually(lambda: world.states(manager, "m") == {2: "END", 1: "AVAILABLE"})
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
    world.eventually(lambda: world.states(manager, "m") == {4: "AVAILABLE", 3: "START", 2: "START", 1: "AVAILABLE"})


# Versions that do not load.


def test_a_broken_version_is_reported_and_the_one_before_keeps_serving(world, caplog):
    world.add("m", 1)
    manager = world.started("m", max_num_load_retries=2)
    world.broken.add("m/2")
    world.add("m", 2)
    world.eventually(lambda: world.states(manager, "m").get(2) == "END")
    (row,) = manager.statuses("m", 2)
    assert (row.code, row.message) == (Code.DATA_LOSS, "m/2 is broken")
    assert world.events.count("load m/2") == 3
    assert world.version_of(manager, "m") == 1
    assert "model m version 2 does not load (given up until its files change): DATA_LOSS: m/2 is broken" in caplog.text
    time.sleep(0.15)
    assert world.events.count("load m/2") == 3  # not again while its files stay the same
    world.add("m", 3)
    world.eventually(lambda: world.states(manager, "m") == {3: "AVAILABLE", 2: "END", 1: "END"})


def test_a_broken_version_is_tried_again_when_it_comes_back(world):
    world.add("m", 1)
    manager = world.started("m", max_num_load_retries=0)
    world.broken.add("m/2")
    world.add("m", 2)
    world.eventually(lambda: world.states(manager, "m").get(2) == "END")
    world.remove("m", 2)
    time.sleep(0.1)
    world.broken.clear()
    world.add("m", 2)
    world.eventually(lambda: world.states(manager, "m") == {2: "AVAILABLE", 1: "END"})


def test_a_broken_version_is_tried_again_when_its_files_change(world):
    world.add("m", 1)
    manager = world.started("m", max_num_load_retries=0)
    world.broken.add("m/2")
    world.add("m", 2)
    world.eventually(lambda: world.states(manager, "m").get(2) == "END")
    world.broken.clear()
    (world.root / "m" / "2" / "saved_model.pb").write_bytes(world.EMPTY_MODEL + world.EMPTY_MODEL)
    world.eventually(lambda: world.states(manager, "m") == {2: "AVAILABLE", 1: "END"})


def test_a_retry_can_succeed(world):
    world.add("m", 1)
    world.broken.add("m/1")
    manager = world.manager("m")
    threading.Timer(0.05, world.broken.clear).start()
    manager.start()
    assert world.version_of(manager, "m") == 1
    assert manager.statuses("m")[0].code is Code.OK


def test_retries_and_slow_loads_block_no_other_version_or_model(world):
    world.add("a", 1)
    world.add("b", 1)
    manager = world.started("a", "b", load_retry_interval_micros=3_600_000_000)
    world.broken.add("a/2")
    world.hold("a", 3)
    world.add("a", 2)
    world.eventually(lambda: (row := manager.statuses("a")[0]).version == 2 and row.code is Code.DATA_LOSS)
    assert world.states(manager, "a")[2] == "LOADING"  # the next attempt is an hour away
    world.add("a", 3)
    world.eventually(lambda: world.states(manager, "a").get(3) == "LOADING")
    world.eventually(lambda: world.states(manager, "a").get(2) == "END")  # no longer wanted
    world.add("b", 2)
    world.eventually(lambda: world.version_of(manager, "b") == 2)
    world.add("a", 4)
    world.eventually(lambda: world.version_of(manager, "a") == 4)


def test_a_load_that_is_no_longer_wanted_is_unloaded_when_it_is_done(world):
    world.add("m", 1)
    manager = world.started("m")
    release = world.hold("m", 2)
    world.add("m", 2)
    world.eventually(lambda: world.states(manager, "m").get(2) == "LOADING")
    world.add("m", 3)
    world.eventually(lambda: world.version_of(manager, "m") == 3)
    release.set()
    world.eventually(lambda: world.states(manager, "m") == {3: "AVAILABLE", 2: "END", 1: "END"})
    assert "unload m/2" in world.events


def test_any_exception_fails_the_load_and_closes_the_servable(world):
    made = []

    def prepare(servable) -> None:
        made.append(servable)
        if servable.folder.endswith("2"):
            raise KeyError("warm-up")

    world.add("m", 1)
    manager = world.started("m", prepare=prepare, max_num_load_retries=0)
    world.add("m", 2)
    world.eventually(lambda: world.states(manager, "m").get(2) == "END")
    (row,) = manager.statuses("m", 2)
    assert row.code is Code.INTERNAL
    assert "KeyError: 'warm-up'" in row.message
    assert [servable.closed for servable in made] == [False, True]
    assert "unload m/2" not in world.events
