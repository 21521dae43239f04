"""How fast images reach AlexNet: against decoding alone, and against a loader of processes that use Pillow.

    python benchmarks/input_pipeline.py [--count N] [--rounds N] [--images DIR] [--memory]

JPEGs of 256 x 256 pixels and quality 90, 227 x 227 pixels of each at a random place, every other one mirrored, in
batches of 128, uint8. The contestants live in processes of their own and take turns of one epoch, so that whatever
else the machine does hits all of them; what is compared is the median of the rounds' ratios:

* ours: `load_images(...).batches(...)` from TFRecords that do not fit in memory, in random order;
* decode: `tf.io.decode_jpeg` of the same whole files, already in memory, in a tf.data map, and nothing else;
* pillow: as many processes as cores, the files in memory; batches go through shared memory.

An epoch of 20,000 images takes 5 s. In one of 4,000, filling the buffer in which half of them are shuffled and finding
the parallelism, once an epoch, take a fifth of the time; in ImageNet's 1.28 million they take nothing.

Images are noise with the spectrum of photographs, of 20 kB; `--images` names a folder of JPEGs to be brought to size
instead. `--memory` shows what our process takes for the images and for four times as many.
"""

import argparse
import io
import itertools
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SIDE, CROP, BATCH, QUALITY = 256, 227, 128, 95
DISTINCT = 1000  # photographs made; more are repetitions, whose 20 MB no cache of a core holds
SHARDS = 8
BARS = {"decode": 0.9, "pillow": 1.2}


def photograph(generator: np.random.Generator) -> Image.Image:
    """Noise whose amplitude falls with the frequency as that of photographs does, its colours alike."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    frequency[0, 0] = 1
    noise = generator.normal(size=(4, 2, SIDE, SIDE // 2 + 1))
    texture = np.fft.irfft2((noise[:, 0] + 1j * noise[:, 1]) / frequency**1.6, (SIDE, SIDE))
    grey, colors = texture[0], texture[1:]
    mixed = np.moveaxis(grey + 0.4 * colors, 0, -1)
    return Image.fromarray(np.clip(120 + 55 * mixed / mixed.std(), 0, 255).astype(np.uint8))


def encoded(image: Image.Image) -> bytes:
    """JPEG bytes."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def jpegs(count: int, folder: Path | None) -> list[bytes]:
    """`count` files, made or taken from a folder."""
    if folder is None:
        generator = np.random.default_rng(0)
        made = [encoded(photograph(generator)) for _ in range(min(count, DISTINCT))]
    else:
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))[:count]
        made = [encoded(ImageOps.fit(Image.open(path).convert("RGB"), (SIDE, SIDE))) for path in paths]
    if not made:
        sys.exit(f"{folder} holds no JPEG")
    return [made[i % len(made)] for i in range(count)]


def write_artifact(root: Path, files: list[bytes], times: int = 1) -> None:
    """Examples as ExampleGen would write them; `times` as many records by linking each shard that often."""
    import pyarrow as pa
    import tensorflow as tf

    from components import features
    from components.ingest import manifest

    folder = root / f"Split-{features.TRAIN}"
    folder.mkdir(parents=True)
    for shard in range(SHARDS):
        first = folder / f"data_tfrecord-{shard:05d}-00"
        with tf.io.TFRecordWriter(str(first)) as writer:
            for number in range(shard, len(files), SHARDS):
                example = tf.train.Example()
                example.features.feature[features.IMAGE].bytes_list.value.append(files[number])
                example.features.feature[features.LABEL].int64_list.value.append(number % 1000)
                writer.write(example.SerializeToString())
        for copy in range(1, times):
            os.link(first, folder / f"data_tfrecord-{shard:05d}-{copy:02d}")
    row = {**dict.fromkeys(manifest.SCHEMA.names), "split": features.TRAIN, "verdict": features.OK}
    manifest.write_manifest(root, pa.Table.from_pylist([row] * (len(files) * times), schema=manifest.SCHEMA), SIDE)


def ours(root: Path):
    """Epochs of our pipeline."""
    from components import features
    from components.input_pipeline import image_data
    from components.input_pipeline.crops import CropPlan
    from components.input_pipeline.epoch_order import EpochOrder

    image_data.MEMORY_LIMIT = 0
    data = image_data.load_images(str(root), [features.TRAIN], (SIDE, SIDE), 3)
    order = EpochOrder(1)
    dataset = data.batches(BATCH, order, CropPlan((CROP, CROP), seed=1))
    epochs = iter(range(10**6))

    def epoch() -> int:
        order.on_epoch_begin(next(epochs))
        return sum(len(images) for images, _ in dataset)

    return epoch


def decode(root: Path):
    """Decoding alone. Only a number of each image is batched and passed to Python, so that no pixel is copied."""
    import tensorflow as tf

    files = tf.constant(read(root))
    dataset = tf.data.Dataset.from_tensor_slices(files).map(
        lambda data: tf.shape(tf.io.decode_jpeg(data, channels=3))[0], num_parallel_calls=tf.data.AUTOTUNE
    )
    dataset = dataset.batch(BATCH).prefetch(tf.data.AUTOTUNE)
    return lambda: sum(len(heights) for heights in dataset)


def pillow(root: Path):
    """A pool of processes that write batches into shared memory, a few ahead of their reader."""
    count, workers = len(read(root)), os.cpu_count()
    slots = 3 * workers
    buffer = multiprocessing.RawArray("B", slots * BATCH * CROP * CROP * 3)
    pool = multiprocessing.Pool(workers, start_worker, (root, buffer))

    def epoch() -> int:
        order, total, pending = np.random.permutation(count), 0, deque()
        for number, start in enumerate(range(0, count, BATCH)):
            if len(pending) == slots:
                total += pending.popleft().get()
            pending.append(pool.apply_async(work, (number % slots, order[start : start + BATCH])))
        return total + sum(result.get() for result in pending)

    return epoch


def start_worker(root: Path, buffer) -> None:
    """Reads the files into a worker's memory."""
    global FILES, BATCHES
    FILES = read(root)
    BATCHES = np.frombuffer(buffer, np.uint8).reshape(-1, BATCH, CROP, CROP, 3)
    np.random.seed(os.getpid())


def work(slot: int, indices: np.ndarray) -> int:
    """Fills one batch."""
    for row, index in enumerate(indices):
        top, left = np.random.randint(0, SIDE - CROP + 1, 2)
        image = Image.open(io.BytesIO(FILES[index])).convert("RGB").crop((left, top, left + CROP, top + CROP))
        if np.random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        BATCHES[slot, row] = np.asarray(image)
    return len(indices)


def read(root: Path) -> list[bytes]:
    """The JPEGs, which lie beside the artifact too: Pillow's processes do without TensorFlow."""
    archive = np.load(root / "jpegs.npz")
    bounds = archive["bounds"]
    data = archive["data"].tobytes()
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


def contest(name: str, root: Path, pipe) -> None:
    """Runs an epoch whenever asked; answers with images per second and the resident memory so far in MiB."""
    epoch = {"ours": ours, "decode": decode, "pillow": pillow}[name](root)
    while pipe.recv():
        start = time.perf_counter()
        count = epoch()
        speed = count / (time.perf_counter() - start)
        pipe.send((speed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


class Contestant:
    """A process that runs epochs of one kind."""

    def __init__(self, name: str, root: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=contest, args=(name, root, other))
        self._process.start()

    def epoch(self) -> tuple[float, float]:
        """Images per second and MiB."""
        self._pipe.send(True)
        return self._pipe.recv()

    def end(self) -> None:
        """Lets the process end."""
        self._pipe.send(False)
        self._process.join(10)
        self._process.kill()


def compare(root: Path, rounds: int) -> None:
    """Prints images per second and ratios."""
    contestants = {name: Contestant(name, root) for name in ("ours", *BARS)}
    for contestant in contestants.values():
        contestant.epoch()  # traces, and lets tf.data find its parallelism
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name, contestant in contestants.items():
            speeds[name].append(contestant.epoch()[0])
        print(f"round {number + 1}: " + "  ".join(f"{name} {found[-1]:7,.0f}/s" for name, found in speeds.items()))
    for contestant in contestants.values():
        contestant.end()
    print("median:  " + "  ".join(f"{name} {statistics.median(found):7,.0f}/s" for name, found in speeds.items()))
    for name, bar in BARS.items():
        ratios = [mine / other for mine, other in zip(speeds["ours"], speeds[name], strict=True)]
        verdict = "reached" if statistics.median(ratios) >= bar else "MISSED"
        print(f"ours / {name}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", end="")
        print(f", at least {bar} wanted: {verdict}")


def compare_memory(roots: dict[int, Path], epochs: int = 2) -> None:
    """Prints the largest resident size of our process for each amount of data."""
    for times, root in roots.items():
        contestant = Contestant("ours", root)
        memory = [contestant.epoch()[1] for _ in range(epochs)][-1]
        contestant.end()
        print(f"{times} x the data: {memory:,.0f} MiB")


def main() -> None:
    """Makes the files and compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20000, help="images")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=Path, help="folder of JPEGs to take instead of made ones")
    parser.add_argument("--memory", action="store_true", help="also: memory for the images and for 4 times as many")
    arguments = parser.parse_args()
    files = jpegs(arguments.count, arguments.images)
    print(f"{len(files):,} JPEGs of {statistics.mean(map(len, files)) / 1000:.1f} kB, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        roots = {times: Path(folder, str(times)) for times in ((1, 4) if arguments.memory else (1,))}
        for times, root in roots.items():
            write_artifact(root, files, times)
        bounds = np.cumsum([0, *map(len, files)])
        np.savez(roots[1] / "jpegs.npz", data=np.frombuffer(b"".join(files), np.uint8), bounds=bounds)
        compare(roots[1], arguments.rounds)
        if arguments.memory:
            compare_memory(roots)


if __name__ == "__main__":
    main()
