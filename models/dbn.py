"""The deep belief net: restricted Boltzmann machines stacked greedily, then unrolled into a classifier."""

import json
import zlib
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np

from models.chunks import count_and_mean, first_rows, flatten, mapped
from models.config import RBMConfig
from models.monitors import FreeEnergyGap, PseudoLogLikelihood
from models.rbm import RBM
from models.sgd import MomentumSGD

CHUNK_ROWS = 5000  # rows per call of the training step when arrays are passed: fast from some 2,000 on
GAP_IMAGES = 1000  # of each kind, for the free-energy gap
LIKELIHOOD_IMAGES = 50  # for the pseudo-log-likelihood, which costs num_visible times as much


class DBN:
    """A stack of restricted Boltzmann machines, each trained on the hidden probabilities of the one below.

    Args:
        hidden_units: Units per hidden layer, bottom up.
        num_visible: Length of the flattened image, height x width x channels; none means that the first data tell.
        visible_type: "bernoulli" for pixels in [0, 1], "gaussian" for standardised pixels. All layers above the first
            are Bernoulli.
        pretraining: How every layer is trained.
        seed: Decides initial weights, sampling and, for arrays, the order of images; none means random.

    Attributes:
        rbms: The machines, bottom up.

    Raises:
        ValueError: No hidden layer, or an unknown type of unit.

    Source: Hinton & Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, Science 313 (2006).
    """

    def __init__(
        self,
        hidden_units=(500, 500, 2000),
        num_visible=None,
        visible_type="bernoulli",
        pretraining=None,
        seed=None,
    ):
        if not hidden_units:
            raise ValueError("A deep belief net needs at least one hidden layer. Received: hidden_units=()")
        self.hidden_units = tuple(hidden_units)
        self.visible_type = visible_type
        self.pretraining = pretraining or RBMConfig()
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

    # Training ----------------------------------------------------------------------------------------------------

    def pretrain_layerwise(
        self,
        dataset,
        validation_data=None,
        callbacks_for_layer=None,
        mean=None,
        num_examples=None,
        first_layer=0,
        verbose=0,
    ):
        """Trains one machine after the other, bottom up, with the hyper-parameters in `pretraining`.

        Layer i learns the hidden probabilities of the layers below it, which are computed again in every epoch: memory
        does not grow with the number of images. The logs of each epoch hold `reconstruction_error` and, with
        validation data, `val_reconstruction_error`, `free_energy_gap` and `pseudo_log_likelihood` (binary units), all
        three on the first images only.

        Args:
            dataset: Images or (images, labels): an array (images, ...), or a tf.data.Dataset of batches, shuffled as
                wanted. Batches of some 5,000 images train twice as fast as batches of 100, with the same updates;
                their size should be a multiple of the batch size in `pretraining`.
            validation_data: Images that are not trained on, of the same kind; none leaves their logs out.
            callbacks_for_layer: Function of the layer's index that returns a list of Keras callbacks for its `fit`.
            mean: Mean image, flattened (num_visible,), for the visible biases of the first layer. None means one pass
                over the data to find it.
            num_examples: Number of training images, which tells how many updates an epoch has. None means one pass.
            first_layer: Index of the first machine to train; those below keep their weights.
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
                self.rbms[0].set_visible_bias(mean)
            self.rbms[i].compile(_optimizer(config, self.rbms[i].visible_type, num_examples))
            layer_held_out = None if held_out is None else self._encode_array(held_out, i)
            monitors = [] if held_out is None else self._monitors(i, self._encode_array(probe, i), layer_held_out)
            layer_data = mapped(dataset, lambda images, i=i: self.encode(images, i), chunk, self._seed(f"order {i}"))
            history = self.rbms[i].fit(
                layer_data,
                validation_data=None if held_out is None else (layer_held_out, None),
                epochs=config.epochs,
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
        config = self.pretraining
        return RBM(
            self.hidden_units[layer],
            visible_type=self.visible_type if layer == 0 else "bernoulli",
            gibbs_steps=config.gibbs_steps,
            persistent=config.persistent,
            num_chains=config.batch_size,
            weight_stddev=config.weight_stddev,
            minibatch_size=config.batch_size,
            seed=self._seed(f"rbm {layer}"),
            name=f"rbm_{layer}",
        )

    def _seed(self, use):
        """A seed of its own for every use, so that no two random streams are the same."""
        return None if self.seed is None else zlib.crc32(f"{self.seed} {use}".encode()) >> 1

    def _build(self, num_visible):
        for rbm, below in zip(self.rbms, (num_visible, *self.hidden_units), strict=False):
            if not rbm.built:
                rbm.build((None, below))

    def unroll(self, num_classes, image_shape=None, logits_stddev=0.1):
        """The classifier that has the stack as its hidden layers, to be fine-tuned by back-propagation.

        Its hidden activations are those of `encode`; nothing of the net is shared with it.

        Args:
            num_classes: Number of classes, at least 2.
            image_shape: (height, width, channels) of its input, flattened row by row; none means flat input
                (num_visible,).
            logits_stddev: Standard deviation of the output layer's initial kernel.

        Returns:
            A `keras.Model` of logistic layers "h1", "h2", ... and a linear layer "logits": (batch, num_classes).

        Raises:
            ValueError: The net has no weights yet, or the image does not fit.
        """
        if self.num_visible is None:
            raise ValueError("The net has no weights yet. Pass `num_visible`, or pretrain or load it before `unroll`.")
        image_shape = image_shape or (self.num_visible,)
        if np.prod(image_shape) != self.num_visible:
            raise ValueError(f"Expected an image of {self.num_visible} values. Received: image_shape={image_shape}")
        inputs = keras.Input(image_shape, name="image")
        states = keras.layers.Flatten(name="visible")(inputs)
        for i, units in enumerate(self.hidden_units, start=1):
            states = keras.layers.Dense(units, activation="sigmoid", name=f"h{i}")(states)
        start = keras.initializers.RandomNormal(stddev=logits_stddev, seed=self._seed("logits"))
        logits = keras.layers.Dense(num_classes, kernel_initializer=start, name="logits")(states)
        model = keras.Model(inputs, logits, name="dbn_classifier")
        for i, rbm in enumerate(self.rbms, start=1):
            model.get_layer(f"h{i}").set_weights([rbm.kernel.numpy(), rbm.hidden_bias.numpy()])
        return model

    # On disk -----------------------------------------------------------------------------------------------------

    def save(self, folder):
        """Writes `dbn.json` (what the net is) and `dbn.npz` (kernel_0, visible_bias_0, hidden_bias_0, ...)."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        description = {
            "hidden_units": self.hidden_units,
            "num_visible": self.num_visible,
            "visible_type": self.visible_type,
            "pretraining": asdict(self.pretraining),
            "seed": self.seed,
        }
        weights = {
            f"{key}_{i}": getattr(rbm, key).numpy()
            for i, rbm in enumerate(self.rbms)
            for key in ("kernel", "visible_bias", "hidden_bias")
        }
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
            for i, rbm in enumerate(net.rbms):
                for key in ("kernel", "visible_bias", "hidden_bias"):
                    getattr(rbm, key).assign(weights[f"{key}_{i}"])
        return net


def _optimizer(config, visible_type, num_examples):
    updates_per_epoch = -(-num_examples // config.batch_size)
    gaussian = visible_type == "gaussian"
    return MomentumSGD(
        config.gaussian_learning_rate if gaussian else config.learning_rate,
        momentum=config.final_momentum,
        initial_momentum=config.initial_momentum,
        momentum_switch=config.momentum_switch_epochs * updates_per_epoch,
        weight_cost=config.weight_cost,
    )
