"""Type aliases of this package."""

from typing import Any, TypeAlias

# Array of Keras' backend, or anything `keras.ops.convert_to_tensor` accepts. Keras 3.15 declares no type for it.
Tensor: TypeAlias = Any

# NumPy array, or an iterable of batches that can be read repeatedly and has `map`, such as a tf.data.Dataset.
Dataset: TypeAlias = Any

# Shape of an array; an integer for each axis, or None for an unknown size such as that of the batch.
Shape: TypeAlias = tuple[Any, ...]

# Kernel (inputs, outputs) and bias (outputs,) of a directed layer.
DirectedLayer: TypeAlias = tuple[Tensor, Tensor]
