"""One signature of a SavedModel: its inputs, outputs and method."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Method names, as a SavedModel stores them.
PREDICT_METHOD = "tensorflow/serving/predict"
CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"
# Types whose names differ between TensorFlow's C++, which TensorFlow Serving prints, and its Python.
_CPP_NAMES = {"float32": "float", "float64": "double", "float16": "half"}


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a signature.

    Args:
        alias: Its name in requests and responses.
        tensor: Its name in the graph, such as "serving_default_x:0".
        dtype: Its type: a NumPy dtype, `object` for strings.
        enum: The number of its type in TensorFlow's `DataType`.
        type_name: The name of its type as TensorFlow Serving writes it, such as "float" or "string".
        shape: Its lengths, None where a length is unknown; None for an unknown rank.
    """

    alias: str
    tensor: str
    dtype: np.dtype
    enum: int
    type_name: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """A function that a SavedModel offers.

    Args:
        name: Name of the signature, such as "serving_default".
        method: Method name, such as `PREDICT_METHOD`.
        inputs: Inputs by alias.
        outputs: Outputs by alias.
        defaults: Values of the inputs that a request may omit, by alias.
        proto: The `SignatureDef` as the model stores it.
    """

    name: str
    method: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    defaults: Mapping[str, np.ndarray] = field(default_factory=dict)
    proto: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def from_proto(cls, name: str, proto: Any) -> "Signature":
        """Converts a `tensorflow.SignatureDef`."""
        import tensorflow as tf

        return cls(
            name,
            proto.method_name,
            {alias: _tensor_spec(alias, info) for alias, info in sorted(proto.inputs.items())},
            {alias: _tensor_spec(alias, info) for alias, info in sorted(proto.outputs.items())},
            {alias: tf.make_ndarray(value) for alias, value in proto.defaults.items()},
            proto,
        )


def type_name(dtype_name: str) -> str:
    """Returns TensorFlow Serving's name of a type, such as "float" for "float32"."""
    return _CPP_NAMES.get(dtype_name, dtype_name)


def _tensor_spec(alias: str, info: Any) -> TensorSpec:
    import tensorflow as tf

    dtype = tf.dtypes.as_dtype(info.dtype)
    shape = info.tensor_shape
    lengths = None if shape.unknown_rank else tuple(None if dim.size < 0 else dim.size for dim in shape.dim)
    return TensorSpec(alias, info.name, np.dtype(dtype.as_numpy_dtype), info.dtype, type_name(dtype.name), lengths)
