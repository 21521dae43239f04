"""How fast AlexNet trains on CPU: the pipeline's own trainer against plain Keras `fit` and a plain PyTorch loop.

    python benchmarks/training_step.py [--images N] [--rounds N] [--torch-python PATH]

AlexNet `ungrouped`, batches of 64 of 227 x 227, float32, momentum and weight cost. Ours is `backpropagation.fit` with
all that it does in a run: JPEGs of 256 x 256 read from TFRecords, random mirrored crops, mean image and colour noise,
checkpoints, a record of every epoch. Keras fits arrays of finished crops in memory; PyTorch a tensor of them. Every
contestant is a process of its own, with an epoch behind it; they take turns of one epoch. `--torch-python` names an
interpreter that has PyTorch; without it, PyTorch is left out.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
SIDE, CROP, BATCH, CLASSES = 256, 227, 64, 1000
BARS = {"keras": 1.0, "torch": 1.3}


def arrays(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Finished crops, and labels."""
    random = np.random.default_rng(0)
    return random.normal(0, 50, (count, CROP, CROP, 3)).astype(np.float32), random.integers(0, CLASSES, count)


def ours(count: int, turn) -> None:
    """One training of the pipeline's trainer, from files on; its record of an epoch is where it waits for its turn."""
    import keras
    from input_pipeline import jpegs, write_artifact

    from components.input_pipeline import image_data
    from components.input_pipeline.crops import CropPlan
    from components.input_pipeline.image_statistics import ImageStatistics
    from components.reporting.station_tracker import StationTracker
    from components.station_config import StationConfig
    from components.training import backpropagation, checkpoints
    from components.training.alexnet import build
    from components.training.inputs import TrainingInputs
    from models.config import AlexNetConfig, TrainingConfig
    from models.metrics import TopKError

    root = Path(tempfile.mkdtemp())
    write_artifact(root / "examples", jpegs(count, None))
    image_data.MEMORY_LIMIT = 0
    data = image_data.load_images(str(root / "examples"), ["train"], (SIDE, SIDE), 3)
    statistics_ = ImageStatistics(np.full((SIDE, SIDE, 3), 120, np.float32), np.diag([3000.0, 3000.0, 3000.0]))
    model = AlexNetConfig(variant="ungrouped")
    labels = [str(number) for number in range(CLASSES)]
    inputs = TrainingInputs(data, None, statistics_, labels, None, checkpoints.Checkpoint(root / "checkpoint"))
    network = build(model, inputs, 1)
    settings = TrainingConfig(
        epochs=10_000, batch_size=BATCH, learning_rate=0.01, weight_cost=5e-4, schedule="constant", use_validation=True
    )
    config = StationConfig(model, 1, training=settings)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    crops = CropPlan((CROP, CROP), seed=1)
    metrics = [TopKError(1), TopKError(5)]

    class Tracker(StationTracker):
        def log_metrics(self, values, step=None):
            turn()

    backpropagation.fit(network, config, inputs, loss, metrics, Tracker(), crops=crops)


def plain_keras(count: int, turn) -> None:
    """Epochs of `fit` on arrays in memory."""
    import keras

    from models.alexnet import alexnet

    net = alexnet("ungrouped", CLASSES, seed=1)
    net.compile(
        keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=5e-4),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    images, labels = arrays(count)
    while True:
        net.fit(images, labels, batch_size=BATCH, epochs=1, verbose=0)
        turn()


def torch_loop(count: int, turn) -> None:
    """Epochs of a plain loop over a tensor."""
    import torch
    from torch import nn

    def block(*convolution, pool=False, norm=False):
        layers = [nn.Conv2d(*convolution), nn.ReLU()]
        layers += [nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)] if norm else []
        return layers + ([nn.MaxPool2d(3, 2)] if pool else [])

    net = nn.Sequential(
        *block(3, 96, 11, 4, pool=True, norm=True),
        *block(96, 256, 5, 1, 2, pool=True, norm=True),
        *block(256, 384, 3, 1, 1),
        *block(384, 384, 3, 1, 1),
        *block(384, 256, 3, 1, 1, pool=True),
        nn.Flatten(),
        *(nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(4096, CLASSES),
    ).to(memory_format=torch.channels_last)
    images, labels = arrays(count)
    images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(labels)
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)
    loss = nn.CrossEntropyLoss()

    while True:
        for start in range(0, count, BATCH):
            optimizer.zero_grad()
            loss(net(images[start : start + BATCH]), labels[start : start + BATCH]).backward()
            optimizer.step()
        turn()


CONTESTANTS = {"ours": ours, "keras": plain_keras, "torch": torch_loop}


def serve(name: str, count: int) -> None:
    """A contestant's process: answers every line with the seconds of one epoch."""
    began = None

    def turn() -> None:
        nonlocal began
        print("ready" if began is None else time.perf_counter() - began, flush=True)
        if not sys.stdin.readline():
            os._exit(0)
        began = time.perf_counter()

    CONTESTANTS[name](count, turn)


def main() -> None:
    """Prints images/s of each and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torch-python")
    parser.add_argument("--serve", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.images)
        return
    interpreters = {"ours": sys.executable, "keras": sys.executable, "torch": options.torch_python}
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    processes = {
        name: subprocess.Popen(
            [python, __file__, "--serve", name, "--images", str(options.images)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for name, python in interpreters.items()
        if python
    }
    for process in processes.values():
        while process.stdout.readline().strip() != "ready":
            if process.poll() is not None:
                sys.exit("a contestant failed to start")
    speeds: dict[str, list[float]] = {name: [] for name in processes}
    for _ in range(options.rounds):
        for name, process in processes.items():
            process.stdin.write("\n")
            process.stdin.flush()
            speeds[name].append(options.images / float(process.stdout.readline()))
    for process in processes.values():
        process.stdin.close()
        process.wait()
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    for name, values in speeds.items():
        print(f"{name:<6} {medians[name]:>7.1f} images/s (best {max(values):.1f})")
    for name, bar in BARS.items():
        if name in medians:
            print(f"ours / {name}: {medians['ours'] / medians[name]:.2f}, at least {bar} wanted")


if __name__ == "__main__":
    main()
