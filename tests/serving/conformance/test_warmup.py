"""Stored warm-up requests in a server that starts."""

import numpy as np
import pytest
import urllib3

pytestmark = pytest.mark.lengthy

FILE = "assets.extra/tf_serving_warmup_requests"


def write(folder, *records):
    import tensorflow as tf

    (folder / FILE).parent.mkdir()
    with tf.io.TFRecordWriter(str(folder / FILE)) as writer:
        for record in records:
            writer.write(record)


def predict(alias="x"):
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.inputs[alias].CopyFrom(tf.make_tensor_proto(np.float32([1, 2])))
    return log.SerializeToString()


def test_a_bad_request_fails_the_load(serve, models, tmp_path):
    folder = models.save(tmp_path / "half" / "1", models.half_plus(2.0))
    write(folder, predict("z"))
    options = ("--model-name", "half", "--model-base-path", tmp_path / "half", "--max-num-load-retries", 0)
    with pytest.raises(RuntimeError, match=r"(?s)servable\(s\) did not become available.*Inputs contains invalid name"):
        serve(*options)


def test_files_of_requests(serve, models, tmp_path):
    """One server with a version for each file: good, empty, malformed, too long, and with unsupported requests."""
    from tensorflow_serving.apis import prediction_log_pb2

    unsupported = [prediction_log_pb2.PredictionLog() for _ in range(2)]
    unsupported[0].session_run_log.SetInParent()
    unsupported[1].predict_streamed_log.SetInParent()
    folders = [models.save(tmp_path / "half" / str(version), models.half_plus(2.0)) for version in range(1, 9)]
    write(folders[0])
    write(folders[1])
    (folders[1] / FILE).write_bytes(predict() * 10)
    write(folders[2], *[predict()] * 1001)
    for folder, log in zip(folders[3:5], unsupported, strict=True):
        write(folder, log.SerializeToString())
    write(folders[5], b"malformed_record")
    write(folders[6], predict("z"))
    write(folders[7], predict(), predict())
    config = tmp_path / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "half" base_path: "{tmp_path / "half"}" model_platform: "tensorflow" '
        "model_version_policy { all {} } } }"
    )
    server = serve("--model-config-file", config, "--max-num-load-retries", 0)
    response = urllib3.request("GET", f"{server.rest}/v1/models/half").json()
    rows = {row["version"]: (row["state"], row["status"]) for row in response["model_version_status"]}
    for version in "18":
        assert rows.pop(version) == ("AVAILABLE", {"error_code": "OK", "error_message": ""})
    expected = {
        "2": ("DATA_LOSS", "Please verify your warmup data is in TFRecord format"),
        "3": ("INVALID_ARGUMENT", "Number of warmup records exceeds the maximum (1000)"),
        "4": ("UNIMPLEMENTED", "Unsupported log_type for warmup"),
        "5": ("UNIMPLEMENTED", "Unsupported log_type for warmup"),
        "6": ("INVALID_ARGUMENT", "Failed to parse warmup record"),
        "7": ("INVALID_ARGUMENT", "Inputs contains invalid name"),
    }
    assert rows.keys() == expected.keys()
    for version, (code, phrase) in expected.items():
        state, status = rows[version]
        assert (state, status["error_code"]) == ("END", code)
        assert phrase in status["error_message"]
    text = urllib3.request("GET", f"{server.rest}/monitoring/prometheus/metrics").data.decode()
    assert f':tensorflow:serving:model_warmup_records_read{{model_path="{folders[7]}"}} 2' in text
    assert f'model_warmup_latency_count{{model_path="{folders[7]}",status="OK"}} 1' in text


def test_a_bad_request_is_ignored_when_warmup_is_off(serve, models, tmp_path):
    folder = models.save(tmp_path / "half" / "1", models.half_plus(2.0))
    write(folder, b"malformed_record")
    server = serve("--model-name", "half", "--model-base-path", tmp_path / "half", "--enable-model-warmup", "false")
    response = urllib3.request("POST", f"{server.rest}/v1/models/half:predict", json={"instances": [2.0]})
    assert response.json() == {"predictions": [3.0]}
