"""Training by stock `fit` on gradients that are known in closed form, many updates in one call of the graph."""

import keras
from keras import ops

from models.fitting.loops import repeated
from models.fitting.sgd import MomentumSGD


class ClosedFormModel(keras.Model):
    """A Keras model that computes its own gradients; compile it without a loss and train it with `fit`.

    A subclass implements `gradients`. When batches that `fit` receives are larger than `minibatch_size`, all updates
    of a batch run in one loop, in the graph where there is one: feed some 10,000 rows at a time, which on TensorFlow is
    about twice as fast as 50 calls. The last minibatch of a batch may be smaller; no row is left out. Without
    `minibatch_size`, one batch is one update, by a loss whose gradient is exactly the one given.

    Args:
        minibatch_size: Rows per update when `fit` gets larger batches; none means one update per batch.
        seed: Integer that decides all sampling; none means a random one.
        **kwargs: `name` and `dtype` of the model.

    Raises:
        ValueError: A minibatch of no rows.
    """

    def __init__(self, minibatch_size=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        if minibatch_size is not None:
            check_count("minibatch_size", minibatch_size)
        self.minibatch_size = minibatch_size
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.row_error = keras.metrics.Mean(name=self.error_name)

    error_name = "error"
    takes_labels = False  # whether `fit` gets (x, y) instead of x alone

    def gradients(self, *parts, training=True):
        """One minibatch's gradients; to be implemented.

        Args:
            *parts: What `fit` was given, x or, where the model `takes_labels`, (x, y), each of shape (rows, ...).
            training: False when validation data are looked at: then nothing that lives on, such as a chain, moves.

        Returns:
            A list of gradients to descend along, one for each of `trainable_variables`, in their order, and the error
            of every row, shape (rows,), whose mean is logged as `error_name`.
        """
        raise NotImplementedError

    def loss_value(self, *parts):
        """What is logged as `loss` where there is one to speak of: a scalar."""
        return ops.zeros(())

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

    def fit(self, *args, sample_weight=None, **kwargs):
        """As `keras.Model.fit`, without `sample_weight`, which Keras itself drops where there is no y."""
        self._refuse(sample_weight)
        return super().fit(*args, **kwargs)

    def evaluate(self, *args, sample_weight=None, **kwargs):
        """As `keras.Model.evaluate`, without `sample_weight`, as `fit`."""
        self._refuse(sample_weight)
        return super().evaluate(*args, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """A scalar whose gradient is exactly that of `gradients`, for backends that differentiate a loss.

        Raises:
            ValueError: Labels for a model of x alone, none for one that takes them, or weights of rows.
        """
        parts = self._parts(x, y, sample_weight)
        (gradients, errors), value = self._at_once(
            lambda: (self.gradients(*parts, training=training), ops.stop_gradient(self.loss_value(*parts)))
        )
        self.row_error.update_state(errors)
        for variable, gradient in zip(self.trainable_variables, gradients, strict=True):
            moved = variable - ops.stop_gradient(variable)  # 0, but its derivative is 1
            value = value + ops.sum(moved * ops.stop_gradient(gradient))
        return value

    def train_step(self, *args):
        """All updates of one batch, which on JAX comes with the state of all variables, and returns it."""
        if self.minibatch_size is None:
            return super().train_step(*args)
        if keras.backend.backend() != "jax":
            return self._updates(*args)
        groups = (
            self.trainable_variables,
            self.non_trainable_variables,
            self.optimizer.variables,
            self.metrics_variables,
        )
        mapping = [
            pair
            for variables, values in zip(groups, args[0], strict=True)
            for pair in zip(variables, values, strict=True)
        ]
        with keras.StatelessScope(state_mapping=mapping):
            logs = self._updates(args[1])
            return logs, tuple([ops.convert_to_tensor(variable) for variable in variables] for variables in groups)

    def _updates(self, data):
        parts = self._parts(*keras.utils.unpack_x_y_sample_weight(data))
        rows, size = ops.shape(parts[0])[0], self.minibatch_size

        def update(start, count, total):
            minibatch = (ops.slice(part, (start, *[0] * (part.ndim - 1)), (count, *part.shape[1:])) for part in parts)
            gradients, errors = self._at_once(lambda: self.gradients(*minibatch))
            self.optimizer.apply(list(map(ops.stop_gradient, gradients)), self.trainable_variables)
            return total + ops.stop_gradient(ops.sum(errors))

        whole, rest = rows // size, rows % size
        total = ops.zeros((), self.compute_dtype)
        carried = [*self.variables, *self.optimizer.variables] if keras.backend.backend() == "jax" else []
        total = repeated(whole, lambda i, total: update(i * size, size, total), total, carried)
        if not isinstance(rest, int):
            total = ops.cond(rest > 0, lambda: update(whole * size, rest, total), lambda: total)
        elif rest:
            total = update(whole * size, rest, total)
        self.row_error.update_state(total / ops.cast(rows, self.compute_dtype), rows)
        return {self.row_error.name: self.row_error.result()}

    def _at_once(self, compute):
        """What `compute()` returns, with every trainable variable read once, at the start.

        TensorFlow 2.21 loses the order of an update and of later reads of the same variable for another gradient: its
        dependency optimizer takes the operation that Keras' optimizer puts around all gradients (IdentityN) for a
        barrier, then that is pruned. One training in ten came out differently with learned variances.
        """
        if keras.backend.backend() != "tensorflow":
            return compute()
        values = [(variable, ops.stop_gradient(variable)) for variable in self.trainable_variables]  # a tensor each
        with keras.StatelessScope(state_mapping=values) as scope:
            result = compute()
        for variable in self.non_trainable_variables:
            value = scope.get_current_value(variable)
            if value is not None:
                variable.assign(value)
        return result

    def _parts(self, x, y, sample_weight):
        """What `gradients` takes, as tensors; what it would pass over is refused, when the step is traced."""
        self._refuse(sample_weight)
        name = type(self).__name__
        if self.takes_labels and y is None:
            raise ValueError(f"{name} learns from images and their labels: pass both, as x and y.")
        if y is not None and not self.takes_labels:
            raise ValueError(
                f"{name} learns from x alone: leave out y. `RBM(hidden_units, label_units=classes)` learns labels too, "
                "one-hot, as the last columns of x."
            )
        return [self._tensor(part) for part in (x, y) if part is not None]

    def _refuse(self, sample_weight):
        if sample_weight is not None:
            raise ValueError(
                f"{type(self).__name__} gives every row the same weight: leave out `sample_weight` and `class_weight`."
            )

    def _tensor(self, states):
        states = ops.convert_to_tensor(states, dtype=self.compute_dtype)
        if not self.built:
            self.build(states.shape)
        return states

    # On disk -----------------------------------------------------------------------------------------------------

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
        """Compiles a loaded model as it was compiled when it was saved."""
        self.compile(keras.optimizers.deserialize(config["optimizer"]))
        self.optimizer.build(self.trainable_variables)


def check_choice(key, value, choices):
    """Refuses, with a ValueError, a value that is not among the choices."""
    if value not in choices:
        raise ValueError(f"`{key}` must be one of {', '.join(map(str, choices))}. Received: {key}={value!r}")


def check_count(key, value, least=1):
    """Refuses, with a ValueError, all but integers from `least` on."""
    if not isinstance(value, int) or value < least:
        raise ValueError(f"`{key}` must be an integer of at least {least}. Received: {key}={value!r}")
