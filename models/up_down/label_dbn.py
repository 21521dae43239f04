"""Deep belief net with labels: greedy stack, up-down fine-tuning, classification by free energy, generation."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from models.config import RBMConfig, UpDownConfig
from models.dbn import CHUNK_ROWS, DBN, check_has_weights
from models.fitting.chunks import chunk_rows, count_and_mean, flatten
from models.fitting.sgd import pretraining_optimizer
from models.rbm import RBM
from models.rbm.options import BINARY_VISIBLE, options_from
from models.seeds import derived_seed
from models.types import Dataset, DirectedLayer, Shape, Tensor
from models.up_down import labelled_data
from models.up_down.generation import generate_images
from models.up_down.label_free_energy import free_energy_classifier
from models.up_down.monitors import ValidationTop1Error
from models.up_down.net import UpDownNet, probabilities
from models.up_down.schedule import GibbsStages, up_down_optimizer

_RBM_WEIGHTS = ("kernel", "visible_bias", "hidden_bias")


class LabelDBN:
    """Deep belief net whose top RBM learns the joint distribution of features and labels.

    `pretrain_layerwise` trains a stack of RBMs, the top one on features and one-hot labels side by side; `fit_up_down`
    then unties the recognition weights from the generative weights and trains all of them together. Until then both are
    the weights of the stack. `models.up_down.net.UpDownNet` describes which states an update samples.

    Args:
        hidden_units: Units per hidden layer, bottom up, at least two layers; the last are the top RBM's hidden units.
        num_classes: Number of labels, at least 2.
        num_visible: Length of the flattened image, height x width x channels; None means that of the first data.
        pretraining: Training of every RBM; None means the defaults of `RBMConfig`.
        up_down: Training of the net afterwards; None means the defaults of `UpDownConfig`.
        seed: Integer that determines initial weights, sampling and, for arrays, the order of images; None means a
            random one.

    Attributes:
        rbms: RBMs of the stack, bottom up; the last has `num_classes` label units.
        net: The `UpDownNet` that `fit_up_down` trains; None before.

    Raises:
        ValueError: There are fewer than two layers or classes, or the units are not binary.

    Example:
        >>> images, labels = np.eye(4, dtype="float32"), np.array([0, 1, 0, 1])
        >>> dbn = LabelDBN(hidden_units=(3, 2), num_classes=2, num_visible=4, seed=1)
        >>> histories = dbn.pretrain_layerwise((images, labels))  # doctest: +SKIP
        >>> history = dbn.fit_up_down((images, labels))  # doctest: +SKIP
        >>> [tuple(x.shape) for x in (dbn.predict_proba(images), dbn.generate(3, gibbs_steps=5, label=1))]
        [(4, 2), (3, 4)]

    Source: Hinton, Osindero & Teh, A Fast Learning Algorithm for Deep Belief Nets, Neural Computation 18 (2006).
    """

    def __init__(
        self,
        hidden_units: Sequence[int] = (500, 500, 2000),
        num_classes: int = 10,
        num_visible: int | None = None,
        pretraining: RBMConfig | None = None,
        up_down: UpDownConfig | None = None,
        seed: int | None = None,
    ) -> None:
        self.hidden_units = tuple(hidden_units)
        self.num_classes = num_classes
        self.pretraining = pretraining or RBMConfig()
        self.up_down = up_down or UpDownConfig()
        self.seed = seed
        if self.pretraining.hidden_type != "bernoulli":
            raise ValueError(
                'a net with labels requires binary layers; set hidden_type="bernoulli"; '
                f'received hidden_type="{self.pretraining.hidden_type}"'
            )
        self._new_net()  # raises on layers that cannot be untied, before hours of pretraining
        self._stack = DBN(self.hidden_units[:-1], num_visible, pretraining=self.pretraining, seed=seed)
        self.rbms = [*self._stack.rbms, self._make_top()]
        self.net: UpDownNet | None = None

    @property
    def num_visible(self) -> int | None:
        """Length of the flattened image; None until the first data."""
        return self._stack.num_visible

    @property
    def top(self) -> RBM:
        """RBM of features and labels: the stack's until the weights are untied, then the net's."""
        return self.net.top if self.net else self.rbms[-1]

    @property
    def recognition(self) -> list[DirectedLayer]:
        """(kernel, bias) of every directed layer going up, bottom up."""
        return self.net.recognition if self.net else [(rbm.kernel, rbm.hidden_bias) for rbm in self._stack.rbms]

    @property
    def generative(self) -> list[DirectedLayer]:
        """(kernel, bias) of every directed layer going down, bottom up."""
        if self.net:
            return self.net.generative
        return [(ops.transpose(rbm.kernel), rbm.visible_bias) for rbm in self._stack.rbms]

    # Inference ---------------------------------------------------------------------------------------------------

    def encode(self, visible: Tensor) -> Tensor:
        """Returns the probabilities of the highest features, without sampling.

        Args:
            visible: Images (batch, height, width, channels) in [0, 1], or flattened (batch, num_visible).

        Returns:
            Shape (batch, hidden_units[-2]).
        """
        check_has_weights(self.num_visible, "encode")
        states = ops.cast(flatten(visible), self.top.compute_dtype)
        for layer in self.recognition:
            states = probabilities(states, layer)
        return states

    def free_energy_by_label(self, visible: Tensor) -> Tensor:
        """Returns the exact free energy of the top RBM for the features of images with each label, in nats.

        Images are as in `encode`; the shape is (batch, num_classes). The label of the lowest is the most probable.
        """
        return self.top.free_energy_by_label(self.encode(visible))

    def predict_proba(self, visible: Tensor) -> Tensor:
        """Returns p(label | features of the image): shape (batch, num_classes), from images as in `encode`."""
        return ops.softmax(-self.free_energy_by_label(visible))

    def generate(self, num_samples: int, gibbs_steps: int = 1000, label: Any = None) -> Tensor:
        """Generates images: Gibbs sampling in the top RBM, then one pass down.

        Every state is sampled, down to the lowest features, so that with many steps the images follow the model.

        Args:
            num_samples: Number of images, each from its own chain that starts from random features.
            gibbs_steps: Steps of every chain, at least 0; the paper uses 1,000.
            label: Class that is held fixed, one for all or one for each image; None lets the chains choose.

        Returns:
            Pixel probabilities, shape (num_samples, num_visible).

        Raises:
            ValueError: A label does not exist, or the net has no weights yet.

        Source: Hinton, Osindero & Teh 2006, section 7.
        """
        check_has_weights(self.num_visible, "generate")
        return generate_images(self.top, self.generative, num_samples, gibbs_steps, label)

    def classifier(self, image_shape: Shape | None = None) -> keras.Model:
        """Builds a plain classifier with a copy of this net's weights.

        Args:
            image_shape: (height, width, channels) of its input, flattened row by row; None means flat input
                (num_visible,).

        Returns:
            A `keras.Model` of logistic layers "h1", "h2", ... and a `LabelFreeEnergy` "logits": (batch, num_classes),
            minus `free_energy_by_label` up to a number for each image.

        Raises:
            ValueError: The net has no weights yet, or the image does not fit.
        """
        check_has_weights(self.num_visible, "classifier")
        return free_energy_classifier(self.recognition, self.top, image_shape)

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

        The lower RBMs see images only, with the logs of `models.dbn.DBN.pretrain_layerwise`. The top RBM sees features
        and one-hot labels; its logs hold `reconstruction_error` and, with validation data, `val_top1_error` in percent,
        by free energy. Weights learned by `fit_up_down` are discarded.

        Args:
            dataset: A pair of arrays, images (images, ...) in [0, 1] and integer labels (images,), or a tf.data.Dataset
                of batches of such pairs, already shuffled; some 10,000 images per batch, as in `DBN`.
            validation_data: Images and labels that are not trained on, of the same kind; None omits their logs.
            callbacks_for_layer: Function of the layer's index that returns a list of Keras callbacks for its `fit`.
            mean: Mean image, flattened (num_visible,). None means one pass over the data to find it.
            num_examples: Number of training images. None means one pass.
            first_layer: Index of the first RBM to train; the RBMs below it keep their weights.
            initial_epoch: Epochs that this first RBM has already had, as in `DBN`.
            verbose: Verbosity as in `fit`.

        Returns:
            A list of Keras histories, one for each layer trained.
        """
        for data in (dataset, validation_data):
            labelled_data.check(data, self.num_classes)
        if mean is None or num_examples is None:
            chunk = chunk_rows(self.pretraining.batch_size, CHUNK_ROWS)
            num_examples, mean = count_and_mean(labelled_data.images_of(dataset), chunk)
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

    def _pretrain_top(
        self,
        dataset: Dataset,
        validation_data: Dataset | None,
        num_examples: int,
        first_epoch: int,
        callbacks: list[keras.callbacks.Callback],
        verbose: Any,
    ) -> keras.callbacks.History:
        config, top = self.pretraining, self.rbms[-1]
        top.compile(pretraining_optimizer(config, num_examples))
        chunk, order = chunk_rows(config.batch_size, CHUNK_ROWS), derived_seed(self.seed, "order top")
        return top.fit(
            labelled_data.mapped(dataset, self._features_and_labels, chunk, order, first_epoch),
            epochs=config.epochs,
            initial_epoch=first_epoch,
            callbacks=self._monitors(validation_data) + callbacks,
            shuffle=False,
            verbose=verbose,
        )

    def _features_and_labels(self, images: Tensor, labels: Tensor) -> Tensor:
        features = self.encode(images)
        return ops.concatenate([features, ops.one_hot(labels, self.num_classes, dtype=features.dtype)], axis=-1)

    def _monitors(self, validation_data: Dataset | None) -> list[keras.callbacks.Callback]:
        if validation_data is None:
            return []
        return [ValidationTop1Error(validation_data, lambda images: -self.free_energy_by_label(images))]

    def fit_up_down(
        self,
        dataset: Dataset,
        validation_data: Dataset | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        num_examples: int | None = None,
        initial_epoch: int = 0,
        verbose: Any = 0,
    ) -> keras.callbacks.History:
        """Trains all layers together by contrastive wake-sleep, with the hyper-parameters in `up_down`.

        The stages, which differ in their Gibbs steps, are parts of one `fit` that counts epochs through. A net that is
        already untied is trained further from its current weights, with a new optimizer.

        Args:
            dataset: Images and labels, as in `pretrain_layerwise`.
            validation_data: Images and labels that are not trained on; None omits `val_top1_error` from the logs.
            callbacks: Keras callbacks; their logs hold `reconstruction_error` and, in percent and by free energy,
                `val_top1_error`. Their model is `net`.
            num_examples: Number of training images, for the schedule of the learning rate. None means one pass.
            initial_epoch: Epochs that the net has already had, to resume an interrupted training after its callbacks
                have restored `net.variables` and `net.optimizer.variables` in `on_train_begin`. Arrays then come in the
                order of the uninterrupted training; a tf.data.Dataset has to ensure that itself.
            verbose: Verbosity as in `fit`.

        Returns:
            The Keras history.

        Raises:
            ValueError: The net has no weights yet, or `epochs` and `gibbs_steps` differ in length.
        """
        config = self.up_down
        check_has_weights(self.num_visible, "fit_up_down")
        stages, chunk = GibbsStages(config.epochs, config.gibbs_steps), chunk_rows(config.batch_size, CHUNK_ROWS)
        for data in (dataset, validation_data):
            labelled_data.check(data, self.num_classes)
        if num_examples is None:
            num_examples, _ = count_and_mean(labelled_data.images_of(dataset), chunk)
        net = self.net or self.untie()
        net.compile(up_down_optimizer(config, num_examples))
        net.optimizer.build(net.trainable_variables)
        return net.fit(
            labelled_data.pairs(dataset, chunk, derived_seed(self.seed, "order up-down"), initial_epoch),
            epochs=sum(config.epochs),
            initial_epoch=initial_epoch,
            callbacks=[stages, *self._monitors(validation_data), *callbacks],
            shuffle=False,
            verbose=verbose,
        )

    def untie(self) -> UpDownNet:
        """Sets and returns `net`: separate recognition and generative weights that start from the current weights."""
        net = self._new_net()
        net.build((None, self.num_visible))
        pairs = zip((*net.recognition, *net.generative), (*self.recognition, *self.generative), strict=True)
        for variables, values in (*pairs, (_weights_of(net.top), _weights_of(self.top))):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(ops.copy(ops.convert_to_tensor(value)))  # JAX's training deletes shared buffers
        self.net = net
        return net

    # Construction ------------------------------------------------------------------------------------------------

    def _new_net(self) -> UpDownNet:
        seed = derived_seed(self.seed, "up-down")
        return UpDownNet(self.hidden_units, self.num_classes, minibatch_size=self.up_down.batch_size, seed=seed)

    def _make_top(self) -> RBM:
        batch_size = self.pretraining.batch_size
        top = RBM(
            self.hidden_units[-1],
            label_units=self.num_classes,
            num_chains=batch_size,
            minibatch_size=batch_size,
            seed=derived_seed(self.seed, "rbm top"),
            name="rbm_top",
            **options_from(self.pretraining) | BINARY_VISIBLE,
        )
        top.build((None, self.hidden_units[-2] + self.num_classes))
        return top

    # On disk -----------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Writes `label_dbn.json` (arguments of the constructor) and `label_dbn.npz` (weights).

        The arrays are kernel_0, visible_bias_0, hidden_bias_0, ... of the stack, the top RBM's features before its
        labels; then recognition_kernel_0, recognition_bias_0, ..., generative_kernel_0, ... and top_kernel,
        top_visible_bias, top_hidden_bias of the net.
        """
        check_has_weights(self.num_visible, "save")
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
    def load(cls, folder: str | Path) -> "LabelDBN":
        """Reads the files that `save` wrote."""
        folder = Path(folder)
        description = json.loads((folder / "label_dbn.json").read_text(encoding="utf-8"))
        up_down: dict[str, Any] = description["up_down"]
        up_down = {key: tuple(v) if isinstance(v, list) else v for key, v in up_down.items()}
        description |= {"pretraining": RBMConfig(**description["pretraining"]), "up_down": UpDownConfig(**up_down)}
        dbn = cls(**description)
        with np.load(folder / "label_dbn.npz") as weights:
            if "top_kernel" in weights:
                dbn.untie()
            for key, variable in dbn._weights().items():
                variable.assign(weights[key])
        return dbn

    def _weights(self) -> dict[str, keras.Variable]:
        """All variables by their names on disk."""
        weights = {f"{key}_{i}": getattr(rbm, key) for i, rbm in enumerate(self.rbms) for key in _RBM_WEIGHTS}
        if self.net:
            for layer in (*self.net.recognition, *self.net.generative):
                weights |= {variable.name: variable for variable in layer}
            weights |= {f"top_{key}": getattr(self.net.top, key) for key in _RBM_WEIGHTS}
        return weights


def _weights_of(rbm: RBM) -> list[keras.Variable]:
    return [getattr(rbm, key) for key in _RBM_WEIGHTS]
