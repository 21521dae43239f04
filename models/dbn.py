"""Deep belief net: RBMs stacked greedily, then unrolled into the network to be fine-tuned."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from models.checks import check_choice
from models.config import RBMConfig
from models.fitting.chunks import chunk_rows, count_and_mean, first_rows, flatten, mapped
from models.fitting.sgd import pretraining_optimizer
from models.rbm import RBM
from models.rbm.monitors import FreeEnergyGap, PseudoLogLikelihood
from models.rbm.options import BINARY_VISIBLE, options_from
from models.rbm.units import HIDDEN_TYPES
from models.seeds import derived_seed
from models.types import Dataset, Shape, Tensor

CHUNK_ROWS = 10000  # rows per call of the training step when arrays are passed: 5 % faster than 5,000
GAP_IMAGES = 1000  # of each kind, for the free-energy gap
LIKELIHOOD_IMAGES = 50  # for the pseudo-log-likelihood, which costs num_visible times as much


class DBN:
    """Stack of RBMs, each trained on the hidden probabilities of the RBM below.

    Args:
        hidden_units: Units per hidden layer, bottom up.
        num_visible: Length of the flattened image, height x width x channels; None means that of the first data.
        visible_type: "bernoulli" for pixels in [0, 1], "gaussian" for standardised pixels. The visible units of all
            RBMs above the first are Bernoulli.
        code_type: Hidden units of the top RBM: "bernoulli", or "gaussian" for the linear code of an autoencoder.
        pretraining: Training of every layer; None means the defaults of `RBMConfig`. RBMs with Gaussian units are
            neither centered nor tempered, and linear codes are not sparse.
        seed: Integer that determines initial weights, sampling and, for arrays, the order of images; None means a
            random one.

    Attributes:
        rbms: The RBMs, bottom up.

    Raises:
        ValueError: There is no hidden layer, `models.rbm.RBM` refuses the options, or rectified units are below another
            layer: the visible units above them would be rectified too, and nothing bounds the energy of such an RBM.

    Example:
        >>> images = np.eye(4, dtype="float32")
        >>> dbn = DBN(hidden_units=(3, 2), num_visible=4, seed=1)
        >>> histories = dbn.pretrain_layerwise(images)  # doctest: +SKIP
        >>> classifier = dbn.unroll(num_classes=10)
        >>> [tuple(x.shape) for x in (dbn.encode(images), dbn.generate(5, gibbs_steps=3), classifier(images))]
        [(4, 2), (5, 4), (4, 10)]

    Source: Hinton & Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, Science 313 (2006).
    """

    def __init__(
        self,
        hidden_units: Sequence[int] = (500, 500, 2000),
        num_visible: int | None = None,
        visible_type: str = "bernoulli",
        code_type: str = "bernoulli",
        pretraining: RBMConfig | None = None,
        seed: int | None = None,
    ) -> None:
        if not hidden_units:
            raise ValueError("a deep belief net needs at least one hidden layer; received hidden_units=()")
        check_choice("code_type", code_type, ("bernoulli", "gaussian"))
        self.hidden_units = tuple(hidden_units)
        self.visible_type = visible_type
        self.code_type = code_type
        self.pretraining = pretraining or RBMConfig()
        if self.pretraining.hidden_type == "nrelu" and len(self.hidden_units) > 1:
            raise ValueError(
                f'layers of rectified units cannot be stacked; use hidden_type="bernoulli", or one layer; received '
                f'hidden_type="nrelu", hidden_units={self.hidden_units}'
            )
        self.seed = seed
        self.rbms = [self._make_rbm(i) for i in range(len(self.hidden_units))]
        if num_visible is not None:
            self._build(num_visible)

    @property
    def num_visible(self) -> int | None:
        """Length of the flattened image; None until the first data."""
        return self.rbms[0].kernel.shape[0] if self.rbms[0].built else None

    def encode(self, visible: Tensor, layers: int | None = None) -> Tensor:
        """Returns hidden probabilities, layer by layer, without sampling.

        Args:
            visible: Images (batch, height, width, channels), or flattened (batch, num_visible).
            layers: Number of RBMs to pass, bottom up; None means all.

        Returns:
            Shape (batch, units of the last RBM passed); the flattened images for 0 layers.
        """
        states = flatten(visible)
        for rbm in self.rbms[:layers]:
            states = rbm.hidden_probabilities(states)
        return states

    def decode(self, states: Tensor, layers: int | None = None) -> Tensor:
        """Returns means of the visible units, layer by layer downwards, without sampling.

        Args:
            states: Hidden states or probabilities of the last RBM passed, shape (batch, its hidden units).
            layers: Number of RBMs to pass, counted from the bottom; None means all.

        Returns:
            Shape (batch, num_visible).
        """
        for rbm in reversed(self.rbms[:layers]):
            states = rbm.visible_probabilities(states)
        return states

    def generate(self, num_samples: int, gibbs_steps: int = 1000, start: Tensor | None = None) -> Tensor:
        """Generates images: Gibbs sampling in the top RBM, then one pass down through means.

        Args:
            num_samples: Number of images, each from its own chain.
            gibbs_steps: Steps of every chain, at least 0; the paper uses 1,000.
            start: First images of the chains, (num_samples, num_visible); None means random states.

        Returns:
            Pixel probabilities (means), shape (num_samples, num_visible).

        Raises:
            ValueError: The net has no weights yet.

        Source: Hinton, Osindero & Teh, Neural Computation 18 (2006), section 7. For images of a chosen class, see
        `models.up_down.LabelDBN.generate`.
        """
        check_has_weights(self.num_visible, "generate")
        top = self.rbms[-1]
        if start is None:
            states = top.draw_visible(0.5 * keras.ops.ones((num_samples, top.kernel.shape[0])))
        else:
            states = self.encode(start, len(self.rbms) - 1)
        states = top.gibbs_chain(states, gibbs_steps)
        return self.decode(top.reconstruct(states) if len(self.rbms) == 1 else states, len(self.rbms) - 1)

    # Training ----------------------------------------------------------------------------------------------------

    def pretrain_layerwise(
        self,
        dataset: Dataset,
        validation_data: Dataset | None = None,
        callbacks_for_layer: Callable[[int], Sequence[keras.callbacks.Callback]] | None = None,
        mean: np.ndarray | None = None,
        num_examples: int | None = None,
        first_layer: int = 0,
        initial_epoch: int = 0,
        verbose: Any = 0,
    ) -> list[keras.callbacks.History]:
        """Trains one RBM after the other, bottom up, with the hyper-parameters in `pretraining`.

        Layer i learns the hidden probabilities of the layers below it, which are computed again in every epoch: memory
        does not grow with the number of images. The logs of each epoch hold `reconstruction_error` and, with validation
        data, `val_reconstruction_error`, `free_energy_gap` and `pseudo_log_likelihood` (binary units); these three use
        the first images only.

        Args:
            dataset: Images or (images, labels): an array (images, ...), or a tf.data.Dataset of batches, already
                shuffled. Batches of some 10,000 images train twice as fast as batches of 100, with the same updates;
                their size should be a multiple of the batch size in `pretraining`.
            validation_data: Images that are not trained on, of the same kind; None omits their logs.
            callbacks_for_layer: Function of the layer's index that returns a list of Keras callbacks for its `fit`.
            mean: Mean image, flattened (num_visible,), for the visible biases of the first layer. None means one pass
                over the data to find it.
            num_examples: Number of training images, from which the updates per epoch follow. None means one pass.
            first_layer: Index of the first RBM to train; the RBMs below it keep their weights.
            initial_epoch: Epochs that this first RBM has already had, to resume an interrupted training after its
                callbacks have restored weights and optimizer in `on_train_begin`. Arrays then come in the order of the
                uninterrupted training; a tf.data.Dataset has to ensure that itself.
            verbose: Verbosity as in `fit`.

        Returns:
            A list of Keras histories, one for each layer trained.
        """
        config = self.pretraining
        chunk = chunk_rows(config.batch_size, CHUNK_ROWS)
        if mean is None or num_examples is None:
            num_examples, mean = count_and_mean(dataset, chunk)
        self._build(len(mean))
        probe, held_out = None, None
        if validation_data is not None:
            probe, held_out = (first_rows(data, GAP_IMAGES, chunk) for data in (dataset, validation_data))
        histories = []
        for i in range(first_layer, len(self.rbms)):
            if i == 0:
                self.rbms[0].set_visible_bias(mean)  # a resumed training restores its own afterwards
            gaussian = "gaussian" in (self.rbms[i].visible_type, self.rbms[i].hidden_type)
            self.rbms[i].compile(pretraining_optimizer(config, num_examples, gaussian))
            layer_held_out = None if held_out is None else self._encode_array(held_out, i)
            monitors = [] if held_out is None else self._monitors(i, self._encode_array(probe, i), layer_held_out)
            first_epoch = initial_epoch if i == first_layer else 0
            encode, order = (lambda images, i=i: self.encode(images, i)), derived_seed(self.seed, f"order {i}")
            layer_data = mapped(dataset, encode, chunk, order, first_epoch)
            history = self.rbms[i].fit(
                layer_data,
                validation_data=None if held_out is None else (layer_held_out, None),
                epochs=config.epochs,
                initial_epoch=first_epoch,
                callbacks=[*monitors, *(callbacks_for_layer(i) if callbacks_for_layer else [])],
                shuffle=False,
                verbose=verbose,
            )
            histories.append(history)
        return histories

    def _monitors(self, layer: int, probe: np.ndarray, held_out: Any) -> list[keras.callbacks.Callback]:
        monitors = [FreeEnergyGap(probe, held_out)]
        if self.rbms[layer].visible_type == "bernoulli":
            monitors.append(PseudoLogLikelihood(held_out[:LIKELIHOOD_IMAGES]))
        return monitors

    def _encode_array(self, images: Any, layers: int) -> np.ndarray:
        return keras.ops.convert_to_numpy(self.encode(images, layers))

    # Construction ------------------------------------------------------------------------------------------------

    def _make_rbm(self, layer: int) -> RBM:
        config, first = self.pretraining, layer == 0
        linear = self.code_type == "gaussian" and layer == len(self.hidden_units) - 1
        gaussian = self.visible_type == "gaussian" and first
        options = options_from(config)
        if not first:
            options |= BINARY_VISIBLE
        if linear:
            options |= {"hidden_type": "gaussian", "sparsity_target": None, "sparsity_cost": 0.0}
        if linear or gaussian:  # options of binary RBMs only
            options |= {"centering": None, "temperatures": 1}
        return RBM(
            self.hidden_units[layer],
            visible_type="gaussian" if gaussian else "bernoulli",
            num_chains=config.batch_size,
            minibatch_size=config.batch_size,
            seed=derived_seed(self.seed, f"rbm {layer}"),
            name=f"rbm_{layer}",
            **options,
        )

    def _build(self, num_visible: int) -> None:
        for rbm, below in zip(self.rbms, (num_visible, *self.hidden_units), strict=False):
            if not rbm.built:
                rbm.build((None, below))

    def unroll(
        self,
        num_classes: int,
        image_shape: Shape | None = None,
        logits_stddev: float = 0.1,
        input_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        max_norm: float | None = None,
    ) -> keras.Model:
        """Builds the classifier with the stack as its hidden layers, to be fine-tuned by back-propagation.

        Its hidden activations are those of `encode`; it shares nothing with the net.

        Args:
            num_classes: Number of classes, at least 2.
            image_shape: (height, width, channels) of its input, flattened row by row; None means flat input
                (num_visible,).
            logits_stddev: Standard deviation of the output layer's initial kernel.
            input_dropout: Share of visible units dropped at random in training, in [0, 1).
            hidden_dropout: Share of the units of every hidden layer dropped at random in training, in [0, 1).
            max_norm: Largest norm of a hidden unit's incoming weights; None for no limit.

        Returns:
            A `keras.Model` of layers "h1", "h2", ... and a linear layer "logits": (batch, num_classes).

        Raises:
            ValueError: The net has no weights yet, or the image does not fit.

        Source: Hinton & Salakhutdinov, Science 313 (2006); dropout and max-norm: Srivastava et al., JMLR 15 (2014).
        """
        check_has_weights(self.num_visible, "unroll")
        inputs, states = flat_input(image_shape, self.num_visible)
        states = self._dropout(states, input_dropout, "visible")
        for i, rbm in enumerate(self.rbms, start=1):
            up, _ = rbm.directed()
            limit = None if max_norm is None else keras.constraints.MaxNorm(max_norm, axis=0)
            activation = HIDDEN_TYPES[rbm.hidden_type].activation
            layer = keras.layers.Dense(rbm.hidden_units, activation=activation, kernel_constraint=limit, name=f"h{i}")
            states = self._dropout(layer(states), hidden_dropout, f"h{i}")
            layer.set_weights(list(map(keras.ops.convert_to_numpy, up)))
        start = keras.initializers.RandomNormal(stddev=logits_stddev, seed=derived_seed(self.seed, "logits"))
        logits = keras.layers.Dense(num_classes, kernel_initializer=start, name="logits")(states)
        return keras.Model(inputs, logits, name="dbn_classifier")

    def autoencoder(self, image_shape: Shape | None = None) -> keras.Model:
        """Builds the autoencoder with the stack as its encoder and, transposed, as its decoder, to be fine-tuned.

        Its first reconstruction is `decode(encode(images))`; encoder and decoder share nothing from then on.

        Args:
            image_shape: Shape of the input as in `unroll`; the output has the same shape.

        Returns:
            A `keras.Model` from images to reconstructions: logits of the pixels for Bernoulli visible units (their
            sigmoid is the image, cross-entropy the loss), means for Gaussian units. The layer "code" returns the code.

        Raises:
            ValueError: The net has no weights yet, or the image does not fit.

        Source: Hinton & Salakhutdinov, Science 313 (2006).
        """
        check_has_weights(self.num_visible, "autoencoder")
        inputs, states = flat_input(image_shape, self.num_visible)
        for i, rbm in enumerate(self.rbms, start=1):
            up, _ = rbm.directed()
            name = "code" if i == len(self.rbms) else f"encoder_{i}"
            layer = keras.layers.Dense(rbm.hidden_units, activation=HIDDEN_TYPES[rbm.hidden_type].activation, name=name)
            states = layer(states)
            layer.set_weights(list(map(keras.ops.convert_to_numpy, up)))
        for i, rbm in reversed(list(enumerate(self.rbms, start=1))):
            _, down = rbm.directed()
            name, activation = ("reconstruction", "linear") if i == 1 else (f"decoder_{i}", "sigmoid")
            layer = keras.layers.Dense(rbm.kernel.shape[0], activation=activation, name=name)
            states = layer(states)
            layer.set_weights(list(map(keras.ops.convert_to_numpy, down)))
        outputs = keras.layers.Reshape(inputs.shape[1:], name="image_out")(states)
        return keras.Model(inputs, outputs, name="autoencoder")

    def _dropout(self, states: Tensor, rate: float, name: str) -> Tensor:
        if not rate:
            return states
        seed = derived_seed(self.seed, f"dropout {name}")
        return keras.layers.Dropout(rate, seed=seed, name=f"{name}_dropout")(states)

    # On disk -----------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Writes `dbn.json` (arguments of the constructor) and `dbn.npz` (weights).

        The arrays are kernel_0, visible_bias_0, hidden_bias_0, ... and, where variances are learned, log_variance_0.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        description = {
            "hidden_units": self.hidden_units,
            "num_visible": self.num_visible,
            "visible_type": self.visible_type,
            "code_type": self.code_type,
            "pretraining": asdict(self.pretraining),
            "seed": self.seed,
        }
        weights = {name: keras.ops.convert_to_numpy(variable) for name, variable in self._weights().items()}
        np.savez(folder / "dbn.npz", **weights)
        (folder / "dbn.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "DBN":
        """Reads the files that `save` wrote."""
        folder = Path(folder)
        description = json.loads((folder / "dbn.json").read_text(encoding="utf-8"))
        description["pretraining"] = RBMConfig(**description["pretraining"])
        net = cls(**description)
        with np.load(folder / "dbn.npz") as weights:
            for name, variable in net._weights().items():
                variable.assign(weights[name])
        return net

    def _weights(self) -> dict[str, keras.Variable]:
        """All variables that determine what the net computes, by their names on disk."""
        return {f"{one.name}_{i}": one for i, rbm in enumerate(self.rbms) for one in rbm.trainable_variables}


def flat_input(image_shape: Shape | None, num_visible: int | None) -> tuple[Tensor, Tensor]:
    """Returns the input tensor "image" of a functional model, and its flattening, the layer "visible".

    Args:
        image_shape: Shape of an image; None means (num_visible,).
        num_visible: Number of values of an image.

    Raises:
        ValueError: The shape has another number of values.
    """
    image_shape = image_shape or (num_visible,)
    if np.prod(image_shape) != num_visible:
        raise ValueError(f"an image must have {num_visible} values; received image_shape={image_shape}")
    inputs = keras.Input(image_shape, name="image")
    return inputs, keras.layers.Flatten(name="visible")(inputs)


def check_has_weights(num_visible: int | None, method: str) -> None:
    """Raises a ValueError if a net has no `num_visible`, and hence no weights, before the call of a method."""
    if num_visible is None:
        raise ValueError(f"the net has no weights yet; pass `num_visible`, or pretrain or load it before `{method}`")
