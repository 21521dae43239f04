"""Changes of the list of models at run time: by HandleReloadConfigRequest, and by the config file."""

import time
from pathlib import Path

import pytest
import urllib3

pytestmark = pytest.mark.lengthy

_FAST = ("--file-system-poll-wait-seconds", 0.2, "--max-num-load-retries", 0)
SPECIFIC = "model_version_policy { specific { versions: 1 versions: 2 } }"


def config(name: str, path: object, more: str = "") -> str:
    return f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" {more} }} '


def reload(server, text: str, *metrics: str):
    """Sends a ModelServerConfig in text format; returns the answer, or the code and message of an error."""
    grpc = pytest.importorskip("grpc")
    from google.protobuf import text_format
    from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

    request = model_management_pb2.ReloadConfigRequest(metric_names=metrics)
    text_format.Parse(text, request.config)
    with grpc.insecure_channel(server.grpc) as channel:
        try:
            return model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=60)
        except grpc.RpcError as error:
            return error.code().name, error.details()


def offset(server, which: str) -> float | str:
    url = f"{server.rest}/v1/models/{which}:predict"
    answer = urllib3.request("POST", url, json={"instances": [0.0]}, timeout=30, retries=False).json()
    return answer["predictions"][0] if "predictions" in answer else answer["error"]


def wait_for(server, which: str, expected: float | str) -> None:
    end = time.monotonic() + 30
    while not str(offset(server, which)).startswith(str(expected)):
        assert time.monotonic() < end, offset(server, which)
        time.sleep(0.05)


def wait_for_log(server, text: str) -> None:
    end = time.monotonic() + 30
    while text not in server.log.read_text():
        assert time.monotonic() < end, server.log.read_text()
        time.sleep(0.05)


def save(models, root: Path) -> None:
    for name, plus in (("a", 1.0), ("b", 10.0)):
        for version in (1, 2):
            models.save(root / name / str(version), models.half_plus(plus * version))


def test_reload_by_request(serve, models, tmp_path):
    save(models, tmp_path)
    a, b = tmp_path / "a", tmp_path / "b"
    server = serve("--model-base-path", a, "--model-name", "a", *_FAST)
    assert offset(server, "a") == 2.0

    # A model is added, and the request waits for it.
    answer = reload(server, f"model_config_list {{ {config('a', a)} {config('b', b)} }}", "no/such/metric")
    assert answer.status.error_code == 0
    assert [(metric.name, metric.int64_value_increase) for metric in answer.metric] == [("no/such/metric", 0)]
    assert [offset(server, "a"), offset(server, "b")] == [2.0, 20.0]

    # Invalid requests change nothing.
    wrong = {
        config("a", a) + config("a", a): ("INVALID_ARGUMENT", "Illegal to list model a multiple times in config list"),
        config("a", "a"): ("INVALID_ARGUMENT", "Expected model a to have an absolute path or URI; got base_path()=a"),
        f'config {{ name: "a" base_path: "{a}" model_platform: "other" }}': (
            "INVALID_ARGUMENT",
            "Illegal to change a model's platform",
        ),
        f'config {{ name: "a" base_path: "{a}" }}': (
            "INVALID_ARGUMENT",
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform.",
        ),
        config("a", a, "model_type: TENSORFLOW"): (
            "INVALID_ARGUMENT",
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform.",
        ),
        config("a", a, "version_labels { key: 'stable' value: 7 }"): (
            "FAILED_PRECONDITION",
            "Request to assign label to version 7 of model a, which is not currently available for inference",
        ),
        config("../a", a): ("INVALID_ARGUMENT", "model name '../a' looks like a path"),
    }
    for text, (code, message) in wrong.items():
        answered_code, answered = reload(server, f"model_config_list {{ {text} }}")
        assert answered_code == code
        assert answered.startswith(message)
        assert [offset(server, "a"), offset(server, "b")] == [2.0, 20.0]
    not_a_list = "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently"
    for text in ("", "custom_model_config {}"):
        code, message = reload(server, text)
        assert (code, message.startswith(not_a_list)) == ("INVALID_ARGUMENT", True)

    # A canary by labels, then its promotion.
    labels = "version_labels { key: 'stable' value: 1 } version_labels { key: 'canary' value: 2 }"
    assert reload(server, f"model_config_list {{ {config('a', a, SPECIFIC + labels)} }}").status.error_code == 0
    assert [offset(server, "a/labels/stable"), offset(server, "a/labels/canary")] == [1.0, 2.0]
    wait_for(server, "b", "Servable not found for request: Latest(b)")  # left out, so unloaded
    moved = "version_labels { key: 'stable' value: 2 }"
    assert reload(server, f"model_config_list {{ {config('a', a, SPECIFIC + moved)} }}").status.error_code == 0
    assert offset(server, "a/labels/stable") == 2.0
    assert offset(server, "a/labels/canary").startswith("Unrecognized servable version label: canary")

    # A missing model is an error at once, and the others stay available.
    code, message = reload(server, f"model_config_list {{ {config('a', a)} {config('none', tmp_path / 'none')} }}")
    assert (code, message.startswith("1 model(s) did not become available")) == ("UNKNOWN", True)
    assert offset(server, "a") == 2.0

    # An empty list unloads everything; a list after that serves again.
    assert reload(server, "model_config_list {}").status.error_code == 0
    wait_for(server, "a", "Servable not found for request: Latest(a)")
    assert reload(server, f"model_config_list {{ {config('b', b)} }}").status.error_code == 0
    assert offset(server, "b") == 20.0


def test_labels_of_unavailable_versions(serve, models, tmp_path):
    """--allow-version-labels-for-unavailable-models allows new labels for them, but does not move existing ones."""
    save(models, tmp_path)
    a = tmp_path / "a"
    server = serve(
        *("--model-base-path", a, "--model-name", "a", "--allow-version-labels-for-unavailable-models", *_FAST)
    )

    def labelled(label: str, version: int):
        label = f"version_labels {{ key: '{label}' value: {version} }}"
        return reload(server, f"model_config_list {{ {config('a', a, SPECIFIC + label)} }}")

    assert labelled("stable", 1).status.error_code == 0
    assert offset(server, "a/labels/stable") == 1.0
    code, message = labelled("stable", 7)
    assert code == "FAILED_PRECONDITION"
    assert message.startswith("Request to assign label to version 7 of model a, which is not currently available")
    assert offset(server, "a/labels/stable") == 1.0
    assert labelled("new", 7).status.error_code == 0
    assert offset(server, "a/labels/new").startswith("Servable not found for request: Specific(a, 7)")


def test_reload_by_file(serve, models, tmp_path):
    save(models, tmp_path)
    file = tmp_path / "models.config"
    file.write_text(f"model_config_list {{ {config('a', tmp_path / 'a')} }}")
    server = serve("--model-config-file", file, "--model-config-file-poll-wait-seconds", 0.2, *_FAST)
    assert offset(server, "a") == 2.0
    file.write_text("model_config_list { nonsense")
    wait_for_log(server, "Error parsing text-format tensorflow.serving.ModelServerConfig")
    assert offset(server, "a") == 2.0
    file.write_text("custom_model_config {}")
    wait_for_log(server, "Cannot transition to requested config")
    assert offset(server, "a") == 2.0
    file.write_text(f"model_config_list {{ {config('b', tmp_path / 'b')} }}")
    wait_for(server, "b", 20.0)
    wait_for(server, "a", "Servable not found")


def test_file_is_read_once_by_default(serve, models, tmp_path):
    save(models, tmp_path)
    file = tmp_path / "models.config"
    file.write_text(f"model_config_list {{ {config('a', tmp_path / 'a')} }}")
    server = serve("--model-config-file", file, *_FAST)
    file.write_text("model_config_list {}")
    time.sleep(0.6)  # three times the interval of the search for versions
    assert offset(server, "a") == 2.0
