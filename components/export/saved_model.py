"""Writes a SavedModel: signatures, assets, warm-up requests."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from components import features
from components.export import layout
from components.export.exported_model import ExportedModel
from components.input_pipeline import preprocessing

# Requests stored for warm-up and for the replay in a fresh process.
_WARMUP_IMAGES = 32


def export(model: ExportedModel, records: Sequence[bytes], destination: str) -> None:
    """Writes a SavedModel with its text files (`assets/`) and warm-up requests (`assets.extra/`).

    Args:
        model: The model.
        records: Serialized tf.Examples. The first 32 become warm-up requests, stored with the responses of this process
            for InfraValidator to compare.
        destination: Folder to write.
    """
    signatures = model.signatures()
    beside = Path(destination).parent
    beside.mkdir(parents=True, exist_ok=True)
    # TensorFlow copies assets from files, under their own names.
    files = {beside / Path(path).name: text for path, text in model.text_assets().items()}
    for file, text in files.items():
        file.write_text(text, encoding="utf-8")
    model.assets = [tf.saved_model.Asset(str(file)) for file in files]
    tf.saved_model.save(model, destination, signatures=signatures)
    for file in files:
        file.unlink()
    _write_warmup(model, records[:_WARMUP_IMAGES], Path(destination))


def _write_warmup(model: ExportedModel, records: Sequence[bytes], destination: Path) -> None:
    images = [tf.train.Example.FromString(r).features.feature[features.IMAGE].bytes_list.value[0] for r in records]
    prepared = preprocessing.prepare_batch(tf.constant(images), model.image_size, model.channels)
    inputs = {
        layout.BYTES: tf.constant(images),
        layout.EXAMPLES: tf.constant(records),
        layout.PIXELS: tf.cast(prepared, tf.float32),
    }
    # Single images, as clients send them; then a batch for every signature.
    requests = [(layout.SERVING_DEFAULT, layout.BYTES, inputs[layout.BYTES][i : i + 1]) for i in range(len(images))]
    requests += [(signature, name, inputs[name]) for signature, (name, _) in model.signature_functions().items()]
    file = destination / layout.WARMUP_FILE
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for signature, name, value in requests:
            _, function = model.signature_functions()[signature]
            log = _predict_log(signature, {name: value}, function(value))
            writer.write(log.SerializeToString())


def _predict_log(
    signature: str, inputs: Mapping[str, tf.Tensor], outputs: Mapping[str, tf.Tensor]
) -> prediction_log_pb2.PredictionLog:
    request, response = predict_pb2.PredictRequest(), predict_pb2.PredictResponse()
    request.model_spec.signature_name = response.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    for name, value in outputs.items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    log = prediction_log_pb2.PredictLog(request=request, response=response)
    return prediction_log_pb2.PredictionLog(predict_log=log)
