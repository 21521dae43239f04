"""What RBM pretraining is worth to an AlexNet with few labels: test error by the share of labels that it gets.

    vision-tfx run tiny-imagenet-alexnet --data folder:PATH --home HOME     # prepares the images; any preset of AlexNet
    python benchmarks/label_fractions.py --home HOME [--name NAME] [--seeds N] [--patches N] [--results FILE]

For every seed: kernels of all convolutions from RBMs on patches of all training images, labels unseen; then, for 1, 5,
10 and 100 % of the labels of every class, one training from these kernels and one from random ones, equal in all
else, seed included. Shares with fewer images get more epochs, so that none is starved of updates. Nothing is chosen:
no validation images are looked at, the weights are those of the last epoch, and the test images are looked at once.

What is done is a line of the results file; a second call goes on from there.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
EPOCHS = {0.01: 200, 0.05: 100, 0.1: 60, 1.0: 15}


def newest(home: Path, name: str, station: str, output: str) -> str:
    """The folder of a station's newest artifact."""
    return str(max(Path(home, name, "artifacts", station, output).iterdir(), key=lambda path: int(path.name)))


def configuration(preset: str, patches: int, seed: int, share: float, scale: float):
    """The preset's, with what this experiment decides."""
    from components.station_config import StationConfig
    from models.config import PatchConfig
    from pipeline.presets import PRESETS

    run = PRESETS[preset].config
    model = dataclasses.replace(run.model, pretraining=PatchConfig(patches=patches))
    epochs = max(2, round(scale * EPOCHS[share]))
    training = dataclasses.replace(run.training, epochs=epochs, warmup_epochs=1, label_share=share)
    return StationConfig(model, seed, training=training)


def pretrained(config, examples: str, graph: str, folder: Path) -> Path:
    """Kernels from all training images, without labels."""
    from components.input_pipeline import image_data
    from components.input_pipeline.image_statistics import load_statistics
    from components.reporting import station_tracker
    from components.training import patch_pretraining

    size, channels = config.model.image_size, config.model.channels
    training = image_data.load_images(examples, ["train"], size, channels)
    statistics_ = load_statistics(graph, size, channels)
    network = patch_pretraining.pretrain(config, training, statistics_, station_tracker.StationTracker())
    patch_pretraining.save(network, folder)
    return folder


def errors(config, examples: str, graph: str, kernels: Path | None) -> tuple[int, float, float]:
    """Trains; number of images that have labels, top-1 and top-5 error on test in percent."""
    from components.evaluation.classification_metrics import rank_of_label
    from components.ingest.manifest import read_labels, read_manifest
    from components.input_pipeline import image_data
    from components.input_pipeline.image_statistics import load_statistics
    from components.input_pipeline.label_share import labelled_subset
    from components.reporting import station_tracker
    from components.training import alexnet
    from components.training.inputs import TrainingInputs

    root, size, channels = Path(examples), config.model.image_size, config.model.channels
    names = labelled_subset(read_manifest(root), ["train"], config.training.label_share, config.seed)
    inputs = TrainingInputs(
        training=image_data.load_images(examples, ["train"], size, channels, names),
        validation=None,
        statistics=load_statistics(graph, size, channels),
        labels=read_labels(root),
        pretrained=kernels,
    )
    served = alexnet.train(config, inputs, station_tracker.StationTracker())
    test = image_data.load_images(examples, ["test"], size, channels)
    ranks: list[int] = []
    for images, labels in test.batches(200):
        scores = served.from_pixels(np.asarray(images, "float32"))["probabilities"].numpy()
        ranks += map(rank_of_label, labels.numpy(), scores)
    return len(names), *(100 * float(np.mean(np.asarray(ranks) >= best)) for best in (1, 5))


def table(rows: list[dict]) -> None:
    """Prints means and standard deviations over the seeds."""
    print(
        f"\n{'labels':>7} {'images':>7} {'epochs':>7}  {'pretrained, top-1 %':>22} {'random, top-1 %':>22} {'gain':>16}"
    )
    for share in sorted({row["share"] for row in rows}):
        mine = [row for row in rows if row["share"] == share]
        by = {kind: {row["seed"]: row["top1"] for row in mine if row["pretrained"] == kind} for kind in (True, False)}
        gains = [by[False][seed] - by[True][seed] for seed in by[True].keys() & by[False].keys()]
        cells = [spread(list(values)) for values in (by[True].values(), by[False].values(), gains)]
        print(
            f"{100 * share:6.0f}% {mine[0]['images']:7,} {mine[0]['epochs']:7}  "
            f"{cells[0]:>22} {cells[1]:>22} {cells[2]:>16}",
            flush=True,
        )


def spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation}" if values else ""


def main() -> None:
    """Trains what is not in the results file yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--name", default="tiny-imagenet-alexnet", help="of the run in the home")
    parser.add_argument("--preset", default="tiny-imagenet-alexnet", help="whose net and training are used")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--patches", type=int, default=20_000, help="per layer")
    parser.add_argument("--scale", type=float, default=1.0, help="of all numbers of epochs")
    parser.add_argument("--results", type=Path, default=Path("label-fractions.jsonl"))
    options = parser.parse_args()
    examples = newest(options.home, options.name, "ImageExampleGen", "examples")
    graph = newest(options.home, options.name, "Transform", "transform_graph")
    rows = [json.loads(line) for line in options.results.read_text().splitlines()] if options.results.exists() else []
    done = {(row["seed"], row["share"], row["pretrained"]) for row in rows}
    for seed in range(1, options.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            kernels = None
            for share in EPOCHS:
                config = configuration(options.preset, options.patches, seed, share, options.scale)
                for kind in (True, False):
                    if (seed, share, kind) in done:
                        continue
                    start = time.perf_counter()
                    if kind and kernels is None:
                        kernels = pretrained(config.for_pretraining(), examples, graph, Path(folder, "kernels"))
                    images, top1, top5 = errors(config, examples, graph, kernels if kind else None)
                    rows.append(
                        {"seed": seed, "share": share, "pretrained": kind, "images": images, "top1": top1, "top5": top5}
                        | {"epochs": config.training.epochs, "seconds": round(time.perf_counter() - start)}
                    )
                    with options.results.open("a") as results:
                        results.write(json.dumps(rows[-1]) + "\n")
                    print(rows[-1], flush=True)
    table(rows)


if __name__ == "__main__":
    main()
