"""The SavedModel that is served: signatures from bytes to labels, class names, warm-up requests."""

from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from components import features, preprocessing

_BYTES = "image_bytes"
# Requests stored for warm-up and for the replay in a fresh process.
_WARMUP_IMAGES = 32
_WARMUP_FILE = "tf_serving_warmup_requests"


class ServedClassifier(tf.Module):
    """A classifier with its preprocessing and class names, ready for `tf.saved_model.save`.

    Every signature answers `probabilities` (N, classes), and best first `classes` (N, min(5, classes)), string, and
    `scores` (N, min(5, classes)).

    Args:
        classifier: Keras model from float images in grey levels (N, height, width, channels) to logits (N, classes).
        labels: class names in index order.
    """

    def __init__(self, classifier: keras.Model, labels: Sequence[str]) -> None:
        super().__init__()
        self.classifier = classifier
        _, height, width, self.channels = classifier.input_shape
        self.image_size = (height, width)
        self.labels = tf.constant([label.encode() for label in labels])

    def signatures(self) -> dict:
        """`serving_default` from encoded images, `examples` from serialized tf.Examples, `pixels` from images."""
        pixels = tf.TensorSpec((None, *self.image_size, self.channels), tf.float32, "pixels")
        strings = tf.TensorSpec((None,), tf.string)
        return {
            "serving_default": tf.function(self.from_bytes).get_concrete_function(
                image_bytes=tf.TensorSpec((None,), tf.string, _BYTES)
            ),
            "examples": tf.function(self.from_examples).get_concrete_function(
                examples=tf.TensorSpec(strings.shape, strings.dtype, "examples")
            ),
            "pixels": tf.function(self.from_pixels).get_concrete_function(pixels=pixels),
        }

    def from_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Encoded JPEG, PNG, GIF or BMP files, string (N,)."""
        images = preprocessing.prepare_batch(image_bytes, self.image_size, self.channels)
        return self.from_pixels(tf.cast(images, tf.float32))

    def from_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized tf.Examples with the feature `image`, string (N,)."""
        parsed = tf.io.parse_example(examples, {features.IMAGE: tf.io.FixedLenFeature((), tf.string)})
        return self.from_bytes(parsed[features.IMAGE])

    def from_pixels(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Images in grey levels, float (N, height, width, channels)."""
        probabilities = tf.nn.softmax(tf.cast(self.classifier(pixels, training=False), tf.float32))
        scores, indices = tf.math.top_k(probabilities, k=min(5, len(self.labels)))
        return {"probabilities": probabilities, "classes": tf.gather(self.labels, indices), "scores": scores}


def export(classifier: keras.Model, labels: Sequence[str], records: Sequence[bytes], destination: str) -> None:
    """Writes the SavedModel with its class names (`assets/labels.txt`) and warm-up requests (`assets.extra/`).

    Args:
        classifier: from float images in grey levels to logits.
        labels: class names in index order.
        records: serialized tf.Examples; some become warm-up requests, stored with the answers of this process.
        destination: folder to write.
    """
    served = ServedClassifier(classifier, labels)
    signatures = served.signatures()
    labels_file = Path(destination).parent / features.LABELS_FILE
    labels_file.parent.mkdir(parents=True, exist_ok=True)
    labels_file.write_text("\n".join(labels) + "\n", encoding="utf-8")
    served.labels_file = tf.saved_model.Asset(str(labels_file))
    tf.saved_model.save(served, destination, signatures=signatures)
    labels_file.unlink()
    _write_warmup(served, records[:_WARMUP_IMAGES], Path(destination))


def _write_warmup(served: ServedClassifier, records: Sequence[bytes], destination: Path) -> None:
    images = [tf.train.Example.FromString(r).features.feature[features.IMAGE].bytes_list.value[0] for r in records]
    prepared = preprocessing.prepare_batch(tf.constant(images), served.image_size, served.channels)
    # One image, as a client sends it, and a batch; then the other two signatures.
    requests = [("serving_default", _BYTES, tf.constant(images[i : i + 1])) for i in range(len(images))]
    requests += [
        ("serving_default", _BYTES, tf.constant(images)),
        ("examples", "examples", tf.constant(records)),
        ("pixels", "pixels", tf.cast(prepared, tf.float32)),
    ]
    answer = {
        "serving_default": served.from_bytes,
        "examples": served.from_examples,
        "pixels": served.from_pixels,
    }
    folder = destination / "assets.extra"
    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / _WARMUP_FILE)) as writer:
        for signature, name, value in requests:
            log = _predict_log(signature, {name: value}, answer[signature](value))
            writer.write(log.SerializeToString())


def _predict_log(signature: str, inputs: dict, outputs: dict) -> prediction_log_pb2.PredictionLog:
    request, response = predict_pb2.PredictRequest(), predict_pb2.PredictResponse()
    request.model_spec.signature_name = response.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    for name, value in outputs.items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    log = prediction_log_pb2.PredictLog(request=request, response=response)
    return prediction_log_pb2.PredictionLog(predict_log=log)
