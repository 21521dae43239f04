"""Training by stock `fit` with gradients that are known in closed form, many updates in one call of the graph."""

from typing import Any

import keras
from keras import ops

from models.checks import check_count
from models.fitting.loops import fori_loop_with_variables, read_variables_once
from models.fitting.sgd import MomentumSGD
from models.types import Tensor


class ClosedFormModel(keras.Model):
    """Base class of Keras models that compute their own gradients; compile them without a loss and call `fit`.

    A subclass implements `gradients`. When `fit` receives batches larger than `minibatch_size`, all updates of a batch
    run in one loop, in the graph where there is one: pass some 10,000 rows at a time, which on TensorFlow is about
    twice as fast as 50 calls. The last minibatch of a batch may be smaller; no row is left out. Without
    `minibatch_size`, one batch is one update, through a loss whose gradient is exactly the given one.

    Args:
        minibatch_size: Rows per update, at least 1; None means one update per batch.
        seed: Integer that determines all sampling; None means a random one.
        **kwargs: `name` and `dtype` of the model.

    Raises:
        ValueError: `minibatch_size` is not an integer of at least 1.

    Example:
        >>> class Mean(ClosedFormModel):
        ...     def build(self, input_shape):
        ...         self.mean = self.add_weight((input_shape[-1],), "zeros", name="mean")
        ...         self.built = True
        ...     def gradients(self, x, training=True):
        ...         errors = self.mean - x
        ...         return [ops.mean(errors, axis=0)], ops.sum(ops.square(errors), axis=-1)
        >>> model = Mean(minibatch_size=2)
        >>> model.compile(MomentumSGD(learning_rate=1.0, momentum=0.0))
        >>> history = model.fit(ops.convert_to_tensor([[1.0], [3.0], [5.0], [7.0]]), shuffle=False, verbose=0)
        >>> float(model.mean.numpy()[0])  # mean of the last minibatch
        6.0
    """

    def __init__(self, minibatch_size: int | None = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if minibatch_size is not None:
            check_count("minibatch_size", minibatch_size)
        self.minibatch_size = minibatch_size
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.row_error = keras.metrics.Mean(name=self.error_name)

    error_name = "error"  # in the logs
    requires_labels = False  # whether `fit` requires (x, y) instead of x alone

    def gradients(self, *tensors: Any, **kwargs: Any) -> tuple[list[Tensor], Tensor]:
        """Computes the gradients of one minibatch; a subclass implements it.

        Args:
            *tensors: Data passed to `fit`: x or, where the model `requires_labels`, x and y, of shape (rows, ...).
            **kwargs: `training`, True by default and False for validation data: persistent state, such as chains, then
                stays as it is.

        Returns:
            A list of gradients to descend along, one for each of `trainable_variables`, in their order, and the error
            of every row, shape (rows,), whose mean is logged as `error_name`.
        """
        raise NotImplementedError

    def loss_value(self, *tensors: Any, **kwargs: Any) -> Tensor:
        """Returns the scalar that is logged as `loss`: 0 unless a subclass has a loss."""
        return ops.zeros(())

    def compile(self, optimizer: Any = None, jit_compile: bool | str | None = None, **kwargs: Any) -> None:
        """Works as `keras.Model.compile`, without a `loss`.

        Args:
            optimizer: Any Keras optimizer; None means `MomentumSGD(0.1)`.
            jit_compile: Whether XLA compiles the step. None means no on TensorFlow without a GPU, where XLA is five
                times slower (12 s against 2.5 s per epoch of MNIST, 784 x 500 units); elsewhere Keras decides.
            **kwargs: Further arguments of `keras.Model.compile`.
        """
        if jit_compile is None:
            plain_cpu = keras.backend.backend() == "tensorflow" and not keras.distribution.list_devices("gpu")
            jit_compile = False if plain_cpu else "auto"
        super().compile(optimizer=optimizer or MomentumSGD(0.1), jit_compile=jit_compile, **kwargs)

    def fit(self, *args: Any, sample_weight: Any = None, **kwargs: Any) -> keras.callbacks.History:
        """Works as `keras.Model.fit`, but refuses `sample_weight`, which Keras ignores silently if there is no y."""
        self._refuse(sample_weight)
        return super().fit(*args, **kwargs)

    def evaluate(self, *args: Any, sample_weight: Any = None, **kwargs: Any) -> Any:
        """Works as `keras.Model.evaluate`, but refuses `sample_weight`, as `fit` does."""
        self._refuse(sample_weight)
        return super().evaluate(*args, **kwargs)

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """Returns a scalar whose gradient is exactly that of `gradients`, for backends that differentiate a loss.

        Raises:
            ValueError: Labels are missing or not accepted, or rows have weights.
        """
        tensors = self._checked_tensors(x, y, sample_weight)

        def compute() -> tuple[tuple[list[Tensor], Tensor], Tensor]:
            return self.gradients(*tensors, training=training), ops.stop_gradient(self.loss_value(*tensors))

        (gradients, errors), value = read_variables_once(self, compute)
        self.row_error.update_state(errors)
        for variable, gradient in zip(self.trainable_variables, gradients, strict=True):
            moved = variable - ops.stop_gradient(variable)  # 0, but its derivative is 1
            value = value + ops.sum(moved * ops.stop_gradient(gradient))
        return value

    def train_step(self, *args: Any) -> Any:
        """Makes all updates of one batch; on JAX it receives and returns the state of all variables."""
        if self.minibatch_size is None:
            return super().train_step(*args)
        if keras.backend.backend() != "jax":
            return self._update_by_minibatches(*args)
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
            logs = self._update_by_minibatches(args[1])
            return logs, tuple([ops.convert_to_tensor(variable) for variable in variables] for variables in groups)

    def _update_by_minibatches(self, data: Any) -> dict[str, Tensor]:
        tensors = self._checked_tensors(*keras.utils.unpack_x_y_sample_weight(data))
        rows, size = ops.shape(tensors[0])[0], self.minibatch_size

        def update(start: Any, count: Any, total: Tensor) -> Tensor:
            minibatch = (ops.slice(part, (start, *[0] * (part.ndim - 1)), (count, *part.shape[1:])) for part in tensors)
            gradients, errors = read_variables_once(self, lambda: self.gradients(*minibatch))
            self.optimizer.apply(list(map(ops.stop_gradient, gradients)), self.trainable_variables)
            return total + ops.stop_gradient(ops.sum(errors))

        whole, rest = rows // size, rows % size
        total = ops.zeros((), self.compute_dtype)
        carried = [*self.variables, *self.optimizer.variables] if keras.backend.backend() == "jax" else []
        total = fori_loop_with_variables(whole, lambda i, total: update(i * size, size, total), total, carried)
        if not isinstance(rest, int):
            total = ops.cond(rest > 0, lambda: update(whole * size, rest, total), lambda: total)
        elif rest:
            total = update(whole * size, rest, total)
        self.row_error.update_state(total / ops.cast(rows, self.compute_dtype), rows)
        return {self.row_error.name: self.row_error.result()}

    def _checked_tensors(self, x: Tensor, y: Tensor, sample_weight: Tensor) -> list[Tensor]:
        """Returns the arguments of `gradients` as tensors; raises, when the step is traced, on data it would ignore."""
        self._refuse(sample_weight)
        name = type(self).__name__
        if self.requires_labels and y is None:
            raise ValueError(f"{name} learns from images and their labels; pass both, as x and y")
        if y is not None and not self.requires_labels:
            raise ValueError(
                f"{name} learns from x alone; leave out y. `RBM(hidden_units, label_units=classes)` learns labels too, "
                "one-hot, as the last columns of x"
            )
        return [self._tensor(part) for part in (x, y) if part is not None]

    def _refuse(self, sample_weight: Any) -> None:
        if sample_weight is not None:
            raise ValueError(
                f"{type(self).__name__} gives every row the same weight; leave out `sample_weight` and `class_weight`"
            )

    def _tensor(self, states: Tensor) -> Tensor:
        """Returns states as a tensor of the model's type, and builds the model for their shape if necessary."""
        states = ops.convert_to_tensor(states, dtype=self.compute_dtype)
        if not self.built:
            self.build(states.shape)
        return states

    # On disk -----------------------------------------------------------------------------------------------------

    def save_own_variables(self, store: Any) -> None:
        """Stores the weights and the random state, which Keras leaves out: a resumed training must not repeat draws."""
        super().save_own_variables(store)
        store["random_state"] = self.seed_generator.state.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Restores the variables that `save_own_variables` stored."""
        self.seed_generator.state.assign(store["random_state"])
        super().load_own_variables({key: store[key] for key in store.keys() if key != "random_state"})  # noqa: SIM118

    def get_compile_config(self) -> dict[str, Any] | None:
        """Returns the argument of `compile_from_config`, which holds the optimizer; None before `compile`."""
        return {"optimizer": keras.optimizers.serialize(self.optimizer)} if self.compiled else None

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model as it was compiled when it was saved."""
        self.compile(keras.optimizers.deserialize(config["optimizer"]))
        self.optimizer.build(self.trainable_variables)
