"""Life of versions on a running server, with real models and real requests."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import urllib3

pytestmark = pytest.mark.lengthy

_FAST = ("--file-system-poll-wait-seconds", 0.2, "--max-num-load-retries", 1, "--load-retry-interval-micros", 100_000)


def ask(url: str, body: dict | None = None) -> tuple[int, dict]:
    answer = urllib3.request("GET" if body is None else "POST", url, json=body, timeout=30, retries=False)
    return answer.status, answer.json()


def offset(server, which: str = "m") -> float | str:
    """Returns the offset of the model y = x / 2 + offset; the message of an error."""
    _, answer = ask(f"{server.rest}/v1/models/{which}:predict", {"instances": [0.0]})
    return answer["predictions"][0] if "predictions" in answer else answer["error"]


def rows(server, name: str = "m") -> dict[int, str]:
    _, answer = ask(f"{server.rest}/v1/models/{name}")
    return {int(row["version"]): row["state"] for row in answer.get("model_version_status", [])}


def eventually(true: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not after {seconds} s"
        time.sleep(0.05)


def publish(models, base: Path, version: int, plus: float) -> Path:
    """Publishes a new version of half-plus: writes it aside and renames it."""
    models.save(base.parent / f"aside-{base.name}-{version}", models.half_plus(plus))
    base.mkdir(exist_ok=True)
    return (base.parent / f"aside-{base.name}-{version}").rename(base / str(version))


def test_life_of_a_model(serve, models, tmp_path):
    base = tmp_path / "m"
    publish(models, base, 1, 1.0)
    server = serve("--model-base-path", base, "--model-name", "m", *_FAST)
    assert offset(server) == offset(server, "m/versions/1") == 1.0

    # A swap under load: no request fails, and at the end the new version answers.
    answers, done = [], threading.Event()

    def load() -> None:
        while not done.is_set():
            answers.append(offset(server))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    publish(models, base, 2, 2.0)
    eventually(lambda: rows(server) == {2: "AVAILABLE", 1: "END"})
    done.set()
    for thread in threads:
        thread.join()
    assert set(answers) == {1.0, 2.0}
    _, answer = ask(f"{server.rest}/v1/models/m")
    assert [row["version"] for row in answer["model_version_status"]] == ["2", "1"]
    status, answer = ask(f"{server.rest}/v1/models/m/versions/1:predict", {"instances": [0.0]})
    assert status == 404
    assert answer["error"].startswith("Servable not found for request: Specific(m, 1)")

    # A version that is copied slowly: it is not loaded before it is complete.
    source = models.save(tmp_path / "whole", models.half_plus(3.0))
    slow = base / "3"
    (slow / "variables").mkdir(parents=True)
    shutil.copy(source / "saved_model.pb", slow)
    data = next((source / "variables").glob("*.data-*"))
    (slow / "variables" / data.name).write_bytes(data.read_bytes()[:4])
    time.sleep(1)
    shutil.copy(source / "variables" / "variables.index", slow / "variables")
    time.sleep(1.5)
    assert rows(server) == {3: "START", 2: "AVAILABLE", 1: "END"}
    assert offset(server) == 2.0
    shutil.copy(data, slow / "variables")
    eventually(lambda: rows(server).get(3) == "AVAILABLE")
    assert offset(server) == 3.0

    # A version that does not load is reported, and the previous one stays available.
    aside = models.save(tmp_path / "broken", models.half_plus(4.0))
    bytes_of = (aside / "variables" / data.name).read_bytes()
    (aside / "variables" / data.name).write_bytes(bytes(len(bytes_of)))  # the right length, the wrong content
    aside.rename(base / "4")
    eventually(lambda: rows(server).get(4) == "END")
    _, answer = ask(f"{server.rest}/v1/models/m/versions/4")
    (row,) = answer["model_version_status"]
    assert row["status"]["error_code"] != "OK"
    assert row["status"]["error_message"]
    assert offset(server) == 3.0

    # Removing the newest version returns to the previous one.
    shutil.rmtree(base / "4")
    shutil.rmtree(base / "3")
    eventually(lambda: offset(server) == 2.0)
    eventually(lambda: rows(server).get(3) == "END")

    # Without any version the model is unloaded; a version that comes back is loaded.
    shutil.move(base / "2", tmp_path / "kept")
    shutil.rmtree(base / "1")
    eventually(lambda: offset(server) != 2.0)
    assert offset(server).startswith("Servable not found for request: Latest(m)")
    shutil.move(tmp_path / "kept", base / "2")
    eventually(lambda: offset(server) == 2.0)
    assert server.stop() == 0


def test_policies_and_labels_of_a_config_file(serve, models, tmp_path):
    for name in ("all", "named", "two"):
        for version in (1, 2, 3):
            publish(models, tmp_path / name, version, float(version))
    config = tmp_path / "models.config"
    policies = {
        "all": "model_version_policy { all {} } version_labels { key: 'stable' value: 1 } "
        "version_labels { key: 'canary' value: 3 }",
        "named": "model_version_policy { specific { versions: 2 versions: 9 } }",
        "two": "model_version_policy { latest { num_versions: 2 } }",
    }
    config.write_text(
        "model_config_list {"
        + "".join(
            f'config {{ name: "{name}" base_path: "{tmp_path / name}" model_platform: "tensorflow" {policy} }}'
            for name, policy in policies.items()
        )
        + "}"
    )
    server = serve("--model-config-file", config, *_FAST)
    assert rows(server, "all") == {3: "AVAILABLE", 2: "AVAILABLE", 1: "AVAILABLE"}
    assert rows(server, "named") == {2: "AVAILABLE"}
    assert rows(server, "two") == {3: "AVAILABLE", 2: "AVAILABLE"}
    assert [offset(server, f"all{path}") for path in ("", "/versions/2", "/labels/stable", "/labels/canary")] == [
        3,
        2,
        1,
        3,
    ]
    status, answer = ask(f"{server.rest}/v1/models/all/labels/none:predict", {"instances": [0.0]})
    assert status == 400
    assert answer["error"].startswith("Unrecognized servable version label: none")
    assert ask(f"{server.rest}/v1/models/two/versions/1")[0] == 404


def test_names_of_version_folders(serve, models, tmp_path):
    """Leading zeros, times, two names of one number, `2.denied` to block a version, a policy that names no version."""
    for name in ("odd", "none", "blocked"):
        publish(models, tmp_path / name, 1, 1.0)
    for name in ("001", "00000123", "20170111173521", "5.denied", "text"):
        models.save(tmp_path / "odd" / name, models.half_plus(2.0 if name == "00000123" else 1.0))
    models.save(tmp_path / "blocked" / "2.denied", models.half_plus(2.0))
    config = tmp_path / "models.config"
    config.write_text(
        "model_config_list {"
        + "".join(
            f'config {{ name: "{name}" base_path: "{tmp_path / name}" model_platform: "tensorflow" '
            f"model_version_policy {{ {policy} }} }}"
            for name, policy in {"odd": "all {}", "none": "specific {}", "blocked": "latest {}"}.items()
        )
        + "}"
    )
    server = serve("--model-config-file", config, *_FAST)
    assert rows(server, "odd") == dict.fromkeys((20170111173521, 123, 1), "AVAILABLE")
    assert offset(server, "odd/versions/123") == 2.0
    assert rows(server, "blocked") == {1: "AVAILABLE"}
    assert rows(server, "none") == {}
    assert offset(server, "none").startswith("Servable not found for request: Latest(none)")


def test_an_invalid_config_file_ends_the_start(serve, tmp_path):
    (tmp_path / "models.config").write_text("model_config_list { config { nam")
    phrase = "Error parsing text-format tensorflow.serving.ModelServerConfig"
    with pytest.raises(RuntimeError, match=f"exit code 2: (.|\n)*{phrase}"):
        serve("--model-config-file", tmp_path / "models.config")


def test_a_model_that_does_not_load_ends_the_start(serve, models, tmp_path):
    folder = publish(models, tmp_path / "m", 1, 1.0)
    for file in (folder / "variables").glob("*.data-*"):
        file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(RuntimeError, match=r"1 servable\(s\) did not become available: .*name: m version: 1"):
        serve("--model-base-path", tmp_path / "m", "--model-name", "m", *_FAST)


def test_a_model_in_a_store_that_only_fsspec_reads(tmp_path):
    """In another process, which has a memory file system of its own."""
    pytest.importorskip("fsspec")
    code = f"""
import importlib.util, fsspec
spec = importlib.util.spec_from_file_location("models", {str(Path(__file__).with_name("models.py"))!r})
models = importlib.util.module_from_spec(spec)
spec.loader.exec_module(models)
from pathlib import Path
from serving.config import ServerConfig
from serving.manager.model_config import ModelConfig
from serving.manager.model_manager import ModelManager
from serving.model_spec import ModelSpec
import numpy as np
folder = models.save(Path({str(tmp_path)!r}) / "5", models.half_plus(2.0))
fsspec.filesystem("memory").put(str(folder), "/bucket/m/5", recursive=True)
manager = ModelManager(ServerConfig(), [ModelConfig("m", "memory://bucket/m")])
manager.start()
with manager.acquire(ModelSpec("m")) as handle:
    copy = Path(handle.servable.folder)
    signature = handle.servable.signature()
    print(handle.version, handle.servable.run(signature, {{"x": np.float32([2.0])}}, ["y"]), copy.exists())
manager.stop()
print(copy.exists())
"""
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["5 {'y': array([3.], dtype=float32)} True", "False"]
