import threading
import time

import numpy as np
import pytest

from serving.manager.handle import Handle
from serving.metrics import LOG_COUNT, Metrics
from serving.request_log import RECORDS_PER_FILE, RequestLog


def held(name="digits", version=7):
    return Handle(name, version, None)


def records(path):
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    return [
        prediction_log_pb2.PredictionLog.FromString(record)
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]


def strings(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


def test_nothing_is_logged_without_a_folder(tmp_path):
    log = RequestLog("", 1.0)
    assert not log.sampled()
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_the_rate_is_a_share(tmp_path):
    log = RequestLog(str(tmp_path), 0.3)
    share = sum(log.sampled() for _ in range(10_000)) / 10_000
    log.close()
    assert 0.27 < share < 0.33


def test_a_predict_request_is_written_with_its_response(tmp_path):
    import tensorflow as tf

    metrics = Metrics()
    log = RequestLog(str(tmp_path), 1.0, metrics)
    assert log.sampled()
    log.predict(held(), "serving_default", {"image_bytes": strings(b"\xff\x00", b"b")}, {"y": np.float32([[1], [2]])})
    log.close()
    (path,) = (tmp_path / "digits" / "7").iterdir()
    (record,) = records(path)
    request, response = record.predict_log.request, record.predict_log.response
    assert (request.model_spec.name, request.model_spec.version.value) == ("digits", 7)
    assert request.model_spec.signature_name == "serving_default"
    assert tf.make_ndarray(request.inputs["image_bytes"]).tolist() == [b"\xff\x00", b"b"]
    assert tf.make_ndarray(response.outputs["y"]).tolist() == [[1], [2]]
    assert record.log_metadata.sampling_config.sampling_rate == 1
    assert record.log_metadata.timestamp_secs > 0
    assert ':tensorflow:serving:request_log_count{model_name="digits",status="OK"} 1' in metrics.text()


def test_classes_and_regressions_are_written(tmp_path):
    from tensorflow.core.example import example_pb2

    example = example_pb2.Example()
    example.features.feature["x"].float_list.value.append(0.5)
    log = RequestLog(str(tmp_path), 1.0)
    examples = [example.SerializeToString()] * 2
    classes, scores = strings(b"a", b"b", b"a", b"b").reshape(2, 2), np.float32([[0.25, 0.75], [1, 0]])
    log.classify(held(), "c", examples, classes, scores)
    log.classify(held(), "c", examples, None, scores)
    log.regress(held(), "r", examples, np.float32([3, 4]))
    log.close()
    (path,) = (tmp_path / "digits" / "7").iterdir()
    both, only_scores, regression = records(path)
    assert both.classify_log.request.input.example_list.examples[1] == example
    first = both.classify_log.response.result.classifications[0].classes
    assert [(each.label, each.score) for each in first] == [("a", 0.25), ("b", 0.75)]
    assert only_scores.classify_log.response.result.classifications[1].classes[0].score == 1
    assert [each.value for each in regression.regress_log.response.result.regressions] == [3, 4]


def test_a_file_has_no_more_records_than_a_warmup_file_may_have(tmp_path):
    metrics = Metrics()
    log = RequestLog(str(tmp_path), 1.0, metrics)
    for number in range(RECORDS_PER_FILE + 5):
        while number - metrics.value(LOG_COUNT) > 100:  # a full queue would drop requests
            time.sleep(0.001)
        log.predict(held(), "s", {"x": np.float32([number])}, {"y": np.float32([number])})
    log.close()
    first, second = sorted((tmp_path / "digits" / "7").iterdir(), key=lambda path: int(path.stem.rpartition("-")[2]))
    assert (len(records(first)), len(records(second))) == (RECORDS_PER_FILE, 5)


@pytest.mark.parametrize("name", ["..", ".", "a/../../b", "ä b"])
def test_no_name_of_a_model_leads_out_of_the_folder(tmp_path, name):
    folder = tmp_path / "log"
    log = RequestLog(str(folder), 1.0)
    log.predict(held(name), "s", {"x": np.float32([1])}, {"y": np.float32([1])})
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    (model,) = folder.iterdir()
    (version,) = model.iterdir()
    assert (version.name, len(list(version.iterdir()))) == ("7", 1)


class Disk:
    """A file whose writes wait for an event, or fail."""

    def __init__(self, go=None, error=None):
        self.go, self.error = go, error

    def write(self, _):
        if self.error:
            raise self.error
        self.go.wait(10)

    def flush(self):
        pass

    def close(self):
        pass


def test_a_slow_disk_costs_records_not_memory(tmp_path):
    go, metrics = threading.Event(), Metrics()
    log = RequestLog(str(tmp_path), 1.0, metrics, open_file=lambda _: Disk(go))
    for _ in range(100):
        log.predict(held(), "s", {"x": np.zeros(250_000, np.float32)}, {})
    go.set()
    log.close()
    assert 'request_log_count{model_name="digits",status="RESOURCE_EXHAUSTED"}' in metrics.text()


def test_a_full_disk_does_not_stop_the_log(tmp_path, caplog):
    full = Disk(error=OSError("No space left on device"))
    log = RequestLog(str(tmp_path), 1.0, open_file=lambda _: full)
    log.predict(held(), "s", {"x": np.zeros(2)}, {})
    log.predict(held(), "s", {"x": np.zeros(2)}, {})
    log.close()
    assert caplog.text.count("No space left on device") == 2
