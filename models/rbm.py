"""The restricted Boltzmann machine: energies, conditionals, Gibbs chain, and contrastive divergence by stock `fit`."""

import keras
from keras import ops

from models.sgd import MomentumSGD
from models.units import UNITS

UNITS_AT_ONCE = 16  # visible units that the pseudo-log-likelihood switches together: 3 MB per 100 images, 500 hidden


@keras.saving.register_keras_serializable("vision_tfx")
class RBM(keras.Model):
    """Restricted Boltzmann machine, trained by contrastive divergence through `compile` and `fit`.

    Visible units v and binary hidden units h with energy, in nats,

        E(v, h) = -a.v - b.h - v W h                     (visible_type "bernoulli")
        E(v, h) = |v - a|^2 / 2 - b.h - v W h            (visible_type "gaussian": variance 1, standardise the data)

    where W is `kernel` (num_visible, hidden_units), a `visible_bias` and b `hidden_bias`.

    **What is sampled and what is a probability** in an update by CD-k, from data v0 (as in `rbm.m` of Science 2006):

    | statistic | taken as |
    |---|---|
    | v0 | the data; values between 0 and 1 stand for probabilities |
    | h0 in the positive statistics v0 h0 | probabilities |
    | h0 that drives the reconstruction | sampled |
    | v1, h1, ... between (k > 1) | sampled |
    | vk in the negative statistics | probabilities (Gaussian: means); sampled with `sample_reconstruction` |
    | hk in the negative statistics vk hk | probabilities |

    With `persistent` (PCD) the chains do not start at the data but where the last update left them; their visible
    states are always sampled, since a chain of means does not have the model's distribution.

    **Training.** The loss is mean F(v0) - mean F(stop_gradient(vk)), F the free energy: its gradient is exactly the CD
    update, on every backend. On TensorFlow, when the batches that `fit` receives are larger than `minibatch_size`, all
    updates of a batch run in one loop in the graph, on the closed form of the same gradient: feed some 5,000 rows at a
    time, which is about twice as fast as 50 calls. The last minibatch of a batch may be smaller; no row is left out.
    The logs hold `reconstruction_error`: squared error per image, summed over its units, of v0 against vk (for PCD:
    against the mean reconstruction).

    Args:
        hidden_units: Number of hidden units, at least 1.
        visible_type: "bernoulli" (data in [0, 1]) or "gaussian" (standardised data).
        hidden_type: "bernoulli".
        gibbs_steps: k of CD-k, at least 1.
        persistent: Whether chains live on between updates.
        num_chains: Number of persistent chains.
        sample_reconstruction: Whether vk is sampled in the negative statistics of CD. With probabilities there is
            less noise; with samples the gradient becomes exact as k grows.
        weight_stddev: Standard deviation of the initial kernel; biases start at 0 (see `set_visible_bias`).
        minibatch_size: Rows per update when `fit` gets larger batches; none means one update per batch.
        seed: Integer that decides the initial kernel and all sampling; none means a random one.
        **kwargs: `name` and `dtype` of the model.

    Raises:
        ValueError: An unknown type of unit or a number out of its range.

    Source: Hinton, Neural Computation 14 (2002); Hinton & Salakhutdinov, Science 313 (2006), `rbm.m`; Hinton, A
    Practical Guide to Training Restricted Boltzmann Machines (2010); Tieleman, ICML 2008 (persistent chains).
    """

    def __init__(
        self,
        hidden_units,
        visible_type="bernoulli",
        hidden_type="bernoulli",
        gibbs_steps=1,
        persistent=False,
        num_chains=100,
        sample_reconstruction=False,
        weight_stddev=0.1,
        minibatch_size=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_choice("visible_type", visible_type, tuple(UNITS))
        _check_choice("hidden_type", hidden_type, ("bernoulli",))
        for key, value in (("hidden_units", hidden_units), ("gibbs_steps", gibbs_steps), ("num_chains", num_chains)):
            _check_count(key, value)
        if minibatch_size is not None:
            _check_count("minibatch_size", minibatch_size)
        self.hidden_units = hidden_units
        self.visible_type = visible_type
        self.hidden_type = hidden_type
        self.gibbs_steps = gibbs_steps
        self.persistent = persistent
        self.num_chains = num_chains
        self.sample_reconstruction = sample_reconstruction
        self.weight_stddev = weight_stddev
        self.minibatch_size = minibatch_size
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.reconstruction_error = keras.metrics.Mean(name="reconstruction_error")
        self._visible = UNITS[visible_type]
        self._hidden = UNITS[hidden_type]

    def build(self, input_shape):
        """Makes the weights for data of shape (batch, num_visible)."""
        num_visible = input_shape[-1]
        initializer = keras.initializers.RandomNormal(stddev=self.weight_stddev, seed=self.seed)
        self.kernel = self.add_weight((num_visible, self.hidden_units), initializer, name="kernel")
        self.visible_bias = self.add_weight((num_visible,), "zeros", name="visible_bias")
        self.hidden_bias = self.add_weight((self.hidden_units,), "zeros", name="hidden_bias")
        if self.persistent:
            start = keras.initializers.RandomUniform(0.0, 1.0, seed=self.seed)
            self.chains = self.add_weight((self.num_chains, num_visible), start, trainable=False, name="chains")
        self.built = True

    # Energies and conditionals -----------------------------------------------------------------------------------

    def energy(self, visible, hidden):
        """Energy of each pair of states, in nats.

        Args:
            visible: Shape (batch, num_visible).
            hidden: Shape (batch, hidden_units).

        Returns:
            Shape (batch,).
        """
        visible, hidden = self._tensor(visible), self._tensor(hidden)
        coupling = ops.sum(ops.matmul(visible, self.kernel) * hidden, axis=-1)
        own = self._visible.self_energy(visible, self.visible_bias) + self._hidden.self_energy(hidden, self.hidden_bias)
        return own - coupling

    def free_energy(self, visible):
        """F(v) = -log sum_h exp(-E(v, h)), in nats: shape (batch, num_visible) -> (batch,)."""
        visible = self._tensor(visible)
        own = self._visible.self_energy(visible, self.visible_bias)
        return own - self._hidden.log_sum(self._hidden_input(visible), self.hidden_bias)

    def hidden_probabilities(self, visible):
        """p(h = 1 | v): shape (batch, num_visible) -> (batch, hidden_units)."""
        return self._hidden.mean(self._hidden_input(self._tensor(visible)))

    def visible_probabilities(self, hidden):
        """p(v = 1 | h), or the mean of Gaussian units: shape (batch, hidden_units) -> (batch, num_visible)."""
        inputs = ops.matmul(self._tensor(hidden), ops.transpose(self.kernel))
        return self._visible.mean(inputs + self.visible_bias)

    def sample_hidden(self, visible):
        """States drawn from p(h | v): shape (batch, num_visible) -> (batch, hidden_units)."""
        return self._hidden.sample(self.hidden_probabilities(visible), self.seed_generator)

    def sample_visible(self, hidden):
        """States drawn from p(v | h): shape (batch, hidden_units) -> (batch, num_visible)."""
        return self._visible.sample(self.visible_probabilities(hidden), self.seed_generator)

    def gibbs_chain(self, visible, steps):
        """Visible states after `steps` full steps of Gibbs sampling (h given v, then v given h, both sampled).

        Args:
            visible: Where the chains start, shape (batch, num_visible).
            steps: Number of steps, at least 0.

        Returns:
            Shape (batch, num_visible).
        """
        visible = self._tensor(visible)
        for _ in range(steps):
            visible = self.sample_visible(self.sample_hidden(visible))
        return visible

    def reconstruct(self, visible):
        """Mean of v given the hidden probabilities of `visible`; nothing is sampled. Shape is kept."""
        return self.visible_probabilities(self.hidden_probabilities(visible))

    def call(self, inputs):
        """The hidden probabilities, so that a trained machine works as a feature layer."""
        return self.hidden_probabilities(inputs)

    def pseudo_log_likelihood(self, visible):
        """Sum over units of log p(v_i | all other visible units), in nats: shape (batch, num_visible) -> (batch,).

        Exact, with every unit switched once: it costs num_visible free energies per image. For a value between 0
        and 1 it is the expected log-probability of a bit that is 1 with that probability.

        Raises:
            ValueError: For Gaussian visible units, whose one-unit conditionals are mixtures.

        Source: Besag 1975; as monitor of an RBM: Tieleman 2008.
        """
        if self.visible_type != "bernoulli":
            raise ValueError(
                "The pseudo-log-likelihood is defined for binary visible units. Compare free energies instead. "
                f'Received: visible_type="{self.visible_type}"'
            )
        visible = self._tensor(visible)
        inputs = self._hidden_input(visible)
        log_odds = [
            self._log_odds(visible, inputs, slice(start, start + UNITS_AT_ONCE))
            for start in range(0, visible.shape[1], UNITS_AT_ONCE)
        ]
        log_odds = ops.concatenate(log_odds, axis=1)
        missed = visible * ops.softplus(-log_odds) + (1 - visible) * ops.softplus(log_odds)
        return -ops.sum(missed, axis=1)

    def _log_odds(self, visible, inputs, units):
        """Log p(v_i = 1 | rest) / p(v_i = 0 | rest) for a slice of units: (batch, units of the slice)."""
        kernel = self.kernel[units]
        off = ops.expand_dims(inputs, 1) - ops.expand_dims(visible[:, units], 2) * kernel
        return self.visible_bias[units] + ops.sum(ops.softplus(off + kernel) - ops.softplus(off), axis=2)

    def set_visible_bias(self, mean, margin=0.001):
        """Sets the visible biases so that, without hidden units, the model has the data's mean.

        Args:
            mean: Mean of each visible unit over the training data, shape (num_visible,).
            margin: Binary units: means are clipped to [margin, 1 - margin] before log(p / (1 - p)), since pixels
                that are always off would get a bias of minus infinity.

        Source: Practical guide, section 8.
        """
        if not self.built:
            self.build((None, len(mean)))
        self.visible_bias.assign(self._visible.biases_for_mean(self._tensor(mean), margin))

    def _tensor(self, states):
        states = ops.convert_to_tensor(states, dtype=self.compute_dtype)
        if not self.built:
            self.build(states.shape)
        return states

    def _hidden_input(self, visible):
        return ops.matmul(visible, self.kernel) + self.hidden_bias

    # Training ----------------------------------------------------------------------------------------------------

    def compile(self, optimizer=None, jit_compile=None, **kwargs):
        """As `keras.Model.compile`; there is no `loss` to pass.

        Args:
            optimizer: Any Keras optimizer; by default `MomentumSGD(0.1)`.
            jit_compile: Whether XLA compiles the step. By default it does not on TensorFlow without a GPU, where XLA
                is five times slower (12 s against 2.5 s an epoch of MNIST, 784 x 500), else Keras decides.
            **kwargs: What `keras.Model.compile` takes besides.
        """
        if jit_compile is None:
            plain_cpu = keras.backend.backend() == "tensorflow" and not keras.distribution.list_devices("gpu")
            jit_compile = False if plain_cpu else "auto"
        super().compile(optimizer=optimizer or MomentumSGD(0.1), jit_compile=jit_compile, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean F(v0) - mean F(vk) in nats, vk held constant: a scalar whose gradient is the CD (or PCD) update."""
        data = self._tensor(x)
        probabilities = self.hidden_probabilities(data) if y_pred is None else y_pred
        reconstruction, negative = self._negative_phase(data, probabilities, keep=training)
        self.reconstruction_error.update_state(ops.sum(ops.square(data - reconstruction), axis=-1))
        return ops.mean(self.free_energy(data)) - ops.mean(self.free_energy(ops.stop_gradient(negative)))

    def train_step(self, *args):
        """One update, or on TensorFlow all updates of a batch that is larger than `minibatch_size`."""
        if self.minibatch_size is None or keras.backend.backend() != "tensorflow":
            return super().train_step(*args)
        visible, _, _ = keras.utils.unpack_x_y_sample_weight(args[0])
        if visible.shape[0] is not None and visible.shape[0] <= self.minibatch_size:
            return super().train_step(*args)
        visible = self._tensor(visible)
        rows = ops.shape(visible)[0]
        updates = (rows + self.minibatch_size - 1) // self.minibatch_size

        def update(i, squared_error):
            index = i * self.minibatch_size + ops.arange(self.minibatch_size)
            share = ops.cast(index < rows, self.compute_dtype)  # rows beyond the end weigh nothing
            minibatch = ops.take(visible, ops.minimum(index, rows - 1), axis=0)
            return squared_error + self._contrastive_update(minibatch, ops.expand_dims(share, 1))

        squared_error = ops.fori_loop(0, updates, update, ops.zeros((), self.compute_dtype))
        self.reconstruction_error.update_state(squared_error / ops.cast(rows, self.compute_dtype), rows)
        return {self.reconstruction_error.name: self.reconstruction_error.result()}

    def _contrastive_update(self, visible, share):
        """One update by the closed form of the CD gradient; `share` (rows, 1) is 1, or 0 for rows that do not count.

        Returns the squared error summed over rows and units.
        """
        probabilities = self.hidden_probabilities(visible)
        reconstruction, negative = self._negative_phase(visible, probabilities)
        positive_share = share / ops.sum(share)
        negative_share = 1.0 / self.num_chains if self.persistent else positive_share
        positive = probabilities * positive_share
        negative_hidden = self.hidden_probabilities(negative) * negative_share
        gradients = [
            ops.matmul(ops.transpose(negative), negative_hidden) - ops.matmul(ops.transpose(visible), positive),
            ops.sum(negative * negative_share, axis=0) - ops.sum(visible * positive_share, axis=0),
            ops.sum(negative_hidden, axis=0) - ops.sum(positive, axis=0),
        ]
        self.optimizer.apply(gradients, [self.kernel, self.visible_bias, self.hidden_bias])
        return ops.sum(ops.square(visible - reconstruction) * share)

    def _negative_phase(self, data, probabilities, keep=True):
        """The mean reconstruction of `data` and the visible states of the negative statistics.

        `keep` is whether persistent chains move on.
        """
        hidden = self._hidden.sample(probabilities, self.seed_generator)
        reconstruction = self.visible_probabilities(hidden)
        if self.persistent:
            negative = self.gibbs_chain(self.chains, self.gibbs_steps)
            if keep:
                self.chains.assign(negative)
            return reconstruction, negative
        negative = reconstruction
        for _ in range(self.gibbs_steps - 1):
            states = self._visible.sample(negative, self.seed_generator)
            negative = self.visible_probabilities(self.sample_hidden(states))
        if self.sample_reconstruction:
            negative = self._visible.sample(negative, self.seed_generator)
        return reconstruction, negative

    def save_own_variables(self, store):
        """Stores the weights and the state of the random numbers, which Keras leaves out: resuming must not repeat."""
        super().save_own_variables(store)
        store["random_state"] = self.seed_generator.state.numpy()

    def load_own_variables(self, store):
        """Restores what `save_own_variables` stored."""
        self.seed_generator.state.assign(store["random_state"])
        super().load_own_variables({key: store[key] for key in store.keys() if key != "random_state"})  # noqa: SIM118

    def get_compile_config(self):
        """Returns what `compile_from_config` needs: the optimizer."""
        return {"optimizer": keras.optimizers.serialize(self.optimizer)} if self.compiled else None

    def compile_from_config(self, config):
        """Compiles a loaded machine as it was compiled when it was saved."""
        self.compile(keras.optimizers.deserialize(config["optimizer"]))
        self.optimizer.build(self.trainable_variables)

    def get_config(self):
        """Returns the arguments of the constructor."""
        keys = (
            "hidden_units visible_type hidden_type gibbs_steps persistent num_chains sample_reconstruction "
            "weight_stddev minibatch_size seed"
        )
        return super().get_config() | {key: getattr(self, key) for key in keys.split()}


def _check_choice(key, value, choices):
    if value not in choices:
        raise ValueError(f"`{key}` must be one of {', '.join(choices)}. Received: {key}={value!r}")


def _check_count(key, value):
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"`{key}` must be an integer of at least 1. Received: {key}={value!r}")
