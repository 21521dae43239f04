"""Trains a convolutional RBM on two photographs and draws its filters for docs/gallery.md.

    python benchmarks/conv_filters.py [--out docs]

The photographs are those bundled with scikit-learn, so no network is needed.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_sample_images

from benchmarks.gallery import CONV_FILTERS, save_png
from components.figures.filters import filters
from models.fitting.sgd import MomentumSGD
from models.rbm.conv_rbm import ConvRBM

KERNEL, SIDE, PATCHES, EPOCHS = 11, 38, 500, 40
LOW_PASS = 0.2  # of the whitening, in cycles per pixel: higher frequencies are JPEG's noise
BORDER = 10  # pixels that fade to 0: fewer filters reach them, and would otherwise learn nothing but the border


def whitened_photographs() -> list[np.ndarray]:
    """Returns grey photographs whose power spectrum is flat up to `LOW_PASS`, with deviation 1."""
    photographs = []
    for image in load_sample_images().images:
        grey = image.mean(axis=-1)
        frequency = np.hypot(np.fft.fftfreq(grey.shape[0])[:, None], np.fft.fftfreq(grey.shape[1]))
        spectrum = np.fft.fft2(grey - grey.mean()) * frequency * np.exp(-((frequency / LOW_PASS) ** 4))
        white = np.fft.ifft2(spectrum).real
        photographs.append(white / white.std())
    return photographs


def random_patches(photographs: list[np.ndarray]) -> np.ndarray:
    """Returns patches at random positions, faded at the border: shape (PATCHES, SIDE, SIDE, 1)."""
    random = np.random.default_rng(1)
    fade = np.minimum(1, np.minimum(np.arange(SIDE), np.arange(SIDE)[::-1]) / BORDER)
    patches = []
    for _ in range(PATCHES):
        photograph = photographs[random.integers(len(photographs))]
        row, column = (random.integers(0, size - SIDE) for size in photograph.shape)
        patches.append(photograph[row : row + SIDE, column : column + SIDE] * np.outer(fade, fade))
    return np.stack(patches)[..., None].astype("float32")


def trained_kernel(patches: np.ndarray) -> np.ndarray:
    """Trains a ConvRBM of 24 filters and returns them in columns: shape (KERNEL * KERNEL, 24)."""
    rbm = ConvRBM(
        24,
        KERNEL,
        visible_type="gaussian",
        sparsity_target=0.01,
        sparsity_cost=5.0,
        minibatch_size=20,
        seed=1,
    )
    rbm.compile(MomentumSGD(5e-5, momentum=0.9, initial_momentum=0.5, momentum_switch=100))
    rbm.fit(patches, batch_size=PATCHES, epochs=EPOCHS, verbose=0)
    return rbm.kernel.numpy().reshape(KERNEL * KERNEL, -1)


def main() -> None:
    """Reads the command line, trains and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the page")
    path = parser.parse_args().out / "images" / "gallery" / CONV_FILTERS
    path.parent.mkdir(parents=True, exist_ok=True)
    kernel = trained_kernel(random_patches(whitened_photographs()))
    save_png(filters(kernel, (KERNEL, KERNEL), title="Filters of a convolutional RBM"), path)
    print(f"{path}  {path.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
