"""Life of models: start, requests, reloads, version labels."""

import gc
import threading
import time

import pytest

from serving.errors import Code, ServingError
from serving.manager.model_config import ModelConfig
from serving.manager.version_policy import VersionPolicy
from serving.manager.write_detection import WriteDetection
from serving.model_spec import ModelSpec

# The start.


@pytest.mark.lengthy
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
    world.eventually(lambda: world.version_of(manager, "good") == 2)
    world.add("late", 5)
    world.eventually(lambda: world.version_of(manager, "late") == 5)


def test_start_waits_for_a_folder_that_is_being_written_and_gives_up_on_one_that_is_not(world):
    world.detection = WriteDetection(-1.0, recheck_seconds=0.1, patience_seconds=1.0)
    folder = world.root / "m" / "1"
    folder.mkdir(parents=True)
    manager = world.manager("m")
    threading.Timer(0.3, (folder / "saved_model.pb").write_bytes, [world.EMPTY_MODEL]).start()
    manager.start()
    assert world.version_of(manager, "m") == 1
    (world.root / "n" / "1").mkdir(parents=True)
    with pytest.raises(ServingError, match="name: n version: 1} due to error: NOT_FOUND: Could not find SavedModel"):
        world.started("n")


def test_base_paths_are_searched_once_when_configured_so(world):
    world.add("m", 1)
    manager = world.started("m", file_system_poll_wait_seconds=0)
    world.add("m", 2)
    time.sleep(0.2)
    assert world.states(manager, "m") == {1: "AVAILABLE"}
    manager.reload([world.config("m")])  # a reload searches again
    world.eventually(lambda: world.version_of(manager, "m") == 2)


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
    world.eventually(lambda: world.events == ["load m/1"])
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
    assert world.refusal(manager, "x").message == "Servable not found for request: Latest(x); this server has m"
    assert (
        world.refusal(manager, "m", 9).message
        == "Servable not found for request: Specific(m, 9); available versions: 1"
    )
    assert world.refusal(manager, "m", None, "l").message == "Unrecognized servable version label: l"
    assert world.refusal(manager, "m", None, "l").code is world.refusal(manager, "").code is Code.INVALID_ARGUMENT
    assert world.refusal(manager, "").message == "ModelSpec has no name specified."
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
    world.eventually(lambda: world.states(manager, "m") == {2: "AVAILABLE", 1: "END"})


# Reload.


def test_reload_adds_keeps_and_removes(world):
    for name in "abc":
        world.add(name, 1)
    manager = world.started("a", "b")
    with manager.acquire(ModelSpec("a")):
        manager.reload([world.config("b"), world.config("c")])
        assert manager.available() == {"b": [1], "c": [1]}
        assert world.refusal(manager, "a").message.startswith("Servable not found for request: Latest(a)")
    world.eventually(lambda: world.states(manager, "a") == {1: "END"})
    assert sorted(world.events) == ["load a/1", "load b/1", "load c/1", "unload a/1"]
    manager.reload([])
    world.eventually(lambda: world.states(manager, "b") == world.states(manager, "c") == {1: "END"})
    assert manager.available() == {}
    manager.reload([world.config("a")])
    assert world.states(manager, "a") == {1: "AVAILABLE"}


def test_reload_of_a_policy(world):
    world.add("m", 1, 2, 3)
    manager = world.started("m")
    manager.reload([world.config("m", VersionPolicy(specific=frozenset({1, 2})))])
    world.eventually(lambda: world.states(manager, "m") == {1: "AVAILABLE", 2: "AVAILABLE", 3: "END"})
    # One new version is enough to unload the old one.
    assert world.events.index("unload m/3") > min(world.events.index("load m/1"), world.events.index("load m/2"))


def test_reload_waits_for_new_models_and_names_the_ones_that_fail(world):
    for name in ("a", "b", "slow"):
        world.add(name, 1)
    manager = world.started("a", max_num_load_retries=0)
    release = world.hold("slow", 1)
    threading.Timer(0.2, release.set).start()
    manager.reload([world.config("a"), world.config("slow")])
    assert world.version_of(manager, "slow") == 1
    world.broken.add("b/1")
    with pytest.raises(ServingError, match=r"2 model\(s\) did not become available: .*b/1 is broken.*base path"):
        manager.reload([world.config("a"), world.config("b"), world.config("none")])
    assert world.version_of(manager, "a") == 1
    world.add("none", 1)
    world.eventually(lambda: world.version_of(manager, "none") == 1)


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
    assert world.version_of(manager, "team/größer 2..0") == 1


def test_model_roots(world):
    world.add("in", 1)
    world.add("out", 1)
    (world.root / "in" / "2").symlink_to(world.root / "out" / "1")
    (world.root / "in2").mkdir()
    manager = world.started("in", model_roots=str(world.root / "in"))
    assert world.states(manager, "in") == {1: "AVAILABLE"}
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
    world.eventually(lambda: manager.available() == {"a": [1], "b": [1]})
    file.write_text("model_config_list { config { nonsense } }")
    world.eventually(lambda: "Error parsing text-format tensorflow.serving.ModelServerConfig" in caplog.text)
    file.write_text("custom_model_config {}")
    world.eventually(lambda: "Cannot transition to requested config" in caplog.text)
    file.write_text("")
    time.sleep(0.1)
    assert manager.available() == {"a": [1], "b": [1]}
    write("b")
    world.eventually(lambda: manager.available() == {"b": [1]})
    assert caplog.text.count("Cannot transition") == 1


# Labels.


def test_labels_exist_from_the_start(world):
    world.add("m", 1, 2)
    manager = world.started(world.config("m", VersionPolicy(newest=2), stable=1, canary=2))
    assert world.version_of(manager, "m", label="stable") == 1
    assert world.version_of(manager, "m", label="canary") == 2
    assert "m has canary, stable" in world.refusal(manager, "m", None, "other").message


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
    assert world.refusal(manager, "m", None, "stable").code is Code.INVALID_ARGUMENT


def test_labels_move_with_a_reload_that_loads_their_version(world):
    world.add("m", 1)
    manager = world.started(world.config("m", None, stable=1))
    both = VersionPolicy(specific=frozenset({1, 2}))
    world.add("m", 2)
    manager.reload([world.config("m", both, stable=1, canary=2)])
    assert world.version_of(manager, "m", label="canary") == 2
    manager.reload([world.config("m", VersionPolicy(specific=frozenset({2})), stable=2)])
    assert world.version_of(manager, "m", label="stable") == 2
    assert world.refusal(manager, "m", None, "canary").message.startswith("Unrecognized servable version label: canary")
    world.eventually(lambda: world.states(manager, "m") == {1: "END", 2: "AVAILABLE"})
    # Back again: the label stays until its version is available.
    release = world.hold("m", 1)
    thread = threading.Thread(target=manager.reload, args=[[world.config("m", both, stable=1)]])
    thread.start()
    world.eventually(lambda: world.states(manager, "m")[1] == "LOADING")
    assert world.version_of(manager, "m", label="stable") == 2
    release.set()
    thread.join(10)
    assert world.version_of(manager, "m", label="stable") == 1


def test_a_label_of_a_version_that_fails_to_load_does_not_move(world):
    world.add("m", 1)
    manager = world.started(world.config("m", VersionPolicy(newest=2), stable=1))
    world.broken.add("m/2")
    world.add("m", 2)
    with pytest.raises(ServingError, match="assign label to version 2"):
        manager.reload([world.config("m", VersionPolicy(newest=2), stable=2)])
    assert world.version_of(manager, "m", label="stable") == 1


def test_labels_of_unavailable_versions_when_allowed(world):
    world.add("m", 1)
    manager = world.started("m", allow_version_labels_for_unavailable_models=True)
    manager.reload([world.config("m", None, stable=1, next=2)])
    assert world.refusal(manager, "m", None, "next").message.startswith(
        "Servable not found for request: Specific(m, 2)"
    )
    with pytest.raises(ServingError, match="assign label to version 3"):  # only new labels
        manager.reload([world.config("m", None, stable=3)])
    assert world.version_of(manager, "m", label="stable") == 1
    world.add("m", 2)
    world.eventually(
        lambda: world.version_of(manager, "m", label="next") == 2 if manager.available()["m"] == [2] else False
    )


def test_everything_ends(world):
    """Removed models leave no thread behind."""
    for number in range(5):
        world.add(f"m{number}", 1)
    manager = world.started(*(f"m{number}" for number in range(5)))
    manager.reload([])
    world.eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith(("model m", "load model m"))])
    gc.collect()
    assert all(ref() is None for ref in world.alive)
