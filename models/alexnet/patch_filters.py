"""Learning of filters from patches: an RBM on whitened patches, folded into a kernel for the original patches.

1. The contrast of patches x is normalised: y = (x - mean of x) / deviation of x;
2. they are whitened: z = (y - m) M;
3. an RBM with Gaussian visible units learns them; the input to its hidden units is z W + b;
4. normalisation and whitening are folded into a kernel and a bias that give z W + b from x itself.

**Folding.** Subtracting the patch's own mean is a linear map, I - 11'/d, and folds exactly; so does the whitening.
Dividing by the patch's own deviation is not linear. The RBM is trained on patches with this division, since otherwise
the few patches with high contrast would dominate; the kernel divides all patches by one deviation, the root mean square
of the training patches' deviations. For `contrast="mean"` or None the kernel therefore gives exactly the RBM's hidden
inputs; for "full" it gives them with (y - m) scaled by the ratio of the patch's deviation to that number, as far as m
is small.

Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009), chapters 1 and 2; Coates, Lee & Ng, An
Analysis of Single-Layer Networks in Unsupervised Feature Learning, AISTATS 2011 (contrast normalisation, whitening).
"""

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from models.alexnet.whitening import Whitening
from models.checks import check_choice
from models.config import RBMConfig
from models.fitting.chunks import ArrayChunks, chunk_rows
from models.fitting.sgd import pretraining_optimizer
from models.rbm import RBM
from models.rbm.options import options_from

REGULARIZATION = 0.5  # of the whitening: with 0.01 the filters of photographs are noise, with 0.1 about half of them
CONTRAST_FLOOR = 0.01  # of the mean variance of patches, added to the variance of each: flat patches stay nearly flat
CHUNK_ROWS = 5000  # patches per call of the training step


@dataclass(frozen=True)
class PatchFilters:
    """Filters of one group of a layer, learned from patches.

    Args:
        rbm: RBM with Gaussian visible units, trained on whitened patches.
        whitening: Whitening fitted to the patches after normalisation of their contrast.
        contrast: Kind of that normalisation: None, "mean" or "full".
        deviation: Number that all patches are divided by in the kernel; 1 unless `contrast` is "full".
        history: Keras history of the training: `history.history["reconstruction_error"]`, in whitened units.

    Example:
        >>> patches = np.random.default_rng(1).random((200, 12))
        >>> rbm = RBM(hidden_units=2, visible_type="gaussian", seed=1)
        >>> rbm.build((None, 12))
        >>> [weights.shape for weights in PatchFilters(rbm, Whitening().fit(patches)).fold()]
        [(12, 2), (2,)]
    """

    rbm: RBM
    whitening: Whitening
    contrast: str | None = None
    deviation: float = 1.0
    history: keras.callbacks.History | None = None

    def fold(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns kernel (patch values, filters) and bias (filters,) that give hidden inputs from original patches."""
        kernel, bias = (keras.ops.convert_to_numpy(weights) for weights in self.rbm.directed()[0])
        return fold_whitening(kernel, bias, self.whitening, self.contrast is not None, self.deviation)


def patch_config(values: int, filters: int) -> RBMConfig:
    """Returns the default training of an RBM of this size on patches: rectified, sparse hidden units.

    Tested on photographs and on their activations in layers of AlexNet's shape (363, 1,200 and 2,304 values). Two
    numbers depend on the size, since nothing bounds a rectified unit: the initial kernel, whose largest singular value
    is about 1, and the learning rate. With a kernel of 0.05 throughout, or a rate of 0.01, the largest RBM diverged.

    Args:
        values: Length of a patch.
        filters: Number of hidden units.
    """
    return RBMConfig(
        epochs=20,
        gaussian_learning_rate=min(0.01, 8 / values),
        weight_cost=1e-3,
        weight_stddev=1 / (math.sqrt(values) + math.sqrt(filters)),
        hidden_type="nrelu",  # binary units learned filters of noise from the same patches
        sparsity_target=0.05,
        sparsity_cost=1.0,
    )


def learn_filters(
    patches: np.ndarray,
    filters: int,
    config: RBMConfig | None = None,
    contrast: str | None = "full",
    regularization: float = REGULARIZATION,
    seed: int | None = None,
    dtype: str = "float32",
    verbose: Any = 0,
) -> PatchFilters:
    """Trains one RBM on patches.

    Args:
        patches: Shape (patches, values).
        filters: Number of hidden units.
        config: Training of the RBM, except `sample_data`; None means `patch_config`.
        contrast: "full": each patch has its mean subtracted and is divided by its deviation; "mean": only the former;
            None: neither.
        regularization: Regularization of the whitening, relative to the mean variance.
        seed: Integer that determines initial weights, sampling and order; None means a random one.
        dtype: Type of the RBM.
        verbose: Verbosity as in `fit`.

    Returns:
        The filters, with the RBM and everything else that `PatchFilters.fold` requires.

    Raises:
        ValueError: The training diverges, an argument is out of range, or the patches have no contrast.
    """
    config = config or patch_config(patches.shape[1], filters)
    check_choice("contrast", contrast, (None, "mean", "full"))
    normalised, deviation = normalise_contrast(np.asarray(patches, dtype), contrast)
    whitening = Whitening("zca", regularization).fit(normalised)
    rbm = RBM(
        filters,
        visible_type="gaussian",
        num_chains=config.batch_size,
        minibatch_size=config.batch_size,
        seed=seed,
        dtype=dtype,
        **options_from(config) | {"sample_data": False},  # binary pixels only
    )
    rbm.compile(pretraining_optimizer(config, len(patches), gaussian=True))
    chunk = chunk_rows(config.batch_size, CHUNK_ROWS)
    rows = ArrayChunks(whitening.transform(normalised).astype(dtype), chunk, lambda rows: rows, seed)
    history = rbm.fit(rows, epochs=config.epochs, shuffle=False, verbose=verbose)
    if not np.isfinite(rbm.kernel.numpy()).all():
        raise ValueError(
            f"the RBM of {filters} filters diverged; lower the learning rate or the initial weights; received {config}"
        )
    return PatchFilters(rbm, whitening, contrast, deviation, history)


def normalise_contrast(patches: np.ndarray, contrast: str | None = "full") -> tuple[np.ndarray, float]:
    """Subtracts from each patch its own mean and divides it by its own deviation.

    Args:
        patches: Shape (patches, values).
        contrast: "full" for both, "mean" for the subtraction only, None for neither.

    Returns:
        Patches of the same shape, and the deviation that divides all patches when normalisation is folded into a
        kernel: for "full" the root mean square of the patches' own deviations (each the root of its variance plus 1 %
        of the mean variance), otherwise 1.

    Raises:
        ValueError: All patches are flat.
    """
    if contrast is None:
        return patches, 1.0
    patches = patches - patches.mean(axis=1, keepdims=True)
    if contrast == "mean":
        return patches, 1.0
    variances = np.square(patches).mean(axis=1, keepdims=True)
    floored = variances + CONTRAST_FLOOR * variances.mean()
    if not floored.all():
        raise ValueError("all patches are flat, so their contrast cannot be normalised; pass images with some contrast")
    return patches / np.sqrt(floored), float(np.sqrt(floored.mean()))


def fold_whitening(
    kernel: np.ndarray, bias: np.ndarray, whitening: Whitening, subtracts_mean: bool = False, deviation: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Converts kernel and bias for whitened, normalised patches to kernel and bias for the original patches.

    With x a patch, d its length and y = (x - mean of x) / deviation (or x / deviation), exactly

        whitening.transform(y) kernel + bias = x folded_kernel + folded_bias,
        folded_kernel = (I - 11'/d) M kernel / deviation,   folded_bias = bias - m M kernel.

    Args:
        kernel: Shape (values, filters).
        bias: Shape (filters,).
        whitening: A fitted `Whitening`, with mean m and matrix M.
        subtracts_mean: Whether each patch has its own mean subtracted.
        deviation: Number that all patches are divided by.

    Returns:
        Kernel (values, filters) and bias (filters,), in double precision.
    """
    kernel = whitening.matrix @ kernel
    bias = bias - whitening.mean @ kernel
    if subtracts_mean:
        kernel = kernel - kernel.mean(axis=0)
    return kernel / deviation, bias
