"""How fast `models/` train on a GPU under Keras on JAX or PyTorch, as a share of its own matrix-multiply peak.

    KERAS_BACKEND=jax python benchmarks/gpu_models.py [--batches 128,256,512,1024] [--seconds S]

Prints images/s of AlexNet's training step (227 x 227, 1,000 classes, bfloat16 activations) by variant and batch size,
and seconds of RBM epochs (CD-1, 784 x 500 and 3072 x 2048). The peak is the rate of large matrix products in the same
run, in bfloat16 for AlexNet and float32 for the RBM. Needs Keras, NumPy and the backend (by default the first of JAX,
PyTorch and TensorFlow that is installed), nothing else of this project; without a GPU it says so and exits with 0.
"""

import argparse
import importlib.util
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
_INSTALLED = (name for name in ("jax", "torch", "tensorflow") if importlib.util.find_spec(name))
os.environ.setdefault("KERAS_BACKEND", next(_INSTALLED, "tensorflow"))

# GFLOP of one image forward and backward, multiplications and additions.
TRAINING_GFLOP = {"paper": 4.136, "ungrouped": 6.601}
ROWS = 60_000


def has_gpu(backend: str) -> bool:
    """Whether the backend of Keras sees a GPU."""
    if backend == "jax":
        import jax

        return any(device.platform == "gpu" for device in jax.devices())
    if backend == "torch":
        import torch

        return torch.cuda.is_available()
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def finish(value) -> None:
    """Waits until a tensor is computed."""
    import keras

    keras.ops.convert_to_numpy(value)


def peak(dtype: str, size: int = 8192, seconds: float = 2.0) -> float:
    """TFLOP/s of square matrix products."""
    import keras
    from keras import ops

    a = ops.cast(keras.random.normal((size, size), seed=1), dtype)
    b = ops.cast(keras.random.normal((size, size), seed=2), dtype)
    finish(ops.sum(ops.matmul(a, b)))
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(10):
            product = ops.matmul(a, b)
        finish(product[0, 0])
        count += 10
    return count * 2 * size**3 / (time.perf_counter() - start) / 1e12


def alexnet_speed(variant: str, batch: int, seconds: float) -> float:
    """Images/s of `fit` with SGD and momentum."""
    import keras
    import numpy as np

    from models.alexnet import alexnet
    from models.fitting.sgd import MomentumSGD

    keras.config.set_dtype_policy("mixed_bfloat16")
    net = alexnet(variant, 1000, seed=1)
    net.compile(
        MomentumSGD(0.01, momentum=0.9, weight_cost=5e-4),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=keras.backend.backend() != "torch",
    )
    random = np.random.default_rng(0)
    images = keras.ops.convert_to_tensor(random.normal(0, 50, (batch, 227, 227, 3)).astype("float32"))
    labels = keras.ops.convert_to_tensor(random.integers(0, 1000, batch))
    for _ in range(3):
        net.train_on_batch(images, labels)
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        net.train_on_batch(images, labels)  # returns the loss: waits for the step
        steps += 1
    speed = steps * batch / (time.perf_counter() - start)
    keras.config.set_dtype_policy("float32")
    return speed


def rbm_epoch(visible: int, hidden: int, batch: int) -> float:
    """Seconds of an epoch of 60,000 rows through `RBM.fit`, the second one, compiled."""
    import numpy as np

    from models.fitting.sgd import MomentumSGD
    from models.rbm import RBM

    rows = (np.random.default_rng(0).random((ROWS, visible), dtype=np.float32) < 0.13).astype(np.float32)
    rbm = RBM(hidden, minibatch_size=batch, seed=1)
    rbm.compile(MomentumSGD(0.1, momentum=0.9, weight_cost=2e-4))
    rbm.fit(rows, batch_size=10_000, epochs=1, verbose=0)
    start = time.perf_counter()
    rbm.fit(rows, batch_size=10_000, epochs=3, verbose=0)
    return (time.perf_counter() - start) / 3


def main() -> None:
    """Prints all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", default="128,256,512,1024")
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    import keras

    backend = keras.backend.backend()
    if not has_gpu(backend):
        print(f"No GPU is visible to Keras on {backend}: nothing was measured.")
        return
    bf16, f32 = peak("bfloat16"), peak("float32")
    print(
        f"Keras {keras.__version__} on {backend}; matrix-multiply peak {bf16:.1f} TFLOP/s bfloat16, {f32:.1f} float32"
    )
    for variant, gflop in TRAINING_GFLOP.items():
        for batch in map(int, options.batches.split(",")):
            speed = alexnet_speed(variant, batch, options.seconds)
            share = speed * gflop / 1000 / bf16
            print(
                f"alexnet {variant:<10} batch {batch:>5}: {speed:>9.0f} images/s, {share:.1%} of the peak", flush=True
            )
    for visible, hidden, batch in ((784, 500, 100), (784, 500, 1000), (3072, 2048, 1000)):
        seconds = rbm_epoch(visible, hidden, batch)
        share = 5 * 2 * ROWS * visible * hidden / seconds / 1e12 / f32
        print(f"RBM {visible} x {hidden}, batch {batch}: {seconds:.3f} s per epoch, {share:.1%} of it", flush=True)


if __name__ == "__main__":
    main()
