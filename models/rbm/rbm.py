"""Restricted Boltzmann machine: energies, conditionals, Gibbs chain, and contrastive divergence by stock `fit`."""

from typing import Any

import keras
from keras import ops

from models.checks import check_unit_interval
from models.fitting.closed_form import ClosedFormModel
from models.rbm.chains import data_chains, gibbs_chain, tempered_chains
from models.rbm.options import check_options
from models.rbm.pseudo_likelihood import pseudo_log_likelihood
from models.rbm.statistics import centered, statistics_gap, updated_offset, variance_gap, with_sparsity
from models.rbm.units import HIDDEN_TYPES, BernoulliUnits, GaussianUnits, UnitsWithLabel, bounded_log_variance
from models.types import DirectedLayer, Shape, Tensor


@keras.saving.register_keras_serializable("vision_tfx")
class RBM(ClosedFormModel):
    """Restricted Boltzmann machine, trained by contrastive divergence through `compile` and `fit`.

    Visible units v and hidden units h have the energy, in nats,

        E(v, h) = -a.v - b.h - v W h                                  (both binary)
        E(v, h) = sum_i (v_i - a_i)^2 / (2 q_i) - b.h - (v / q) W h   (Gaussian visible units of variance q)

    where W is `kernel` (num_visible, hidden_units), a `visible_bias` and b `hidden_bias`. Data for "gaussian" units
    should be standardised: q is 1 unless `learn_variance`. `models.rbm.units` holds the other published coupling of
    Gaussian units and the energy of rectified units.

    **Samples and probabilities** in an update by CD-k, from data v0 (as in `rbm.m` of Science 2006):

    | statistic | value |
    |---|---|
    | v0 | the data; values between 0 and 1 are probabilities; sampled with `sample_data` |
    | h0 in the positive statistics v0 h0 | probabilities (means) |
    | h0 that drives the reconstruction | sampled |
    | v1, h1, ... in between (k > 1) | sampled |
    | vk in the negative statistics | probabilities (means); sampled with `sample_reconstruction` or `learn_variance` |
    | hk in the negative statistics vk hk | probabilities (means) |
    | labels in vk | as vk: softmax probabilities, or one label sampled |

    With `persistent` (PCD) the chains start where the last update left them instead of at the data; their visible
    states are always sampled, since a chain of means does not have the model's distribution. With `temperatures` above
    1 they are replicas at as many temperatures that exchange states; the replica at temperature 1 gives the statistics.

    **Training.** Without centering and sparsity, the update is exactly the gradient of mean F(v0) - mean F(vk), F being
    the free energy and vk held constant. The logs hold `reconstruction_error`: squared error per image, summed over its
    units, of v0 against its reconstruction; and, where one batch is one update, `loss`, the value of `loss_value`.

    Args:
        hidden_units: Number of hidden units, at least 1.
        visible_type: "bernoulli" (data in [0, 1]) or "gaussian" (standardised data).
        hidden_type: "bernoulli", "gaussian" (variance 1, the linear code units of Science 2006) or "nrelu" (noisy
            rectified). Gaussian units on both sides are refused: nothing bounds their energy.
        label_units: Number of last visible units that form one softmax group, the label as one-hot; 0 for none.
        gibbs_steps: k of CD-k, at least 1.
        persistent: Whether chains persist between updates.
        num_chains: Number of persistent chains.
        temperatures: Number of temperatures of persistent chains, beta from 0 to 1; 1 for plain PCD.
        sample_reconstruction: Whether vk is sampled in the negative statistics of CD. Probabilities have less noise;
            with samples the gradient becomes exact as k grows.
        sample_data: Whether binary states are drawn from the data anew in every update, as a density requires.
        centering: None for none; "data": statistics about the data's means; "enhanced": about the average of the data's
            and the model's means. The model stays the same, but its updates no longer depend on whether a unit or its
            complement is called 1 (without weight cost: see `models.rbm.statistics`). Binary units only.
        sparsity_target: Mean activity that hidden units are drawn to, in (0, 1); None for no sparsity.
        sparsity_cost: Strength of the sparsity term, on biases and weights.
        coupling: Coupling of Gaussian visible units, "variance" or "deviation": see `models.rbm.units.GaussianUnits`.
        learn_variance: Whether Gaussian visible units learn `log_variance` (num_visible,), which starts at 0. vk is
            sampled then, since means have no variance to compare with the data's.
        weight_stddev: Standard deviation of the initial kernel; biases start at 0 (see `set_visible_bias`).
        minibatch_size: Rows per update when `fit` receives larger batches; None means one update per batch.
        seed: Integer that determines the initial kernel and all sampling; None means a random one.
        **kwargs: `name` and `dtype` of the model.

    Raises:
        ValueError: A type of unit is unknown, a number is out of its range, or two options exclude each other.

    Example:
        >>> images = ops.eye(4)
        >>> rbm = RBM(hidden_units=2, seed=1)
        >>> rbm.compile()
        >>> history = rbm.fit(images, epochs=2, verbose=0)
        >>> [tuple(x.shape) for x in (rbm.hidden_probabilities(images), rbm.free_energy(images))]
        [(4, 2), (4,)]

    Source: Hinton, Neural Computation 14 (2002); Hinton & Salakhutdinov, Science 313 (2006), `rbm.m`; Hinton, A
    Practical Guide to Training Restricted Boltzmann Machines (2010); Tieleman, ICML 2008 (persistent chains); Nair &
    Hinton, ICML 2010 (rectified units); Melchior, Fischer & Wiskott, JMLR 17 (2016) (centering).
    """

    error_name = "reconstruction_error"

    def __init__(
        self,
        hidden_units: int,
        visible_type: str = "bernoulli",
        hidden_type: str = "bernoulli",
        label_units: int = 0,
        gibbs_steps: int = 1,
        persistent: bool = False,
        num_chains: int = 100,
        temperatures: int = 1,
        sample_reconstruction: bool = False,
        sample_data: bool = False,
        centering: str | None = None,
        sparsity_target: float | None = None,
        sparsity_cost: float = 0.0,
        coupling: str = "variance",
        learn_variance: bool = False,
        weight_stddev: float = 0.1,
        minibatch_size: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(minibatch_size=minibatch_size, seed=seed, **kwargs)
        self.hidden_units = hidden_units
        self.visible_type = visible_type
        self.hidden_type = hidden_type
        self.label_units = label_units
        self.gibbs_steps = gibbs_steps
        self.persistent = persistent
        self.num_chains = num_chains
        self.temperatures = temperatures
        self.sample_reconstruction = sample_reconstruction
        self.sample_data = sample_data
        self.centering = centering
        self.sparsity_target = sparsity_target
        self.sparsity_cost = sparsity_cost
        self.coupling = coupling
        self.learn_variance = learn_variance
        self.weight_stddev = weight_stddev
        check_options(self)
        self.log_variance: Any = None
        self._visible: Any = None  # set by `build`: Gaussian units hold a weight
        self._hidden = HIDDEN_TYPES[hidden_type]()

    def build(self, input_shape: Shape) -> None:
        """Creates the weights for data of shape (batch, num_visible), labels included."""
        num_visible = input_shape[-1]
        initializer = keras.initializers.RandomNormal(stddev=self.weight_stddev, seed=self.seed)
        self.kernel = self.add_weight((num_visible, self.hidden_units), initializer, name="kernel")
        self.visible_bias = self.add_weight((num_visible,), "zeros", name="visible_bias")
        self.hidden_bias = self.add_weight((self.hidden_units,), "zeros", name="hidden_bias")
        if self.learn_variance:
            self.log_variance = self.add_weight(
                (num_visible,), "zeros", name="log_variance", constraint=bounded_log_variance
            )
        self._visible = self._visible_units()
        if self.centering:
            half = keras.initializers.Constant(0.5)
            self.visible_offset = self.add_weight((num_visible,), half, trainable=False, name="visible_offset")
            self.hidden_offset = self.add_weight((self.hidden_units,), half, trainable=False, name="hidden_offset")
        if self.sparsity_target is not None:
            start = keras.initializers.Constant(self.sparsity_target)
            self.activity = self.add_weight((self.hidden_units,), start, trainable=False, name="activity")
        if self.persistent:
            start = keras.initializers.RandomUniform(0.0, 1.0, seed=self.seed)
            replicas = () if self.temperatures == 1 else (self.temperatures,)
            shape = (*replicas, self.num_chains, num_visible)
            self.chains = self.add_weight(shape, start, trainable=False, name="chains")
        self.built = True

    def _visible_units(self) -> Any:
        units = GaussianUnits(self.log_variance, self.coupling) if self.visible_type == "gaussian" else BernoulliUnits()
        return UnitsWithLabel(units, self.label_units) if self.label_units else units

    # Energies and conditionals -----------------------------------------------------------------------------------

    def energy(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """Returns the energy in nats of pairs of states: (batch, num_visible), (batch, hidden_units) -> (batch,)."""
        visible, hidden = self._tensor(visible), self._tensor(hidden)
        coupling = ops.sum(self._to_hidden(visible) * hidden, axis=-1)
        own = self._visible.self_energy(visible, self.visible_bias) + self._hidden.self_energy(hidden, self.hidden_bias)
        return own - coupling

    def free_energy(self, visible: Tensor) -> Tensor:
        """Returns F(v) = -log sum_h exp(-E(v, h)), in nats: shape (batch, num_visible) -> (batch,)."""
        visible = self._tensor(visible)
        own = self._visible.self_energy(visible, self.visible_bias)
        return own - self._hidden_log_sum(self._to_hidden(visible))

    def hidden_free_energy(self, hidden: Tensor) -> Tensor:
        """Returns -log sum_v exp(-E(v, h)), in nats: shape (batch, hidden_units) -> (batch,)."""
        hidden = self._tensor(hidden)
        own = self._hidden.self_energy(hidden, self.hidden_bias)
        return own - self._visible.log_sum(self._to_visible(hidden), self.visible_bias)

    def free_energy_by_label(self, features: Tensor) -> Tensor:
        """Returns F(v, y) for every label y, in nats: (batch, num_visible - label_units) -> (batch, label_units).

        p(y | v) is exactly the softmax of its negative. Requires `label_units`.
        """
        features = self._tensor(features)
        label_kernel, label_bias = self.kernel[-self.label_units :], self.visible_bias[-self.label_units :]
        inputs = ops.matmul(features, self.kernel[: -self.label_units])
        own = -ops.matmul(features, self.visible_bias[: -self.label_units])
        by_label = [self._hidden_log_sum(inputs + label_kernel[y]) for y in range(self.label_units)]
        return ops.expand_dims(own, 1) - label_bias - ops.stack(by_label, axis=1)

    def hidden_probabilities(self, visible: Tensor, beta: Any = 1) -> Tensor:
        """Returns p(h = 1 | v), or the mean of units that are not binary.

        Args:
            visible: Shape (batch, num_visible).
            beta: Inverse temperature that multiplies the energy of binary units, a number or shape (batch, 1).

        Returns:
            Shape (batch, hidden_units).
        """
        return self._hidden.mean(_scaled(self._to_hidden(self._tensor(visible)), beta), _scaled(self.hidden_bias, beta))

    def visible_probabilities(self, hidden: Tensor, beta: Any = 1) -> Tensor:
        """Returns p(v = 1 | h), or the mean of Gaussian units: shape (batch, hidden_units) -> (batch, num_visible).

        `beta` is that of `hidden_probabilities`.
        """
        return self._visible.mean(
            _scaled(self._to_visible(self._tensor(hidden)), beta), _scaled(self.visible_bias, beta)
        )

    def sample_hidden(self, visible: Tensor) -> Tensor:
        """Draws states from p(h | v): shape (batch, num_visible) -> (batch, hidden_units)."""
        return self.draw_hidden(self.hidden_probabilities(visible))

    def sample_visible(self, hidden: Tensor) -> Tensor:
        """Draws states from p(v | h): shape (batch, hidden_units) -> (batch, num_visible)."""
        return self.draw_visible(self.visible_probabilities(hidden))

    def draw_hidden(self, probabilities: Tensor) -> Tensor:
        """Draws hidden states with the given probabilities (means), same shape."""
        return self._hidden.sample(probabilities, self.seed_generator)

    def draw_visible(self, probabilities: Tensor) -> Tensor:
        """Draws visible states with the given probabilities (means), same shape."""
        return self._visible.sample(probabilities, self.seed_generator)

    def gibbs_chain(self, visible: Tensor, steps: int) -> Tensor:
        """Returns the visible states after full Gibbs steps (h given v, then v given h, both sampled).

        Args:
            visible: First states of the chains, shape (batch, num_visible).
            steps: Number of steps, at least 0.

        Returns:
            Shape (batch, num_visible).
        """
        return gibbs_chain(self, self._tensor(visible), steps)

    def reconstruct(self, visible: Tensor) -> Tensor:
        """Returns the mean of v given the hidden probabilities of `visible`, without sampling; the shape is kept."""
        return self.visible_probabilities(self.hidden_probabilities(visible))

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the hidden probabilities, so that a trained RBM works as a feature layer."""
        return self.hidden_probabilities(inputs)

    def pseudo_log_likelihood(self, visible: Tensor) -> Tensor:
        """Sums log p(v_i | all other visible units) over units, in nats: shape (batch, num_visible) -> (batch,).

        It is exact, with every unit switched on and off, and costs 2 num_visible free energies per image. For a value
        between 0 and 1 it is the expected log-probability of a bit that is 1 with that probability. A group of label
        units counts as one unit.

        Raises:
            ValueError: The visible units are Gaussian; their one-unit conditionals are mixtures.

        Source: Besag 1975; as monitor of an RBM: Tieleman 2008.
        """
        if self.visible_type != "bernoulli":
            raise ValueError(
                "the pseudo-log-likelihood requires binary visible units; compare free energies instead; received "
                f'visible_type="{self.visible_type}"'
            )
        return pseudo_log_likelihood(self, self._tensor(visible), self._hidden_log_sum)

    def set_visible_bias(self, mean: Tensor, margin: float = 0.001) -> None:
        """Sets the visible biases so that, without hidden units, the model has the data's mean; sets offsets too.

        Args:
            mean: Mean of each visible unit over the training data, shape (num_visible,).
            margin: For binary units, means are clipped to [margin, 1 - margin] before log(p / (1 - p)); pixels that are
                always off would otherwise get a bias of minus infinity.

        Raises:
            ValueError: The units are binary, and means are outside [0, 1].

        Source: Practical guide, section 8.
        """
        if not self.built:
            self.build((None, len(mean)))
        if self.visible_type == "bernoulli":
            check_unit_interval("mean", mean)
        mean = self._tensor(mean)
        self.visible_bias.assign(self._visible.biases_for_mean(mean, margin))
        if self.centering:
            self.visible_offset.assign(mean)

    def directed(self) -> tuple[DirectedLayer, DirectedLayer]:
        """Returns the RBM as two directed layers, which give the hidden inputs and the visible means.

        Returns:
            (kernel, bias) upwards, of shapes (num_visible, hidden_units) and (hidden_units,), and (kernel, bias)
            downwards. Learned variances are part of the kernels; without them these are `kernel` and its transpose.
        """
        up = ops.transpose(self._visible.coupled(ops.transpose(self.kernel)))
        down = self._visible.scaled_inputs(ops.transpose(self.kernel))
        return (up, self.hidden_bias), (down, self.visible_bias)

    def _hidden_log_sum(self, inputs: Tensor) -> Tensor:
        return self._hidden.log_sum(inputs, self.hidden_bias)

    def _to_hidden(self, visible: Tensor) -> Tensor:
        return ops.matmul(self._visible.coupled(visible), self.kernel)

    def _to_visible(self, hidden: Tensor) -> Tensor:
        return ops.matmul(hidden, ops.transpose(self.kernel))

    # Training ----------------------------------------------------------------------------------------------------

    def gradients(self, visible: Tensor, training: bool = True) -> tuple[list[Tensor], Tensor]:
        """Computes the CD or PCD gradients of a minibatch (batch, num_visible), and its squared reconstruction errors.

        See `ClosedFormModel.gradients`.
        """
        visible = self.draw_visible(visible) if self.sample_data else visible
        hidden = self.hidden_probabilities(visible)
        reconstruction, negative = self.negative_phase(visible, hidden, training)
        negative_hidden = self.hidden_probabilities(negative)
        gap = statistics_gap(self._visible, visible, hidden, negative, negative_hidden)
        gradients = list(gap)
        if self.learn_variance:
            inputs, negative_inputs = self._to_visible(hidden), self._to_visible(negative_hidden)
            gradients.append(variance_gap(self._visible, self.visible_bias, visible, inputs, negative, negative_inputs))
        if self.sparsity_target is not None:
            mean_input, mean_hidden = (ops.mean(states, axis=0) for states in (self._visible.coupled(visible), hidden))
            gradients = with_sparsity(self, gradients, mean_input, mean_hidden, training)
        if self.centering:
            variables = self.visible_offset, self.hidden_offset
            offsets = list(map(ops.stop_gradient, variables))  # read once, before they move
            gradients = centered(gradients, *offsets)
            if training:
                for variable, offset, states, mean_gap in zip(
                    variables, offsets, (visible, hidden), gap[1:], strict=True
                ):
                    variable.assign(updated_offset(offset, states, mean_gap, self.centering))
        return gradients, ops.sum(ops.square(visible - reconstruction), axis=-1)

    def negative_phase(self, visible: Tensor, hidden: Tensor, training: bool = True) -> tuple[Tensor, Tensor]:
        """Returns the mean reconstruction of the data and the visible states of the negative statistics.

        Args:
            visible: Data, shape (batch, num_visible).
            hidden: Hidden probabilities of the data, shape (batch, hidden_units).
            training: Whether persistent chains are updated.
        """
        if not self.persistent:
            return data_chains(self, hidden, self.gibbs_steps, self.sample_reconstruction or self.learn_variance)
        reconstruction = self.visible_probabilities(hidden)
        if self.temperatures == 1:
            chains = negative = self.gibbs_chain(self.chains, self.gibbs_steps)
        else:
            chains = tempered_chains(self, self.chains, self.gibbs_steps)
            negative = chains[-1]
        if training:
            self.chains.assign(chains)
        return reconstruction, negative

    def loss_value(self, visible: Tensor) -> Tensor:
        """Returns mean F(v) minus the mean F of its mean-field reconstruction, in nats: near 0 late in training."""
        return ops.mean(self.free_energy(visible)) - ops.mean(self.free_energy(self.reconstruct(visible)))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        keys = (
            "hidden_units visible_type hidden_type label_units gibbs_steps persistent num_chains temperatures "
            "sample_reconstruction sample_data centering sparsity_target sparsity_cost coupling learn_variance "
            "weight_stddev minibatch_size seed"
        )
        return super().get_config() | {key: getattr(self, key) for key in keys.split()}


def _scaled(tensor: Tensor, beta: Any) -> Tensor:
    return tensor if isinstance(beta, int) and beta == 1 else tensor * ops.convert_to_tensor(beta, tensor.dtype)
