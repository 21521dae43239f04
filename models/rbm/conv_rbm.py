"""Convolutional RBM with probabilistic max-pooling."""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from models.checks import check_choice, check_count
from models.fitting.closed_form import ClosedFormModel
from models.rbm.chains import data_chains, gibbs_chain
from models.rbm.units import BernoulliUnits, GaussianUnits
from models.types import Shape, Tensor


@keras.saving.register_keras_serializable("vision_tfx")
class ConvRBM(ClosedFormModel):
    """Convolutional RBM with probabilistic max-pooling, trained by contrastive divergence through `compile` and `fit`.

    Visible units v are an image (height, width, channels). Filter k has one map of detection units h_k, height - kernel
    height + 1 by width - kernel width + 1, all with the same weights W_k and bias b_k. The energy, in nats, is

        E(v, h) = -sum_k h_k . (W_k * v) - sum_k b_k sum h_k - a . sum v             (binary)
        E(v, h) = -sum_k h_k . (W_k * v) - sum_k b_k sum h_k + sum (v - a)^2 / 2     (Gaussian visible, variance 1)

    with sums over positions. Each map is divided into blocks of `pool_size` x `pool_size` units, **of which at most one
    is on**; its pooling unit is on when one of them is. A block is thus a softmax over its units and "off", with I the
    input of a unit, b_k included:

        p(h_ij = 1 | v) = exp(I_ij) / (1 + sum_block exp(I)),    p(pooling unit = 0 | v) = 1 / (1 + sum_block exp(I))

    and the free energy sums over all allowed states exactly: F(v) = E(v, 0) - sum_blocks log(1 + sum_block exp(I)).
    With `pool_size=1` this is an ordinary RBM with tied weights.

    **Convolution.** `*` is Keras' "valid" convolution: the filter slides over the image unflipped, so that W_k[r, s]
    meets v[i + r, j + s]. Mathematics calls this a cross-correlation; the paper writes it as convolution with the
    flipped filter, and its "full" convolution with W_k on the way down is the transposed convolution here. `kernel` can
    therefore be copied to a `Conv2D` as it is.

    **Training.** Samples and probabilities are used as in `models.rbm.RBM`: sampled detection units drive the
    reconstruction, which consists of means, and probabilities of detection units enter both statistics. Without
    sparsity, the update is exactly the gradient of mean F(v0) - mean F(vk). It sums over all positions of a filter (324
    for 11 x 11 on 28 x 28), so learning rates are smaller by about that factor than those of a dense RBM: 0.1 /
    positions is a start. There are about `filters` times as many detection units as pixels, more than enough to copy an
    image: set a sparsity target. Whiten real-valued natural images first.

    **Stacking.** Called as a layer, the model returns the probabilities of its pooling units, an image with `filters`
    channels: the data of the next one.

    Args:
        filters: Number of filters, at least 1.
        kernel_size: Height and width of the filters, an integer or a pair.
        pool_size: Height and width of a block, which must divide the maps of detection units; 1 for no pooling.
        visible_type: "bernoulli" (data in [0, 1]) or "gaussian" (standardised data).
        gibbs_steps: k of CD-k, at least 1.
        sample_reconstruction: Whether vk is sampled in the negative statistics, as in `models.rbm.RBM`.
        sparsity_target: Mean activity that the detection units of each filter are drawn to through its bias, between 0
            and 1 / pool_size^2; None for no sparsity.
        sparsity_cost: Strength of the sparsity term, relative to the likelihood's: 0 for none.
        weight_stddev: Standard deviation of the initial kernel; biases start at 0 (see `set_visible_bias`).
        minibatch_size: Images per update when `fit` receives larger batches; None means one update per batch.
        seed: Integer that determines the initial kernel and all sampling; None means a random one.
        **kwargs: `name` and `dtype` of the model.

    Weights: `kernel` (kernel height, kernel width, channels, filters), `visible_bias` (channels,), `hidden_bias`
    (filters,).

    Raises:
        ValueError: A type of unit is unknown or a number is out of its range; later, images do not have the shape
            (batch, height, width, channels), are smaller than the filters, or give maps that the blocks do not divide.

    Example:
        >>> images = ops.reshape(ops.eye(36), (36, 6, 6, 1))
        >>> rbm = ConvRBM(filters=2, kernel_size=3, seed=1)
        >>> rbm.compile()
        >>> history = rbm.fit(images, verbose=0)
        >>> tuple(rbm.hidden_probabilities(images).shape), tuple(rbm.pool_probabilities(images).shape)
        ((36, 4, 4, 2), (36, 2, 2, 2))

    Source: Lee, Grosse, Ranganath & Ng, Convolutional Deep Belief Networks, ICML 2009 (equations of sections 3.2, 3.3).
    """

    error_name = "reconstruction_error"

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        pool_size: int = 2,
        visible_type: str = "bernoulli",
        gibbs_steps: int = 1,
        sample_reconstruction: bool = False,
        sparsity_target: float | None = None,
        sparsity_cost: float = 0.0,
        weight_stddev: float = 0.01,
        minibatch_size: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(minibatch_size=minibatch_size, seed=seed, **kwargs)
        self.filters = filters
        self.kernel_size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
        self.pool_size = pool_size
        self.visible_type = visible_type
        self.gibbs_steps = gibbs_steps
        self.sample_reconstruction = sample_reconstruction
        self.sparsity_target = sparsity_target
        self.sparsity_cost = sparsity_cost
        self.weight_stddev = weight_stddev
        self._check()
        # Set by `build`: (height, width, channels) and (map height, map width, filters).
        self.image_shape: Any = None
        self.hidden_shape: Any = None
        self._visible = GaussianUnits() if visible_type == "gaussian" else BernoulliUnits()

    def _check(self) -> None:
        check_choice("visible_type", self.visible_type, ("bernoulli", "gaussian"))
        for key in ("filters", "pool_size", "gibbs_steps"):
            check_count(key, getattr(self, key))
        if len(self.kernel_size) != 2:
            raise ValueError(f"`kernel_size` must be an integer or a pair; received kernel_size={self.kernel_size}")
        for size in self.kernel_size:
            check_count("kernel_size", size)
        most = 1 / self.pool_size**2
        if self.sparsity_target is not None and not 0 < self.sparsity_target < most:
            raise ValueError(
                f"`sparsity_target` must be above 0 and below 1 / pool_size^2 = {most:.4g}, since at most one unit "
                f"of a block is on; received sparsity_target={self.sparsity_target}"
            )

    def build(self, input_shape: Shape) -> None:
        """Creates the weights for images of shape (batch, height, width, channels)."""
        if len(input_shape) != 4 or None in input_shape[1:]:
            raise ValueError(
                "images must have shape (batch, height, width, channels), all but the batch known; grey images have "
                f"one channel; received {tuple(input_shape)}"
            )
        *size, channels = input_shape[1:]
        maps = tuple(side - kernel + 1 for side, kernel in zip(size, self.kernel_size, strict=True))
        if min(maps) < 1 or any(side % self.pool_size for side in maps):
            raise ValueError(
                f"filters of {self.kernel_size} on images of {tuple(size)} make maps of {maps} detection units, which "
                f"blocks of {self.pool_size} x {self.pool_size} must divide; crop or pad the images, or choose another "
                f"`kernel_size` or `pool_size`; received images of shape {tuple(input_shape)}"
            )
        self.image_shape = (*size, channels)
        self.hidden_shape = (*maps, self.filters)
        initializer = keras.initializers.RandomNormal(stddev=self.weight_stddev, seed=self.seed)
        self.kernel = self.add_weight((*self.kernel_size, channels, self.filters), initializer, name="kernel")
        self.visible_bias = self.add_weight((channels,), "zeros", name="visible_bias")
        self.hidden_bias = self.add_weight((self.filters,), "zeros", name="hidden_bias")
        self.built = True

    # Energies and conditionals -----------------------------------------------------------------------------------

    def energy(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Returns the energy of pairs of states, in nats; states with two units of one block on do not exist.

        Args:
            visible: Shape (batch, height, width, channels).
            hidden: Detection units, shape (batch, map height, map width, filters).

        Returns:
            Shape (batch,).
        """
        return self._own_energy(visible) - _sum(self._to_hidden(visible) * self._states(hidden))

    def free_energy(self, visible: Tensor) -> Tensor:
        """Returns F(v) = -log of the sum over allowed h of exp(-E(v, h)), in nats: images -> (batch,)."""
        return self._own_energy(visible) - _sum(ops.softplus(self._pool_inputs(visible)))

    def hidden_probabilities(self, visible: Tensor) -> Tensor:
        """Returns p(h = 1 | v) of the detection units: images -> (batch, map height, map width, filters)."""
        blocks = self._blocks(self._to_hidden(visible))
        off = ops.softplus(ops.logsumexp(blocks, axis=3, keepdims=True))
        return self._maps(ops.exp(blocks - off))

    def pool_probabilities(self, visible: Tensor) -> Tensor:
        """Returns the probability that a unit of the block is on: images -> (batch, blocks down, across, filters)."""
        return ops.sigmoid(self._pool_inputs(visible))

    def visible_probabilities(self, hidden: Tensor) -> Tensor:
        """Returns p(v = 1 | h), or the mean of Gaussian units, given detection units: images of the data's shape."""
        return self._visible.mean(self._to_visible(hidden), self.visible_bias)

    def sample_hidden(self, visible: Tensor) -> Tensor:
        """Draws detection units from p(h | v), at most one of each block on; shape as `hidden_probabilities`."""
        return self.draw_hidden(self.hidden_probabilities(visible))

    def sample_pool(self, visible: Tensor) -> Tensor:
        """Draws pooling units from their distribution given v; shape as `pool_probabilities`."""
        return self.pool(self.sample_hidden(visible))

    def sample_visible(self, hidden: Tensor) -> Tensor:
        """Draws images from p(v | h); shape as `visible_probabilities`."""
        return self.draw_visible(self.visible_probabilities(hidden))

    def draw_hidden(self, probabilities: Tensor) -> Tensor:
        """Draws detection units with the given probabilities, whose sum in each block is at most 1; same shape."""
        units = ops.unstack(self._blocks(self._states(probabilities)), axis=3)
        upper = ops.stack(list(itertools.accumulate(units)), axis=3)  # ops.cumsum takes ten times as long
        shape = ops.shape(upper[:, :, :, :1])
        draw = keras.random.uniform(shape, dtype=self.compute_dtype, seed=self.seed_generator)
        drawn = ops.sum(ops.cast(draw >= upper, "int32"), axis=3, keepdims=True)  # the number of units means none
        numbers = ops.reshape(ops.arange(self.pool_size**2, dtype="int32"), (-1, 1))
        return self._maps(ops.cast(drawn == numbers, self.compute_dtype))

    def draw_visible(self, probabilities: Tensor) -> Tensor:
        """Draws images with the given probabilities (means), same shape."""
        return self._visible.sample(probabilities, self.seed_generator)

    def pool(self, hidden: Tensor) -> Tensor:
        """Sums over blocks: from detection units to pooling units, or from their probabilities to probabilities."""
        return ops.sum(self._blocks(self._states(hidden)), axis=3)

    def gibbs_chain(self, visible: Tensor, steps: int) -> Tensor:
        """Returns images after full Gibbs steps (h given v, then v given h, both sampled).

        Args:
            visible: First states of the chains, shape (batch, height, width, channels).
            steps: Number of steps, at least 0. From 10 steps on they run in one loop, in the graph where there is one.

        Returns:
            Same shape.
        """
        return gibbs_chain(self, self._images(visible), steps)

    def reconstruct(self, visible: Tensor) -> Tensor:
        """Returns the mean of v given the hidden probabilities of `visible`, without sampling; the shape is kept."""
        return self.visible_probabilities(self.hidden_probabilities(visible))

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the probabilities of the pooling units, so that a trained model works as a layer below others."""
        return self.pool_probabilities(inputs)

    def set_visible_bias(self, mean: Tensor, margin: float = 0.001) -> None:
        """Sets the visible biases so that, without hidden units, the model has the data's mean.

        Args:
            mean: Mean of each channel over the training data, shape (channels,).
            margin: For binary units, means are clipped to [margin, 1 - margin] before log(p / (1 - p)).
        """
        self._check_built()
        mean = ops.reshape(self._tensor(mean), self.visible_bias.shape)
        self.visible_bias.assign(self._visible.biases_for_mean(mean, margin))

    def _own_energy(self, visible: Tensor) -> Tensor:
        visible = self._images(visible)
        return _sum(self._visible.self_energy(visible, self.visible_bias))

    def _to_hidden(self, visible: Tensor) -> Tensor:
        return ops.conv(self._images(visible), self.kernel, padding="valid") + self.hidden_bias

    def _to_visible(self, hidden: Tensor) -> Tensor:
        return ops.conv_transpose(self._states(hidden), self.kernel, padding="valid")

    def _pool_inputs(self, visible: Tensor) -> Tensor:
        return ops.logsumexp(self._blocks(self._to_hidden(visible)), axis=3)

    # Blocks and shapes -------------------------------------------------------------------------------------------

    def _blocks(self, maps: Tensor) -> Tensor:
        """(batch, map height, map width, filters) -> (batch, blocks down, blocks across, units of a block, filters)."""
        pool, (height, width, filters) = self.pool_size, self.hidden_shape
        blocks = ops.reshape(maps, (-1, height // pool, pool, width // pool, pool, filters))
        blocks = ops.transpose(blocks, (0, 1, 3, 2, 4, 5))
        return ops.reshape(blocks, (-1, height // pool, width // pool, pool**2, filters))

    def _maps(self, blocks: Tensor) -> Tensor:
        """Inverts `_blocks`."""
        pool, (height, width, filters) = self.pool_size, self.hidden_shape
        blocks = ops.reshape(blocks, (-1, height // pool, width // pool, pool, pool, filters))
        return ops.reshape(ops.transpose(blocks, (0, 1, 3, 2, 4, 5)), (-1, height, width, filters))

    def _images(self, visible: Tensor) -> Tensor:
        return _of_shape(self._tensor(visible), self.image_shape, "images")

    def _states(self, hidden: Tensor) -> Tensor:
        self._check_built()
        return _of_shape(self._tensor(hidden), self.hidden_shape, "detection units")

    def _check_built(self) -> None:
        if not self.built:
            raise ValueError("the RBM has no weights yet; pass it images, or `build` it with their shape, first")

    # Training ----------------------------------------------------------------------------------------------------

    def gradients(self, visible: Tensor, training: bool = True) -> tuple[list[Tensor], Tensor]:
        """Computes the CD gradients of a minibatch of images, and its squared reconstruction errors, one per image."""
        hidden = self.hidden_probabilities(visible)
        reconstruction, negative = self.negative_phase(hidden)
        kernel, visible_bias, hidden_bias = self.statistics_gap(
            visible, hidden, negative, self.hidden_probabilities(negative)
        )
        if self.sparsity_target is not None:  # sums over positions, like the rest of the gradient
            target = self.hidden_shape[0] * self.hidden_shape[1] * self.sparsity_target
            activity = ops.sum(hidden, axis=(0, 1, 2)) / ops.cast(ops.shape(hidden)[0], hidden.dtype)
            hidden_bias = hidden_bias + self.sparsity_cost * (activity - target)
        return [kernel, visible_bias, hidden_bias], _sum(ops.square(visible - reconstruction))

    def negative_phase(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mean reconstruction of the data and the images of the negative statistics.

        Args:
            hidden: Hidden probabilities of the data.
        """
        return data_chains(self, hidden, self.gibbs_steps, self.sample_reconstruction)

    def statistics_gap(
        self, visible: Tensor, hidden: Tensor, negative: Tensor, negative_hidden: Tensor
    ) -> list[Tensor]:
        """Subtracts positive from negative statistics, sums over positions and means over images.

        Args:
            visible: Images of the data.
            hidden: Hidden probabilities of the data.
            negative: As many images of the model.
            negative_hidden: Hidden probabilities of those images.

        Returns:
            Gradients of kernel, visible biases and hidden biases.
        """
        count = ops.cast(ops.shape(visible)[0], self.compute_dtype)
        images = ops.concatenate([visible, negative])
        weighted = ops.concatenate([-hidden, negative_hidden]) / count
        # The products of all pixels and units at one offset are a convolution of images by maps, summed over images.
        kernel = ops.conv(ops.transpose(images, (3, 1, 2, 0)), ops.transpose(weighted, (1, 2, 0, 3)), padding="valid")
        visible_bias = ops.sum(negative - visible, axis=(0, 1, 2)) / count  # ops.mean has 24 bits on JAX
        return [ops.transpose(kernel, (1, 2, 0, 3)), visible_bias, ops.sum(weighted, axis=(0, 1, 2))]

    def loss_value(self, visible: Tensor) -> Tensor:
        """Returns mean F(v) minus the mean F of its mean-field reconstruction, in nats: near 0 late in training."""
        return ops.mean(self.free_energy(visible)) - ops.mean(self.free_energy(self.reconstruct(visible)))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        keys = (
            "filters kernel_size pool_size visible_type gibbs_steps sample_reconstruction sparsity_target "
            "sparsity_cost weight_stddev minibatch_size seed"
        )
        return super().get_config() | {key: getattr(self, key) for key in keys.split()}


def _sum(states: Tensor) -> Tensor:
    """Sums over all axes but the first."""
    return ops.sum(states, axis=tuple(range(1, len(states.shape))))


def _of_shape(states: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    if tuple(states.shape[1:]) != shape:
        raise ValueError(f"{name} must have shape (batch, {', '.join(map(str, shape))}); received {states.shape}")
    return states
