"""The deep belief net with labels: greedy stack, up-down fine-tuning, classification by free energy, generation."""

import json
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
from keras import ops

from models.config import RBMConfig, UpDownConfig
from models.dbn import CHUNK_ROWS, DBN
from models.fitting.chunks import count_and_mean, flatten
from models.fitting.sgd import pretraining_optimizer
from models.rbm import RBM
from models.up_down import labelled_data
from models.up_down.generation import fantasies
from models.up_down.label_free_energy import free_energy_classifier
from models.up_down.net import UpDownNet, probabilities
from models.up_down.schedule import GibbsStages, up_down_optimizer

_RBM_WEIGHTS = ("kernel", "visible_bias", "hidden_bias")


class LabelDBN:
    """A deep belief net whose top machine learns the joint distribution of features and labels.

    `pretrain_layerwise` trains a stack of machines, the top one on features and one-hot labels side by side;
    `fit_up_down` then unties the weights that recognise from those that generate, and trains all of them together.
    Until then both are those of the stack. See `models.up_down.net.UpDownNet` for what is sampled in an update.

    Args:
        hidden_units: Units per hidden layer, bottom up, at least two; the last are the top machine's hidden units.
        num_classes: Number of labels, at least 2.
        num_visible: Length of the flattened image, height x width x channels; none means that the first data tell.
        pretraining: How every machine is trained.
        up_down: How the net is trained afterwards.
        seed: Decides initial weights, sampling and, for arrays, the order of images; none means random.

    Attributes:
        rbms: The machines of the stack, bottom up; the last has `num_classes` label units.
        net: The `UpDownNet` that `fit_up_down` trains, or none before.

    Raises:
        ValueError: Fewer than two layers or classes, or machines of other than binary units.

    Source: Hinton, Osindero & Teh, A Fast Learning Algorithm for Deep Belief Nets, Neural Computation 18 (2006).
    """

    def __init__(
        self, hidden_units=(500, 500, 2000), num_classes=10, num_visible=None, pretraining=None, up_down=None, seed=None
    ):
        self.hidden_units = tuple(hidden_units)
        self.num_classes = num_classes
        self.pretraining = pretraining or RBMConfig()
        self.up_down = up_down or UpDownConfig()
        self.seed = seed
        if self.pretraining.hidden_type != "bernoulli":
            raise ValueError(
                'The layers of a net with labels are binary: set hidden_type="bernoulli". '
                f'Received: hidden_type="{self.pretraining.hidden_type}"'
            )
        self._new_net()  # refuses what cannot be untied, before hours of pretraining
        self._stack = DBN(self.hidden_units[:-1], num_visible, pretraining=self.pretraining, seed=seed)
        self.rbms = [*self._stack.rbms, self._make_top()]
        self.net = None

    @property
    def num_visible(self):
        """Length of the flattened image, or none as long as nothing has told it."""
        return self._stack.num_visible

    @property
    def top(self):
        """The machine of features and labels: the stack's until the weights are untied, then the net's."""
        return self.net.top if self.net else self.rbms[-1]

    @property
    def recognition(self):
        """(kernel, bias) of every directed layer going up, bottom up."""
        return self.net.recognition if self.net else [(rbm.kernel, rbm.hidden_bias) for rbm in self._stack.rbms]

    @property
    def generative(self):
        """(kernel, bias) of every directed layer going down, bottom up."""
        if self.net:
            return self.net.generative
        return [(ops.transpose(rbm.kernel), rbm.visible_bias) for rbm in self._stack.rbms]

    # What it is for ----------------------------------------------------------------------------------------------

    def encode(self, visible):
        """Probabilities of the highest features, nothing sampled on the way.

        Args:
            visible: Images (batch, height, width, channels) in [0, 1], or flattened (batch, num_visible).

        Returns:
            Shape (batch, hidden_units[-2]).
        """
        self._check_weights("encode")
        states = ops.cast(flatten(visible), self.top.compute_dtype)
        for layer in self.recognition:
            states = probabilities(states, layer)
        return states

    def free_energy_by_label(self, visible):
        """Free energy of the top machine for the features of images with each label, exactly, in nats.

        Args:
            visible: As in `encode`.

        Returns:
            Shape (batch, num_classes); the label of the lowest is the most probable.
        """
        return self.top.free_energy_by_label(self.encode(visible))

    def predict_proba(self, visible):
        """p(label | features of the image): shape (batch, num_classes), from images as in `encode`."""
        return ops.softmax(-self.free_energy_by_label(visible))

    def generate(self, num_samples, gibbs_steps=1000, label=None):
        """Images that the net makes up: Gibbs sampling in the top machine, then one pass down.

        Every state is sampled, down to the lowest features, so that with many steps the images follow the model.

        Args:
            num_samples: Number of images, each from a chain of its own that starts from random features.
            gibbs_steps: Steps of every chain, at least 0; the paper takes 1,000.
            label: Class that is held fixed, one for all or one for each image; none lets the chains choose.

        Returns:
            Pixel probabilities, shape (num_samples, num_visible).

        Raises:
            ValueError: A label that does not exist, or a net without weights.

        Source: Hinton, Osindero & Teh 2006, section 7.
        """
        self._check_weights("generate")
        return fantasies(self.top, self.generative, num_samples, gibbs_steps, label)

    def classifier(self, image_shape=None):
        """A plain classifier with this net's weights, of which it has a copy.

        Args:
            image_shape: (height, width, channels) of its input, flattened row by row; none means flat input
                (num_visible,).

        Returns:
            A `keras.Model` of logistic layers "h1", "h2", ... and a `LabelFreeEnergy` "logits": (batch, num_classes),
            minus `free_energy_by_label` up to a number for each image.

        Raises:
            ValueError: The net has no weights yet, or the image does not fit.
        """
        self._check_weights("classifier")
        return free_energy_classifier(self.recognition, self.top, image_shape)

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

        The lower machines see images only, as in `models.dbn.DBN.pretrain_layerwise`, whose logs they have. The top one
        sees features and one-hot labels; its logs hold `reconstruction_error` and, with validation data,
        `val_top1_error` in percent, by free energy. What `fit_up_down` has learnt is dropped.

        Args:
            dataset: A pair of arrays, images (images, ...) in [0, 1] and integer labels (images,), or a tf.data.Dataset
                of batches of such pairs, shuffled as wanted; some 10,000 images per batch, as there.
            validation_data: Images and labels that are not trained on, of the same kind; none leaves their logs out.
            callbacks_for_layer: Function of the layer's index that returns a list of Keras callbacks for its `fit`.
            mean: Mean image, flattened (num_visible,). None means one pass over the data to find it.
            num_examples: Number of training images. None means one pass.
            first_layer: Index of the first machine to train; those below keep their weights.
            initial_epoch: Epochs that this first machine has had already, as there.
            verbose: As in `fit`.

        Returns:
            A list of Keras histories, one for each layer trained.
        """
        for data in (dataset, validation_data):
            labelled_data.check(data, self.num_classes)
        if mean is None or num_examples is None:
            num_examples, mean = count_and_mean(labelled_data.images_of(dataset), self._chunk(self.pretraining))
        self.net = None
        top, histories = len(self.rbms) - 1, []
        if first_layer < top:
            histories = self._stack.pretrain_layerwise(
                labelled_data.images_of(dataset),
                validation_data=None if validation_data is None else labelled_data.images_of(validation_data),
                callbacks_for_layer=callbacks_for_layer,
                mean=mean,
                num_examples=num_examples,
                first_layer=first_layer,
                initial_epoch=initial_epoch,
                verbose=verbose,
            )
        callbacks = list(callbacks_for_layer(top)) if callbacks_for_layer else []
        first_epoch = initial_epoch if first_layer == top else 0
        return [*histories, self._pretrain_top(dataset, validation_data, num_examples, first_epoch, callbacks, verbose)]

    def _pretrain_top(self, dataset, validation_data, num_examples, first_epoch, callbacks, verbose):
        config, top = self.pretraining, self.rbms[-1]
        top.compile(pretraining_optimizer(config, num_examples))
        chunk, order = self._chunk(config), self._seed("order top")
        return top.fit(
            labelled_data.mapped(dataset, self._features_and_labels, chunk, order, first_epoch),
            epochs=config.epochs,
            initial_epoch=first_epoch,
            callbacks=self._monitors(validation_data) + callbacks,
            shuffle=False,
            verbose=verbose,
        )

    def _features_and_labels(self, images, labels):
        features = self.encode(images)
        return ops.concatenate([features, ops.one_hot(labels, self.num_classes, dtype=features.dtype)], axis=-1)

    def _monitors(self, validation_data):
        if validation_data is None:
            return []
        return [labelled_data.LabelError(validation_data, lambda images: -self.free_energy_by_label(images))]

    def fit_up_down(self, dataset, validation_data=None, callbacks=(), num_examples=None, initial_epoch=0, verbose=0):
        """Trains all layers together by contrastive wake-sleep, with the hyper-parameters in `up_down`.

        The stages, which differ in their steps of Gibbs sampling, are parts of one `fit`: epochs are counted through. A
        net that was untied already is trained on from where it stands, with a new optimizer.

        Args:
            dataset: Images and labels, as in `pretrain_layerwise`.
            validation_data: Images and labels that are not trained on; none leaves `val_top1_error` out of the logs.
            callbacks: Keras callbacks; they see `reconstruction_error` and, in percent and by free energy,
                `val_top1_error`. Their model is `net`.
            num_examples: Number of training images, for the schedule of the learning rate. None means one pass.
            initial_epoch: Epochs that the net has had already: to go on with an interrupted training, after its
                callbacks have restored `net.variables` and `net.optimizer.variables` in `on_train_begin`. Arrays then
                come in the order that they would have had; a tf.data.Dataset has to see to that itself.
            verbose: As in `fit`.

        Returns:
            The Keras history.

        Raises:
            ValueError: The net has no weights yet, or there are not as many `epochs` as `gibbs_steps`.
        """
        config = self.up_down
        self._check_weights("fit_up_down")
        stages = GibbsStages(config.epochs, config.gibbs_steps)
        for data in (dataset, validation_data):
            labelled_data.check(data, self.num_classes)
        if num_examples is None:
            num_examples, _ = count_and_mean(labelled_data.images_of(dataset), self._chunk(config))
        if self.net is None:
            self._untie()
        self.net.compile(up_down_optimizer(config, num_examples))
        self.net.optimizer.build(self.net.trainable_variables)
        return self.net.fit(
            labelled_data.pairs(dataset, self._chunk(config), self._seed("order up-down"), initial_epoch),
            epochs=sum(config.epochs),
            initial_epoch=initial_epoch,
            callbacks=[stages, *self._monitors(validation_data), *callbacks],
            shuffle=False,
            verbose=verbose,
        )

    def _untie(self):
        """Gives recognition and generative weights a life of their own, both starting from the stack's."""
        net = self._new_net()
        net.build((None, self.num_visible))
        pairs = zip((*net.recognition, *net.generative), (*self.recognition, *self.generative), strict=True)
        for variables, values in (*pairs, (_weights_of(net.top), _weights_of(self.top))):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(ops.copy(ops.convert_to_tensor(value)))  # JAX's training deletes what two share
        self.net = net

    # Construction ------------------------------------------------------------------------------------------------

    def _new_net(self):
        return UpDownNet(
            self.hidden_units, self.num_classes, minibatch_size=self.up_down.batch_size, seed=self._seed("up-down")
        )

    def _make_top(self):
        config = self.pretraining
        same = (
            "gibbs_steps persistent temperatures sample_reconstruction sample_data centering sparsity_target "
            "sparsity_cost weight_stddev"
        )
        top = RBM(
            self.hidden_units[-1],
            label_units=self.num_classes,
            num_chains=config.batch_size,
            minibatch_size=config.batch_size,
            seed=self._seed("rbm top"),
            name="rbm_top",
            **{key: getattr(config, key) for key in same.split()},
        )
        top.build((None, self.hidden_units[-2] + self.num_classes))
        return top

    def _seed(self, use):
        return None if self.seed is None else zlib.crc32(f"{self.seed} {use}".encode()) >> 1

    @staticmethod
    def _chunk(config):
        return max(config.batch_size, CHUNK_ROWS // config.batch_size * config.batch_size)

    def _check_weights(self, wanted):
        if self.num_visible is None:
            raise ValueError(
                f"The net has no weights yet. Pass `num_visible`, or pretrain or load it before `{wanted}`."
            )

    # On disk -----------------------------------------------------------------------------------------------------

    def save(self, folder):
        """Writes `label_dbn.json` (what the net is) and `label_dbn.npz`: the stack and, once untied, the net.

        The arrays are kernel_0, visible_bias_0, hidden_bias_0, ... of the stack, the top machine's features before its
        labels; then recognition_kernel_0, recognition_bias_0, ..., generative_kernel_0, ... and top_kernel,
        top_visible_bias, top_hidden_bias of the net.
        """
        self._check_weights("save")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        description = {
            "hidden_units": self.hidden_units,
            "num_classes": self.num_classes,
            "num_visible": self.num_visible,
            "pretraining": asdict(self.pretraining),
            "up_down": asdict(self.up_down),
            "seed": self.seed,
        }
        weights = {key: variable.numpy() for key, variable in self._weights().items()}
        np.savez(folder / "label_dbn.npz", **weights)
        (folder / "label_dbn.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder):
        """Reads what `save` wrote."""
        folder = Path(folder)
        description = json.loads((folder / "label_dbn.json").read_text(encoding="utf-8"))
        up_down = {key: tuple(v) if isinstance(v, list) else v for key, v in description["up_down"].items()}
        description |= {"pretraining": RBMConfig(**description["pretraining"]), "up_down": UpDownConfig(**up_down)}
        dbn = cls(**description)
        with np.load(folder / "label_dbn.npz") as weights:
            if "top_kernel" in weights:
                dbn._untie()
            for key, variable in dbn._weights().items():
                variable.assign(weights[key])
        return dbn

    def _weights(self):
        """All variables by the names that they have on disk."""
        weights = {f"{key}_{i}": getattr(rbm, key) for i, rbm in enumerate(self.rbms) for key in _RBM_WEIGHTS}
        if self.net:
            for layer in (*self.net.recognition, *self.net.generative):
                weights |= {variable.name: variable for variable in layer}
            weights |= {f"top_{key}": getattr(self.net.top, key) for key in _RBM_WEIGHTS}
        return weights


def _weights_of(rbm):
    return [getattr(rbm, key) for key in _RBM_WEIGHTS]
