"""The deep belief net: restricted Boltzmann machines stacked greedily, then unrolled into what is fine-tuned."""

import json
import zlib
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np

from models.config import RBMConfig
from models.fitting.chunks import count_and_mean, first_rows, flatten, mapped
from models.fitting.closed_form import check_choice
from models.fitting.sgd import pretraining_optimizer
from models.rbm import RBM
from models.rbm.monitors import FreeEnergyGap, PseudoLogLikelihood

CHUNK_ROWS = 10000  # rows per call of the training step when arrays are passed: 5 % faster than 5,000
GAP_IMAGES = 1000  # of each kind, for the free-energy gap
LIKELIHOOD_IMAGES = 50  # for the pseudo-log-likelihood, which costs num_visible times as much
_ACTIVATIONS = {"bernoulli": "sigmoid", "gaussian": "linear", "nrelu": "softplus"}  # the mean of each kind of unit


class DBN:
    """A stack of restricted Boltzmann machines, each trained on the hidden probabilities of the one below.

    Args:
        hidden_units: Units per hidden layer, bottom up.
        num_visible: Length of the flattened image, height x width x channels; none means that the first data tell.
        visible_type: "bernoulli" for pixels in [0, 1], "gaussian" for standardised pixels. The visible units of all
            machines above the first are Bernoulli.
        code_type: Hidden units of the top machine: "bernoulli", or "gaussian" for the linear code of an autoencoder.
        pretraining: How every layer is trained. Machines with Gaussian units are neither centred nor tempered, and
            linear codes not sparse.
        seed: Decides initial weights, sampling and, for arrays, the order of images; none means random.

    Attributes:
        rbms: The machines, bottom up.

    Raises:
        ValueError: No hidden layer, options that `models.rbm.RBM` refuses, or rectified units below another layer: the
            visible units above them would be rectified too, and nothing bounds the energy of such a machine.

    Source: Hinton & Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, Science 313 (2006).
    """

    def __init__(
        self,
        hidden_units=(500, 500, 2000),
        num_visible=None,
        visible_type="bernoulli",
        code_type="bernoulli",
        pretraining=None,
        seed=None,
    ):
        if not hidden_units:
            raise ValueError("A deep belief net needs at least one hidden layer. Received: hidden_units=()")
        check_choice("code_type", code_type, ("bernoulli", "gaussian"))
        self.hidden_units = tuple(hidden_units)
        self.visible_type = visible_type
        self.code_type = code_type
        self.pretraining = pretraining or RBMConfig()
        if self.pretraining.hidden_type == "nrelu" and len(self.hidden_units) > 1:
            raise ValueError(
                f'Layers of rectified units cannot be stacked. Use hidden_type="bernoulli", or one layer. Received: '
                f'hidden_type="nrelu", hidden_units={self.hidden_units}'
            )
        self.seed = seed
        self.rbms = [self._make_rbm(i) for i in range(len(self.hidden_units))]
        if num_visible is not None:
            self._build(num_visible)

    @property
    def num_visible(self):
        """Length of the flattened image, or none as long as nothing has told it."""
        return self.rbms[0].kernel.shape[0] if self.rbms[0].built else None

    def encode(self, visible, layers=None):
        """Hidden probabilities, layer by layer, nothing sampled.

        Args:
            visible: Images (batch, height, width, channels), or flattened (batch, num_visible).
            layers: How many machines to pass, bottom up; none means all.

        Returns:
            Shape (batch, units of the last machine passed); the flattened images for 0 layers.
        """
        states = flatten(visible)
        for rbm in self.rbms[:layers]:
            states = rbm.hidden_probabilities(states)
        return states

    def decode(self, states, layers=None):
        """Means of the visible units, layer by layer downwards, nothing sampled.

        Args:
            states: Hidden states or probabilities of the last machine passed, shape (batch, its hidden units).
            layers: How many machines to pass, counted from the bottom; none means all.

        Returns:
            Shape (batch, num_visible).
        """
        for rbm in reversed(self.rbms[:layers]):
            states = rbm.visible_probabilities(states)
        return states

    def generate(self, num_samples, gibbs_steps=1000, start=None):
        """Images that the net makes up: Gibbs sampling in the top machine, then one pass down through means.

        Args:
            num_samples: Number of images, each from a chain of its own.
            gibbs_steps: Steps of every chain, at least 0; the paper takes 1,000.
            start: Images that the chains start from, (num_samples, num_visible); none means random states.

        Returns:
            Pixel probabilities (means), shape (num_samples, num_visible).

        Raises:
            ValueError: The net has no weights yet.

        Source: Hinton, Osindero & Teh, Neural Computation 18 (2006), section 7. For images of a chosen class, see
        `models.up_down.LabelDBN.generate`.
        """
        self._check_weights("generate")
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
        dataset,
        validation_data=None,
        callbacks_for_layer=None,
        mean=None,
        num_examples=None,
        first_layer=0,
        initial_epoch=0,
        verbose=0,
    ):
        """Trains one machine after the other, bottom up, with the hyper-parameters in `pretraining`.

        Layer i learns the hidden probabilities of the layers below it, which are computed again in every epoch: memory
        does not grow with the number of images. The logs of each epoch hold `reconstruction_error` and, with
        validation data, `val_reconstruction_error`, `free_energy_gap` and `pseudo_log_likelihood` (binary units), all
        three on the first images only.

        Args:
            dataset: Images or (images, labels): an array (images, ...), or a tf.data.Dataset of batches, shuffled as
                wanted. Batches of some 10,000 images train twice as fast as batches of 100, with the same updates;
                their size should be a multiple of the batch size in `pretraining`.
            validation_data: Images that are not trained on, of the same kind; none leaves their logs out.
            callbacks_for_layer: Function of the layer's index that returns a list of Keras callbacks for its `fit`.
            mean: Mean image, flattened (num_visible,), for the visible biases of the first layer. None means one pass
                over the data to find it.
            num_examples: Number of training images, which tells how many updates an epoch has. None means one pass.
            first_layer: Index of the first machine to train; those below keep their weights.
            initial_epoch: Epochs that this first machine has had already: to go on with an interrupted training, after
                its callbacks have restored weights and optimizer in `on_train_begin`. Arrays then come in the
                order that they would have had; a tf.data.Dataset has to see to that itself.
            verbose: As in `fit`.

        Returns:
            A list of Keras histories, one for each layer trained.
        """
        config = self.pretraining
        chunk = max(config.batch_size, CHUNK_ROWS // config.batch_size * config.batch_size)
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
            encode, order = (lambda images, i=i: self.encode(images, i)), self._seed(f"order {i}")
            layer_data = mapped(dataset, encode, chunk, order, first_epoch)
            history = self.rbms[i].fit(
                layer_data,
                validation_data=None if held_out is None else (layer_held_out, None),
                epochs=config.epochs,
                initial_epoch=first_epoch,
                callbacks=monitors + (callbacks_for_layer(i) if callbacks_for_layer else []),
                shuffle=False,
                verbose=verbose,
            )
            histories.append(history)
        return histories

    def _monitors(self, layer, probe, held_out):
        monitors = [FreeEnergyGap(probe, held_out)]
        if self.rbms[layer].visible_type == "bernoulli":
            monitors.append(PseudoLogLikelihood(held_out[:LIKELIHOOD_IMAGES]))
        return monitors

    def _encode_array(self, images, layers):
        return keras.ops.convert_to_numpy(self.encode(images, layers))

    # Construction ------------------------------------------------------------------------------------------------

    def _make_rbm(self, layer):
        config, first = self.pretraining, layer == 0
        linear = self.code_type == "gaussian" and layer == len(self.hidden_units) - 1
        gaussian = self.visible_type == "gaussian" and first
        same = (
            "hidden_type gibbs_steps persistent temperatures sample_reconstruction sample_data centering "
            "sparsity_target sparsity_cost coupling learn_variance weight_stddev"
        )
        options = {key: getattr(config, key) for key in same.split()}
        if not first:  # of pixels; the units above are binary
            options |= {"coupling": "variance", "learn_variance": False}
        if linear:
            options |= {"hidden_type": "gaussian", "sparsity_target": None, "sparsity_cost": 0.0}
        if linear or gaussian:  # what only binary machines have
            options |= {"centering": None, "temperatures": 1}
        return RBM(
            self.hidden_units[layer],
            visible_type="gaussian" if gaussian else "bernoulli",
            num_chains=config.batch_size,
            minibatch_size=config.batch_size,
            seed=self._seed(f"rbm {layer}"),
            name=f"rbm_{layer}",
            **options,
        )

    def _seed(self, use):
        """A seed of its own for every use, so that no two random streams are the same."""
        return None if self.seed is None else zlib.crc32(f"{self.seed} {use}".encode()) >> 1

    def _build(self, num_visible):
        for rbm, below in zip(self.rbms, (num_visible, *self.hidden_units), strict=False):
            if not rbm.built:
                rbm.build((None, below))

    def unroll(
        self, num_classes, image_shape=None, logits_stddev=0.1, input_dropout=0.0, hidden_dropout=0.0, max_norm=None
    ):
        """The classifier that has the stack as its hidden layers, to be fine-tuned by back-propagation.

        Its hidden activations are those of `encode`; nothing of the net is shared with it.

        Args:
            num_classes: Number of classes, at least 2.
            image_shape: (height, width, channels) of its input, flattened row by row; none means flat input
                (num_visible,).
            logits_stddev: Standard deviation of the output layer's initial kernel.
            input_dropout: Share of visible units left out at random while training, in [0, 1).
            hidden_dropout: The same of the units of every hidden layer.
            max_norm: Longest length of a hidden unit's incoming weights; none for no limit.

        Returns:
            A `keras.Model` of layers "h1", "h2", ... and a linear layer "logits": (batch, num_classes).

        Raises:
            ValueError: The net has no weights yet, or the image does not fit.

        Source: Hinton & Salakhutdinov, Science 313 (2006); dropout and max-norm: Srivastava et al., JMLR 15 (2014).
        """
        inputs, states = self._flat_input(image_shape, "unroll")
        states = self._dropout(states, input_dropout, "visible")
        for i, rbm in enumerate(self.rbms, start=1):
            up, _ = rbm.directed()
            limit = None if max_norm is None else keras.constraints.MaxNorm(max_norm, axis=0)
            activation = _ACTIVATIONS[rbm.hidden_type]
            layer = keras.layers.Dense(rbm.hidden_units, activation=activation, kernel_constraint=limit, name=f"h{i}")
            states = self._dropout(layer(states), hidden_dropout, f"h{i}")
            layer.set_weights(list(map(keras.ops.convert_to_numpy, up)))
        start = keras.initializers.RandomNormal(stddev=logits_stddev, seed=self._seed("logits"))
        logits = keras.layers.Dense(num_classes, kernel_initializer=start, name="logits")(states)
        return keras.Model(inputs, logits, name="dbn_classifier")

    def autoencoder(self, image_shape=None):
        """The autoencoder that has the stack as its encoder and, transposed, as its decoder, to be fine-tuned.

        Its first reconstruction is `decode(encode(images))`; encoder and decoder share nothing from then on.

        Args:
            image_shape: As in `unroll`; the output has the same shape.

        Returns:
            A `keras.Model` from images to reconstructions: logits of the pixels for Bernoulli visible units (their
            sigmoid is the image, cross-entropy the loss), means for Gaussian ones. The layer "code" gives the code.

        Raises:
            ValueError: The net has no weights yet, or the image does not fit.

        Source: Hinton & Salakhutdinov, Science 313 (2006).
        """
        inputs, states = self._flat_input(image_shape, "autoencoder")
        for i, rbm in enumerate(self.rbms, start=1):
            up, _ = rbm.directed()
            name = "code" if i == len(self.rbms) else f"encoder_{i}"
            layer = keras.layers.Dense(rbm.hidden_units, activation=_ACTIVATIONS[rbm.hidden_type], name=name)
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

    def _flat_input(self, image_shape, wanted):
        """The input tensor of an image, and it flattened."""
        self._check_weights(wanted)
        image_shape = image_shape or (self.num_visible,)
        if np.prod(image_shape) != self.num_visible:
            raise ValueError(f"Expected an image of {self.num_visible} values. Received: image_shape={image_shape}")
        inputs = keras.Input(image_shape, name="image")
        return inputs, keras.layers.Flatten(name="visible")(inputs)

    def _dropout(self, states, rate, name):
        if not rate:
            return states
        return keras.layers.Dropout(rate, seed=self._seed(f"dropout {name}"), name=f"{name}_dropout")(states)

    def _check_weights(self, wanted):
        if self.num_visible is None:
            raise ValueError(
                f"The net has no weights yet. Pass `num_visible`, or pretrain or load it before `{wanted}`."
            )

    # On disk -----------------------------------------------------------------------------------------------------

    def save(self, folder):
        """Writes `dbn.json` (what the net is) and `dbn.npz`.

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
    def load(cls, folder):
        """Reads what `save` wrote."""
        folder = Path(folder)
        description = json.loads((folder / "dbn.json").read_text(encoding="utf-8"))
        description["pretraining"] = RBMConfig(**description["pretraining"])
        net = cls(**description)
        with np.load(folder / "dbn.npz") as weights:
            for name, variable in net._weights().items():
                variable.assign(weights[name])
        return net

    def _weights(self):
        """All variables that decide what the net computes, by the names that they have on disk."""
        return {f"{one.name}_{i}": one for i, rbm in enumerate(self.rbms) for one in rbm.trainable_variables}
