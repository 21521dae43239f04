"""Writes the SavedModel that is served: signatures, assets, warm-up requests."""

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from components import features
from components.export import layout
from components.export.exported_model import ExportedModel
from components.input_pipeline import preprocessing

# Requests stored for warm-up and for the replay in a fresh process.
_WARMUP_IMAGES = 32


def export(served: ExportedModel, records: Sequence[bytes], destination: str) -> None:
    """Writes a SavedModel with its texts (`assets/`) and warm-up requests (`assets.extra/`).

    Args:
        served: the model.
        records: serialized tf.Examples; some become warm-up requests, stored with the answers of this process.
        destination: folder to write.
    """
    signatures = served.signatures()
    beside = Path(destination).parent
    beside.mkdir(parents=True, exist_ok=True)
    files = [beside / Path(name).name for name in served.text_assets()]
    for file, text in zip(files, served.text_assets().values(), strict=True):
        file.write_text(text, encoding="utf-8")
    served.files = [tf.saved_model.Asset(str(file)) for file in files]
    tf.saved_model.save(served, destination, signatures=signatures)
    for file in files:
        file.unlink()
    _write_warmup(served, records[:_WARMUP_IMAGES], Path(destination))


def _write_warmup(served: ExportedModel, records: Sequence[bytes], destination: Path) -> None:
    images = [tf.train.Example.FromString(r).features.feature[features.IMAGE].bytes_list.value[0] for r in records]
    prepared = preprocessing.prepare_batch(tf.constant(images), served.image_size, served.channels)
    inputs = {
        layout.BYTES: tf.constant(images),
        layout.EXAMPLES: tf.constant(records),
        layout.PIXELS: tf.cast(prepared, tf.float32),
    }
    # One image, as a client sends it, and a batch; then the other signatures.
    requests = [(layout.SERVING_DEFAULT, layout.BYTES, inputs[layout.BYTES][i : i + 1]) for i in range(len(images))]
    requests += [(signature, name, inputs[name]) for signature, (name, _) in served.signature_functions().items()]
    file = destination / layout.WARMUP_FILE
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for signature, name, value in requests:
            answers = served.signature_functions()[signature][1](value)
            log = _predict_log(signature, {name: value}, answers)
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
