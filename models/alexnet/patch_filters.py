"""Filters from patches: an RBM on whitened patches, folded into a kernel that works on the patches as they are.

1. The contrast of patches x is normalised: y = (x - mean of x) / deviation of x;
2. they are whitened: z = (y - m) M;
3. an RBM with Gaussian visible units learns them; the input to its hidden units is z W + b;
4. normalisation and whitening are folded into a kernel and a bias that give z W + b from x itself.

**What can be folded.** Subtracting the patch's own mean is a linear map, I - 11'/d, and folds exactly; so does the
whitening. Dividing by the patch's own deviation is not linear. The RBM is trained on patches with it, since else the
few patches of much contrast decide everything; in the kernel, one deviation stands for all, the root mean square of
those of the training patches. So for `contrast="mean"` or None the kernel gives exactly the RBM's hidden inputs; for
"full" it gives them with (y - m) stretched by the ratio of the patch's deviation to that one, as far as m is small.

Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009), chapters 1 and 2; Coates, Lee & Ng, An
Analysis of Single-Layer Networks in Unsupervised Feature Learning, AISTATS 2011 (contrast normalisation, whitening).
"""

import math
from dataclasses import dataclass

import keras
import numpy as np

from models.alexnet.whitening import Whitening
from models.config import RBMConfig
from models.fitting.chunks import ArrayChunks
from models.fitting.closed_form import check_choice
from models.fitting.sgd import pretraining_optimizer
from models.rbm import RBM

REGULARIZATION = 0.5  # of the whitening: with 0.01 the filters of photographs are noise, with 0.1 about half of them
CONTRAST_FLOOR = 0.01  # of the mean variance of patches, added to each one's: flat patches stay nearly flat
CHUNK_ROWS = 5000  # patches per call of the training step
_FROM_CONFIG = (
    "hidden_type gibbs_steps persistent temperatures sample_reconstruction centering sparsity_target sparsity_cost "
    "coupling learn_variance weight_stddev"
)


@dataclass(frozen=True)
class PatchFilters:
    """The filters of one group of a layer, as learned from patches.

    Args:
        rbm: The machine, Gaussian visible units on whitened patches.
        whitening: Fitted to the patches after their contrast was normalised.
        contrast: How that was: None, "mean" or "full".
        deviation: The one number that stands for the patches' own deviations; 1 unless `contrast` is "full".
        history: The Keras history of the training: `history.history["reconstruction_error"]`, in whitened units.
    """

    rbm: RBM
    whitening: Whitening
    contrast: str | None = None
    deviation: float = 1.0
    history: keras.callbacks.History | None = None

    def fold(self):
        """Kernel (patch values, filters) and bias (filters,) that give the hidden inputs from patches as they are."""
        kernel, bias = (keras.ops.convert_to_numpy(weights) for weights in self.rbm.directed()[0])
        return fold_whitening(kernel, bias, self.whitening, self.contrast is not None, self.deviation)


def patch_config(values, filters):
    """How a machine of this size learns patches, if nothing else is said: rectified, sparse hidden units.

    Tried on photographs and on the maps that layers of AlexNet's shape make of them (363, 1,200 and 2,304 values). Two
    numbers depend on the size, since nothing bounds a rectified unit: the initial kernel, whose largest singular value
    is about 1, and the learning rate. With a kernel of 0.05 throughout, or a rate of 0.01, the largest diverged.

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
    patches,
    filters,
    config=None,
    contrast="full",
    regularization=REGULARIZATION,
    seed=None,
    dtype="float32",
    verbose=0,
):
    """Trains one RBM on patches.

    Args:
        patches: Shape (patches, values).
        filters: Number of hidden units.
        config: An `RBMConfig` that says how the machine is trained; none means `patch_config`.
        contrast: "full": each patch has its mean subtracted and is divided by its deviation; "mean": only the former;
            None: neither.
        regularization: Of the whitening, relative to the mean variance.
        seed: Decides initial weights, sampling and order.
        dtype: Of the machine.
        verbose: As in `fit`.

    Returns:
        `PatchFilters`.
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
        **{key: getattr(config, key) for key in _FROM_CONFIG.split()},
    )
    rbm.compile(pretraining_optimizer(config, len(patches), gaussian=True))
    chunk = max(config.batch_size, CHUNK_ROWS // config.batch_size * config.batch_size)
    rows = ArrayChunks(whitening.transform(normalised).astype(dtype), chunk, lambda rows: rows, seed)
    history = rbm.fit(rows, epochs=config.epochs, shuffle=False, verbose=verbose)
    if not np.isfinite(rbm.kernel.numpy()).all():
        raise ValueError(
            f"The machine of {filters} filters diverged. Lower the learning rate or the initial weights. "
            f"Received: {config}"
        )
    return PatchFilters(rbm, whitening, contrast, deviation, history)


def normalise_contrast(patches, contrast="full"):
    """Subtracts from each patch its own mean and divides it by its own deviation.

    Args:
        patches: Shape (patches, values).
        contrast: "full" for both, "mean" for the subtraction only, None for neither.

    Returns:
        Patches of the same shape, and the deviation that stands for all when normalisation is folded into a kernel: the
        root mean square of the patches' own for "full" (each the root of its variance plus 1 % of the mean variance),
        else 1.
    """
    if contrast is None:
        return patches, 1.0
    patches = patches - patches.mean(axis=1, keepdims=True)
    if contrast == "mean":
        return patches, 1.0
    variances = np.square(patches).mean(axis=1, keepdims=True)
    floored = variances + CONTRAST_FLOOR * variances.mean()
    if not floored.all():
        raise ValueError("All patches are flat: their contrast cannot be normalised. Pass images with some contrast.")
    return patches / np.sqrt(floored), float(np.sqrt(floored.mean()))


def fold_whitening(kernel, bias, whitening, subtracts_mean=False, deviation=1.0):
    """Kernel and bias that compute from patches what the given ones compute from whitened, normalised patches.

    With x a patch, d its length and y = (x - mean of x) / deviation (or x / deviation), exactly

        whitening.transform(y) kernel + bias = x folded_kernel + folded_bias,
        folded_kernel = (I - 11'/d) M kernel / deviation,   folded_bias = bias - m M kernel.

    Args:
        kernel: Shape (values, filters).
        bias: Shape (filters,).
        whitening: A fitted `Whitening`, with mean m and matrix M.
        subtracts_mean: Whether each patch has its own mean subtracted.
        deviation: What all patches are divided by.

    Returns:
        Kernel (values, filters) and bias (filters,), in double precision.
    """
    kernel = whitening.matrix @ kernel
    bias = bias - whitening.mean @ kernel
    if subtracts_mean:
        kernel = kernel - kernel.mean(axis=0)
    return kernel / deviation, bias
