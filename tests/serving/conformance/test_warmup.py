"""Stored warm-up requests, as a server that is started meets them."""

import numpy as np
import pytest
import urllib3

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


def test_the_model_is_warm_before_it_is_available(serve, models, tmp_path):
    folder = models.save(tmp_path / "half" / "1", models.half_plus(2.0))
    write(folder, predict(), predict())
    server = serve("--model-name", "half", "--model-base-path", tmp_path / "half")
    text = urllib3.request("GET", f"{server.rest}/monitoring/prometheus/metrics").data.decode()
    assert f':tensorflow:serving:model_warmup_records_read{{model_path="{folder}"}} 2' in text
    assert f'model_warmup_latency_count{{model_path="{folder}",status="OK"}} 1' in text


@pytest.mark.parametrize(
    ("record", "phrase"),
    [(b"malformed_record", "Failed to parse warmup record"), ("wrong input", "Inputs contains invalid name")],
)
def test_a_bad_request_fails_the_load(serve, models, tmp_path, record, phrase):
    folder = models.save(tmp_path / "half" / "1", models.half_plus(2.0))
    write(folder, record if isinstance(record, bytes) else predict("z"))
    options = ("--model-name", "half", "--model-base-path", tmp_path / "half", "--max-num-load-retries", 0)
    with pytest.raises(RuntimeError, match=r"(?s)servable\(s\) did not become available.*" + phrase):
        serve(*options)


def test_files_of_requests(serve, models, tmp_path):
    """An empty one is fine; one of another format, one that is too long and kinds that are no requests are not."""
    from tensorflow_serving.apis import prediction_log_pb2

    kinds = [prediction_log_pb2.PredictionLog() for _ in range(2)]
    kinds[0].session_run_log.SetInParent()
    kinds[1].predict_streamed_log.SetInParent()
    folders = [models.save(tmp_path / "half" / str(version), models.half_plus(2.0)) for version in range(1, 6)]
    write(folders[0])
    write(folders[1])
    (folders[1] / FILE).write_bytes(predict() * 10)
    write(folders[2], *[predict()] * 1001)
    for folder, kind in zip(folders[3:], kinds, strict=True):
        write(folder, kind.SerializeToString())
    config = tmp_path / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "half" base_path: "{tmp_path / "half"}" model_platform: "tensorflow" '
        "model_version_policy { all {} } } }"
    )
    server = serve("--model-config-file", config, "--max-num-load-retries", 0)
    answer = urllib3.request("GET", f"{server.rest}/v1/models/half").json()
    rows = {row["version"]: (row["state"], row["status"]) for row in answer["model_version_status"]}
    assert rows.pop("1") == ("AVAILABLE", {"error_code": "OK", "error_message": ""})
    expected = {
        "2": ("DATA_LOSS", "Please verify your warmup data is in TFRecord format"),
        "3": ("INVALID_ARGUMENT", "Number of warmup records exceeds the maximum (1000)"),
        "4": ("UNIMPLEMENTED", "Unsupported log_type for warmup"),
        "5": ("UNIMPLEMENTED", "Unsupported log_type for warmup"),
    }
    assert rows.keys() == expected.keys()
    for version, (code, phrase) in expected.items():
        state, status = rows[version]
        assert (state, status["error_code"]) == ("END", code)
        assert phrase in status["error_message"]


def test_a_bad_request_is_no_matter_when_warmup_is_off(serve, models, tmp_path):
    folder = models.save(tmp_path / "half" / "1", models.half_plus(2.0))
    write(folder, b"malformed_record")
    server = serve("--model-name", "half", "--model-base-path", tmp_path / "half", "--enable-model-warmup", "false")
    answer = urllib3.request("POST", f"{server.rest}/v1/models/half:predict", json={"instances": [2.0]})
    assert answer.json() == {"predictions": [3.0]}
