"""The models of the conformance tests, small and similar to those of TensorFlow Serving's own tests.

    python tests/serving/conformance/models.py DIR

builds all of them in DIR/<model>/<version> with a models.config, so that a TensorFlow Serving of your own can serve
them and the tests can be run on it: see conftest.py.
"""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))
Signatures = Mapping[str, tuple[str, Mapping, Mapping]]


def save(folder: Path, build: Callable[[], Signatures]) -> Path:
    """Writes a SavedModel.

    Args:
        folder: Where.
        build: Makes the graph; returns by name of signature its method, inputs and outputs (alias -> tensor).
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        signatures = {
            name: v1.saved_model.build_signature_def(
                {alias: v1.saved_model.build_tensor_info(tensor) for alias, tensor in inputs.items()},
                {alias: v1.saved_model.build_tensor_info(tensor) for alias, tensor in outputs.items()},
                method,
            )
            for name, (method, inputs, outputs) in build().items()
        }
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(os.fspath(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
        builder.save()
    return folder


def half_plus(offset: float) -> Callable[[], Signatures]:
    """y = x / 2 + offset, as a predict, a classify and two regress signatures."""

    def build() -> Signatures:
        import tensorflow as tf

        v1 = tf.compat.v1
        half, plus = v1.Variable(0.5, name="a"), v1.Variable(offset, name="b")
        x = v1.placeholder(tf.float32, [None], "x")
        y = tf.add(half * x, plus, name="y")
        examples = v1.placeholder(tf.string, [None], "tf_example")
        parsed = tf.io.parse_example(
            examples,
            {
                "x": tf.io.FixedLenFeature([1], tf.float32),
                "x2": tf.io.FixedLenFeature([1], tf.float32, default_value=[0.0]),
            },
        )
        y1 = half * parsed["x"] + plus
        y2 = half * parsed["x"] + 3.0
        count = tf.shape(y1)[0]
        labels = tf.tile(tf.constant([["low", "high"]]), [count, 1])
        scores = tf.concat([1.0 / y1, 1.0 - 1.0 / y1], axis=1)
        return {
            "serving_default": (PREDICT, {"x": x}, {"y": y}),
            "regress_x_to_y": (REGRESS, {"inputs": examples}, {"outputs": y1}),
            "regress_x_to_y2": (REGRESS, {"inputs": examples}, {"outputs": y2}),
            "classify_x_to_y": (CLASSIFY, {"inputs": examples}, {"scores": y1}),
            "classify_labels": (CLASSIFY, {"inputs": examples}, {"classes": labels, "scores": scores}),
        }

    return build


def odd() -> Signatures:
    """Classify and regress signatures whose inputs and outputs are not those that the protocol requires."""
    import tensorflow as tf

    v1 = tf.compat.v1
    examples, more = v1.placeholder(tf.string, [None], "examples"), v1.placeholder(tf.string, [None], "more")
    parsed = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"]
    text = tf.as_string(parsed)
    one, two = {"inputs": examples}, {"inputs": examples, "more": more}
    flat, wide = tf.reshape(parsed, [-1]), tf.concat([parsed, parsed], 1)
    return {
        "classify_two_inputs": (CLASSIFY, two, {"scores": parsed}),
        "classify_flat": (CLASSIFY, one, {"scores": flat}),
        "classify_float_classes": (CLASSIFY, one, {"classes": parsed}),
        "classify_text_scores": (CLASSIFY, one, {"scores": text}),
        "classify_unequal": (CLASSIFY, one, {"classes": text, "scores": wide}),
        "classify_few": (CLASSIFY, one, {"scores": parsed[:1]}),
        "regress_two_inputs": (REGRESS, two, {"outputs": parsed}),
        "regress_wide": (REGRESS, one, {"outputs": wide}),
        "regress_text": (REGRESS, one, {"outputs": text}),
        "regress_few": (REGRESS, one, {"outputs": parsed[:1]}),
    }


def sums() -> Signatures:
    """Two inputs, two outputs: a + b and a - b, both of shape (batch,); and outputs without a common batch."""
    import tensorflow as tf

    a, b = (tf.compat.v1.placeholder(tf.float32, [None], name) for name in ("a", "b"))
    total = tf.reduce_sum(a + b)
    return {
        "serving_default": (PREDICT, {"a": a, "b": b}, {"sum": a + b, "difference": a - b}),
        "uneven": (PREDICT, {"a": a, "b": b}, {"sum": a + b, "joined": tf.concat([a, b], 0)}),
        "scalar": (PREDICT, {"a": a, "b": b}, {"total": total}),
    }


ECHOED = (
    *("float32", "float64", "int8", "uint8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "bool", "string"),
    *("half", "bfloat16", "complex64"),
)


def echoes() -> Signatures:
    """One signature per type, named after it, that returns `x` of any shape as `x_out`, and "bytes" as `x_bytes`."""
    import tensorflow as tf

    signatures = {}
    for name in ECHOED:
        x = tf.compat.v1.placeholder(tf.as_dtype(name), None, f"{name}_x")
        signatures[name] = (PREDICT, {"x": x}, {"x_out": tf.identity(x)})
    x = tf.compat.v1.placeholder(tf.string, None, "bytes_x")
    signatures["bytes"] = (PREDICT, {"x": x}, {"x_bytes": tf.identity(x)})
    signatures["serving_default"] = signatures["float32"]
    return signatures


def matrix() -> Signatures:
    """softmax(relu(x A) B): `x` (batch, 64) floats to `y` (batch, 10)."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    a, b = (tf.compat.v1.Variable(random.normal(0, 0.1, shape).astype("float32")) for shape in ((64, 256), (256, 10)))
    x = tf.compat.v1.placeholder(tf.float32, [None, 64], "x")
    return {"serving_default": (PREDICT, {"x": x}, {"y": tf.nn.softmax(tf.nn.relu(x @ a) @ b)})}


def slow() -> Signatures:
    """Multiplies matrices `rounds` times; 1,000 rounds take about a second."""
    import tensorflow as tf

    rounds = tf.compat.v1.placeholder(tf.int32, [None], "rounds")
    square = tf.random.normal((256, 256)) / 256.0
    _, done = tf.while_loop(
        lambda i, _: i < tf.reduce_max(rounds),
        lambda i, m: (i + 1, tf.linalg.matmul(m, square) + square),
        (tf.constant(0), square),
    )
    return {
        "serving_default": (PREDICT, {"rounds": rounds}, {"rounds_out": rounds + tf.cast(0.0 * done[0, 0], tf.int32)})
    }


MODELS: dict[str, dict[int, Callable[[], Signatures]]] = {
    "half_plus_two": {123: half_plus(2.0)},
    "half_plus_three": {1: half_plus(3.0)},
    "odd": {1: odd},
    "sums": {1: sums},
    "echoes": {1: echoes},
    "matrix": {1: matrix},
    "slow": {1: slow},
}
CONFIG = "model_config_list {{\n{models}}}\n"
ONE = '  config {{ name: "{name}" base_path: "{base}" model_platform: "tensorflow" }}\n'


def build_all(root: Path, served_from: str | None = None) -> Path:
    """Builds every model that does not exist yet, and models.config.

    Args:
        root: Folder.
        served_from: What the server calls that folder; none means the same.

    Returns:
        The path of models.config.
    """
    for name, versions in MODELS.items():
        for version, build in versions.items():
            if not (folder := root / name / str(version)).exists():
                save(folder, build)
    base = served_from or str(root.resolve())
    config = root / "models.config"
    config.write_text(CONFIG.format(models="".join(ONE.format(name=name, base=f"{base}/{name}") for name in MODELS)))
    return config


if __name__ == "__main__":
    print(build_all(Path(sys.argv[1]), *sys.argv[2:3]))
