"""Draws docs/gallery.md and its images from trained nets.

    python benchmarks/gallery.py NAME=FOLDER... [--data mnist] [--data-dir DIR] [--out docs]

NAME is a chapter of the page, FOLDER what a training left: the model of RBMPretrainer, which is
`<home>/<name>/artifacts/RBMPretrainer/model/<id>/Format-Serving`, any other folder that `DBN.save` or `LabelDBN.save`
wrote, such as `<home>/<name>/artifacts/Trainer/model_run/<id>/label_dbn`, or the SavedModel of an autoencoder.
What is drawn depends on the net. Images are taken from the training split.
A net of one layer takes some three minutes on two cores, for its partition function; all others take seconds.
"""

import argparse
import io
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from components.figures import autoencoder_plots, rbm_arrays, rbm_plots
from components.figures.filters import filters, projected_filters
from models.dbn import DBN
from models.partition import ais_log_partition
from models.partition.log_partition import log_probability, spaced_betas
from models.up_down import LabelDBN

IMAGES = 5000  # of the training split
STEPS = (0, 1, 3, 10, 30, 100, 300, 1000)  # of Gibbs sampling
TEMPERATURES = (100, 300, 1000, 3000, 14500)
SAMPLES = 12  # of every class
CONV_FILTERS = "conv-rbm-filters.png"  # plot that benchmarks/conv_filters.py draws
CONV_CHAPTER = f"""## conv-rbm

Each tile is one filter of a convolutional RBM, trained on patches of two photographs: several become oriented edges and
bars. `python benchmarks/conv_filters.py` trains it and draws them.

![conv-rbm: filters](images/gallery/{CONV_FILTERS})"""


class Data(NamedTuple):
    """Training images of a data set.

    Args:
        images: Flattened, in [0, 1], shape (images, num_visible).
        classes: Class of each, shape (images,).
        shape: (height, width) of an image.
        labels: Name of every class.
    """

    images: np.ndarray
    classes: np.ndarray
    shape: tuple[int, int]
    labels: list[str]


class Picture(NamedTuple):
    """A figure and what to see in it.

    Args:
        name: Of the file, without its chapter.
        caption: One sentence.
        figure: What is drawn.
    """

    name: str
    caption: str
    figure: Figure


def load_data(name: str, data_dir: str | None) -> Data:
    """Reads the training images of "mnist", through TFDS, or "digits", which scikit-learn brings along."""
    if name == "digits":
        from sklearn.datasets import load_digits

        images, classes = load_digits(return_X_y=True)
        images, shape = images / 16, (8, 8)
    else:
        import tensorflow_datasets as tfds

        split = tfds.load(name, data_dir=data_dir, split=f"train[:{IMAGES}]", batch_size=-1)
        images, classes = (np.asarray(split[key]) for key in ("image", "label"))
        images, shape = images.reshape(len(images), -1) / 255, images.shape[1:3]
    labels = [str(label) for label in range(classes.max() + 1)]
    return Data(images.astype("float32"), classes, shape, labels)


def pictures_of(folder: Path, data: Data) -> Iterator[Picture]:
    """All pictures of the net in a folder.

    Raises:
        ValueError: There is no net, or its images are others than the data's.
    """
    if (folder / "saved_model.pb").exists():
        yield from _served_autoencoder(folder, data)
        return
    if not any((folder / name).exists() for name in ("dbn.json", "label_dbn.json")):
        raise ValueError(f"{folder} holds no trained net: no dbn.json, label_dbn.json or saved_model.pb.")
    net = DBN.load(folder) if (folder / "dbn.json").exists() else LabelDBN.load(folder)
    if net.num_visible != data.images.shape[1] or net.rbms[0].visible_type == "gaussian":
        wanted = f"{data.images.shape[1]} pixels in [0, 1]"
        raise ValueError(
            f"{folder} holds a net of {net.num_visible} {net.rbms[0].visible_type} units, not of {wanted}."
        )
    if isinstance(net, LabelDBN):
        yield from _with_labels(net, data)
    elif net.code_type == "gaussian":
        codes = net.encode(data.images)
        yield from _autoencoder(np.asarray(codes), np.asarray(net.decode(codes)), data)
    else:
        yield from _machine(net, data) if len(net.rbms) == 1 else _stack(net, data)


def _machine(net: DBN, data: Data) -> Iterator[Picture]:
    """A net of one layer: its filters, activations, fantasies and log-probability."""
    rbm = net.rbms[0]
    caption = "Each tile is what one hidden unit looks for: red pixels turn it on, blue ones off."
    yield Picture("filters", caption, filters(np.asarray(rbm.kernel), data.shape))
    caption = (
        "One row per image, one column per hidden unit: one that were black or white throughout would be of no use."
    )
    hidden = np.asarray(rbm.hidden_probabilities(data.images[:100]))
    yield Picture("activations", caption, rbm_plots.hidden_activations(hidden))
    moments = rbm_arrays.gibbs_snapshots(rbm, data.images[:SAMPLES], STEPS)
    caption = "Gibbs chains start at training images: what they become is what the machine believes images to be."
    yield Picture("fantasies", caption, rbm_plots.fantasies(moments, data.shape, STEPS))
    yield _bracket(rbm, data)


def _stack(net: DBN, data: Data) -> Iterator[Picture]:
    """A net of several layers: what the units of each look for, and what the top machine dreams of."""
    kernels = rbm_arrays.kernels(net.rbms)
    caption = "Layer 1 looks for strokes: red pixels turn a unit on, blue ones off."
    title = "What layer 1 looks for"
    yield Picture("filters-1", caption, filters(kernels[0], data.shape, title=title))
    for layer in range(2, len(kernels) + 1):
        caption = f"Layer {layer}, its weights carried down to the pixels through the layers below."
        yield Picture(f"filters-{layer}", caption, projected_filters(kernels[:layer], data.shape))
    moments = rbm_arrays.fantasies(net.rbms, data.images[:SAMPLES], STEPS)
    caption = (
        "Gibbs chains in the top machine start at training images, and each moment is carried down to the pixels. "
        "Contrastive divergence asks for one step only: over hundreds, many a chain loses its digit."
    )
    yield Picture("fantasies", caption, rbm_plots.fantasies(moments, data.shape, STEPS))


def _bracket(rbm, data: Data) -> Picture:
    """Mean log-probability of the images by annealing forward and in reverse, for more and more temperatures."""
    forward, reverse = [], []
    binary = (np.random.default_rng(1).random(data.images.shape) < data.images).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few temperatures are too few: that is what is shown
        for temperatures in TEMPERATURES:
            estimate = ais_log_partition(rbm, data.images, betas=spaced_betas(temperatures), seed=1)
            for curve, log_z in ((forward, estimate.log_z), (reverse, estimate.reverse_log_z)):
                curve.append(float(np.mean(log_probability(rbm, binary, log_z))))
    figure = rbm_plots.annealing_bracket(
        TEMPERATURES,
        forward,
        reverse,
        quantity="mean log-probability of training images, drawn binary, nats",
        along="temperatures",
        logarithmic=True,
    )
    caption = (
        "On average, annealing forward errs in the model's favour; in reverse it errs against it, as far as its chains "
        "start at samples of the model."
    )
    return Picture("log-probability", caption, figure)


def _with_labels(net: LabelDBN, data: Data) -> Iterator[Picture]:
    """What each label looks like to the net."""
    classes = np.repeat(np.arange(net.num_classes), SAMPLES)
    samples = np.asarray(net.generate(len(classes), STEPS[-1], classes))
    caption = (
        f"No image was shown: a label is held on for {STEPS[-1]:,} Gibbs steps in the top machine, then one pass down."
    )
    grid = samples.reshape(net.num_classes, SAMPLES, -1)
    yield Picture("classes", caption, rbm_plots.class_samples(grid, data.shape, data.labels))


def _served_autoencoder(folder: Path, data: Data) -> Iterator[Picture]:
    import tensorflow as tf

    served = tf.saved_model.load(str(folder))
    pixels = 255 * data.images.reshape(-1, *data.shape, 1)
    answer = served.signatures["pixels"](pixels=tf.constant(pixels, tf.float32))
    if "code" not in answer:
        raise ValueError(f"{folder} is the SavedModel of no autoencoder: its outputs are {', '.join(answer)}.")
    yield from _autoencoder(answer["code"].numpy(), answer["reconstruction"].numpy().reshape(len(pixels), -1), data)


def _autoencoder(codes: np.ndarray, reconstructed: np.ndarray, data: Data) -> Iterator[Picture]:
    numbers = f"{codes.shape[1]} numbers"
    caption = f"Images squeezed into {numbers} each and drawn again from these alone."
    yield Picture("reconstructions", caption, autoencoder_plots.reconstructions(data.images, reconstructed, data.shape))
    caption = f"The same {numbers} seen from their broadest side; no label was used to find them, only to colour them."
    yield Picture("codes", caption, autoencoder_plots.code_map(codes, data.classes, data.labels))


def save_png(figure: Figure, path: Path) -> None:
    """Saves a figure with a palette of 256 colours: 115 kB of filters instead of 310, no level off by more than 3."""
    rendered = io.BytesIO()
    figure.savefig(rendered, format="png")
    Image.open(rendered).convert("RGB").quantize(method=Image.Quantize.MAXCOVERAGE).save(path, optimize=True)


def write_gallery(nets: dict[str, Path], data: Data, data_name: str, out: Path) -> None:
    """Draws all nets, one chapter each, and prints every file that it wrote.

    Args:
        nets: Folder of each net by the name of its chapter.
        data: Images to show them.
        data_name: What the data are called.
        out: Folder of the page; images go to `images/gallery` below it.
    """
    folder = out / "images" / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    command = f"python benchmarks/gallery.py {' '.join(f'{name}=FOLDER' for name in nets)} --data {data_name}"
    page = [
        "# Gallery",
        "What the nets see and what they dream of. Every image shown or started from is one of the training split.",
        f"```\n{command}\n```",
        "drew all of it. FOLDER is where the net of that name lies (`--help` says where a run leaves it), and "
        "[results.md](results.md) how it was trained.",
    ]
    for chapter, net in nets.items():
        page.append(f"## {chapter}")
        for picture in pictures_of(net, data):
            path = folder / f"{chapter}-{picture.name}.png"
            save_png(picture.figure, path)
            print(f"{path}  {path.stat().st_size / 1024:.0f} kB", flush=True)
            page.append(f"{picture.caption}\n\n![{chapter}: {picture.name}](images/gallery/{path.name})")
    if (folder / CONV_FILTERS).exists():
        page.append(CONV_CHAPTER)
    (out / "gallery.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")
    print(out / "gallery.md")


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", nargs="+", metavar="NAME=FOLDER", help="a chapter, and the folder of its net")
    parser.add_argument("--data", default="mnist", help="mnist or another data set of TFDS in grey, or digits")
    parser.add_argument("--data-dir", help="where TFDS data sets are prepared")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the page")
    options = parser.parse_args(arguments)
    nets = dict(net.partition("=")[::2] for net in options.nets)
    if "" in nets.values():
        parser.error(f"write NAME=FOLDER for each net, not {' '.join(options.nets)}")
    try:
        data = load_data(options.data, options.data_dir)
        write_gallery({name: Path(folder) for name, folder in nets.items()}, data, options.data, options.out)
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
