"""One signature of a SavedModel: what goes in, what comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

DEFAULT_SIGNATURE = "serving_default"
# TensorFlow's C++ calls these otherwise than its Python does.
_NAMES = {"float32": "float", "float64": "double", "float16": "half"}


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of a signature.

    Args:
        alias: Its name in requests and answers.
        tensor: Its name in the graph, such as "serving_default_x:0".
        dtype: Its type: a NumPy dtype, `object` for strings.
        enum: Its type's number in TensorFlow's `DataType`.
        type_name: Its type's name as TensorFlow Serving writes it, such as "float" or "string".
        shape: Lengths with None where unknown; None for an unknown rank.
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
        name: Of the signature.
        method: Its method name, such as "tensorflow/serving/predict".
        inputs: By alias.
        outputs: By alias.
        defaults: Values of inputs that a request may leave out, by alias.
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
        """Reads a `tensorflow.SignatureDef`."""
        import tensorflow as tf

        return cls(
            name,
            proto.method_name,
            {alias: _tensor_spec(alias, info) for alias, info in sorted(proto.inputs.items())},
            {alias: _tensor_spec(alias, info) for alias, info in sorted(proto.outputs.items())},
            {alias: tf.make_ndarray(value) for alias, value in proto.defaults.items()},
            proto,
        )


def _tensor_spec(alias: str, info: Any) -> TensorSpec:
    import tensorflow as tf

    dtype = tf.dtypes.as_dtype(info.dtype)
    shape = info.tensor_shape
    lengths = None if shape.unknown_rank else tuple(None if dim.size < 0 else dim.size for dim in shape.dim)
    type_name = _NAMES.get(dtype.name, dtype.name)
    return TensorSpec(alias, info.name, np.dtype(dtype.as_numpy_dtype), info.dtype, type_name, lengths)
