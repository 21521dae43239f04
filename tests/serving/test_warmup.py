"""Warm-up of real models: stored requests of every kind, synthetic ones, and malformed files."""

import importlib.util
import logging
from pathlib import Path

import numpy as np
import pytest

from serving.config import ServerConfig
from serving.errors import Code, ServingError
from serving.metrics import Metrics
from serving.saved_model_files import WARMUP_FILE
from serving.servable import Servable
from serving.warmup import MAX_RECORDS, Warmup


@pytest.fixture(scope="module")
def models():
    path = Path(__file__).with_name("conformance") / "models.py"
    spec = importlib.util.spec_from_file_location("conformance_models_of_warmup", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def half_plus_two(models, tmp_path_factory):
    return models.save(tmp_path_factory.mktemp("half") / "1", models.half_plus(2.0))


class Watched:
    """A servable that records its calls."""

    def __init__(self, folder):
        self._servable = Servable(str(folder))
        self.calls = []

    def __getattr__(self, name):
        return getattr(self._servable, name)

    def run(self, signature, inputs, outputs):
        self.calls.append((signature.name, len(next(iter(inputs.values())))))
        return self._servable.run(signature, inputs, outputs)


@pytest.fixture
def servable(half_plus_two):
    watched = Watched(half_plus_two)
    yield watched
    (half_plus_two / WARMUP_FILE).unlink(missing_ok=True)
    watched.close()


def write(folder, *records):
    import tensorflow as tf

    path = folder / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record if isinstance(record, bytes) else record.SerializeToString())


def log():
    from tensorflow_serving.apis import prediction_log_pb2

    return prediction_log_pb2.PredictionLog()


def predict(values=(1.0, 2.0), signature="serving_default", alias="x"):
    import tensorflow as tf

    entry = log()
    request = entry.predict_log.request
    request.model_spec.signature_name = signature
    request.inputs[alias].CopyFrom(tf.make_tensor_proto(np.float32(values)))
    return entry


def example(x=1.0):
    from tensorflow.core.example import example_pb2

    made = example_pb2.Example()
    made.features.feature["x"].float_list.value.append(x)
    return made


def on_examples(kind, signature):
    entry = log()
    request = getattr(entry, kind).request
    request.model_spec.name = "another name"
    request.model_spec.signature_name = signature
    request.input.example_list.examples.append(example())
    return entry


def multi():
    entry = log()
    request = entry.multi_inference_log.request
    for method, signature in (("regress", "regress_x_to_y"), ("classify", "classify_x_to_y")):
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.signature_name = signature
    request.input.example_list.examples.append(example())
    return entry


def warm(servable, batch_sizes=(), **options):
    metrics = Metrics()
    Warmup(ServerConfig(**options), metrics, lambda _: batch_sizes)(servable)
    return metrics.text()


def refused(servable):
    with pytest.raises(ServingError) as caught:
        warm(servable)
    return caught.value


def test_every_kind_of_request_is_replayed(servable, half_plus_two):
    write(
        half_plus_two,
        predict(),
        on_examples("classify_log", "classify_x_to_y"),
        on_examples("regress_log", "regress_x_to_y"),
        multi(),
        log(),  # without a request: TensorFlow Serving ignores it
    )
    text = warm(servable)
    assert servable.calls == [
        ("serving_default", 2),
        ("classify_x_to_y", 1),
        ("regress_x_to_y", 1),
        ("regress_x_to_y", 1),
        ("classify_x_to_y", 1),
    ]
    assert f':tensorflow:serving:model_warmup_records_read{{model_path="{half_plus_two}"}} 5' in text
    assert f'model_warmup_latency_count{{model_path="{half_plus_two}",status="OK"}} 1' in text


def test_requests_can_be_replayed_several_times(servable, half_plus_two):
    write(half_plus_two, predict())
    warm(servable, num_request_iterations_for_warmup=3)
    assert len(servable.calls) == 3


def test_an_empty_file_is_fine(servable, half_plus_two):
    write(half_plus_two)
    warm(servable)
    assert servable.calls == []


def test_no_file_is_fine(servable):
    warm(servable, synthetic_warmup=False)
    assert servable.calls == []


def test_warmup_can_be_turned_off(servable, half_plus_two):
    write(half_plus_two, predict())
    warm(servable, enable_model_warmup=False)
    assert servable.calls == []


def test_a_request_that_fails_fails_the_load(servable, half_plus_two):
    write(half_plus_two, predict(), predict(alias="wrong"))
    error = refused(servable)
    assert error.code is Code.INVALID_ARGUMENT
    assert "wrong" in str(error)


def test_an_unknown_signature_fails_the_load(servable, half_plus_two):
    write(half_plus_two, predict(signature="none"))
    assert 'Serving signature key "none" not found.' in str(refused(servable))


def test_a_malformed_record(servable, half_plus_two):
    write(half_plus_two, b"malformed_record")
    error = refused(servable)
    assert error.code is Code.INVALID_ARGUMENT
    assert str(error).startswith("Failed to parse warmup record: ")


def test_a_file_of_another_format(servable, half_plus_two):
    path = half_plus_two / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(predict().SerializeToString() * 10)
    error = refused(servable)
    assert error.code is Code.DATA_LOSS
    assert "Please verify your warmup data is in TFRecord format" in str(error)


def test_a_truncated_file(servable, half_plus_two):
    write(half_plus_two, predict(), predict())
    path = half_plus_two / WARMUP_FILE
    path.write_bytes(path.read_bytes()[:-5])
    assert refused(servable).code is Code.DATA_LOSS


@pytest.mark.lengthy
def test_too_many_records(servable, half_plus_two):
    write(half_plus_two, *[predict()] * (MAX_RECORDS + 1))
    error = refused(servable)
    assert error.code is Code.INVALID_ARGUMENT
    assert "Number of warmup records exceeds the maximum (1000)" in str(error)


@pytest.mark.parametrize("kind", ["session_run_log", "predict_streamed_log"])
def test_kinds_that_are_not_supported(servable, half_plus_two, kind):
    entry = log()
    getattr(entry, kind).SetInParent()
    write(half_plus_two, entry)
    error = refused(servable)
    assert error.code is Code.UNIMPLEMENTED
    assert "Unsupported log_type for warmup" in str(error)


def test_the_sizes_that_batching_will_use_are_warm_too(servable, half_plus_two):
    write(half_plus_two, predict((1, 2, 3)))
    warm(servable, batch_sizes=(1, 4))
    assert servable.calls == [("serving_default", 3), ("serving_default", 1), ("serving_default", 4)]


def test_synthetic_requests_without_a_file(servable):
    warm(servable, batch_sizes=(2,))
    ran = [name for name, _ in servable.calls]
    assert ("serving_default", 1) in servable.calls
    assert ("serving_default", 2) in servable.calls
    assert "regress_x_to_y" in ran  # the example lacks the feature x, but the model loads


def image_model():
    import tensorflow as tf

    images = tf.compat.v1.placeholder(tf.string, [None], "image_bytes")

    def decoded(data):
        return tf.cast(tf.image.resize(tf.io.decode_image(data, 3, expand_animations=False), (8, 8)), tf.float32)

    pixels = tf.map_fn(decoded, images, fn_output_signature=tf.float32)
    return {
        "serving_default": (
            "tensorflow/serving/predict",
            {"image_bytes": images},
            {"mean": tf.reduce_mean(pixels, [1, 2, 3])},
        )
    }


def test_a_synthetic_image(models, tmp_path, caplog):
    servable = Watched(models.save(tmp_path / "1", image_model))
    with caplog.at_level(logging.INFO, "serving"):
        warm(servable, batch_sizes=(1, 2))
    servable.close()
    assert servable.calls[-1] == ("serving_default", 2)
    assert "cannot make a warm-up request" not in caplog.text


def training_model():
    import tensorflow as tf

    x = tf.compat.v1.placeholder(tf.float32, [None], "x")
    steps = tf.compat.v1.get_variable("steps", initializer=0.0)
    trained = tf.compat.v1.assign_add(steps, 1.0)
    predict_method = "tensorflow/serving/predict"
    return {
        "serving_default": (predict_method, {"x": x}, {"y": x + steps}),
        "train": (predict_method, {"x": x}, {"steps": trained[None] + 0 * x}),
    }


def test_no_synthetic_request_for_a_signature_that_may_train(models, tmp_path):
    servable = Watched(models.save(tmp_path / "1", training_model))
    warm(servable)
    assert {name for name, _ in servable.calls} == {"serving_default"}
    signature = servable.signature("")
    assert servable.run(signature, {"x": np.float32([0])}, ["y"])["y"].tolist() == [0]
    servable.close()


def test_a_model_that_refuses_synthetic_requests_still_loads(models, tmp_path, caplog):
    def picky():
        import tensorflow as tf

        x = tf.compat.v1.placeholder(tf.string, [None], "x")
        return {"serving_default": ("tensorflow/serving/predict", {"x": x}, {"y": tf.ensure_shape(x, [7])})}

    servable = Watched(models.save(tmp_path / "1", picky))
    with caplog.at_level(logging.INFO, "serving"):
        warm(servable)
    servable.close()
    assert "cannot make a warm-up request for serving_default" in caplog.text


def test_logged_requests_can_be_replayed(servable, half_plus_two, tmp_path):
    from serving.manager.handle import Handle
    from serving.request_log import RequestLog

    logged = RequestLog(str(tmp_path), 1.0)
    signature = servable.signature("")
    inputs = {"x": np.float32([1, 2])}
    logged.predict(Handle("half", 3, servable), signature.name, inputs, servable.run(signature, inputs, ["y"]))
    values = np.float32([2.5])
    logged.regress(Handle("half", 3, servable), "regress_x_to_y", [example().SerializeToString()], values)
    logged.close()
    (path,) = (tmp_path / "half" / "3").iterdir()
    target = half_plus_two / WARMUP_FILE
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(path.read_bytes())
    servable.calls.clear()
    warm(servable)
    assert servable.calls == [("serving_default", 2), ("regress_x_to_y", 1)]
