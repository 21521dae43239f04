"""Hyper-parameters of the models and of their training, as frozen dataclasses. Standard library only."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class RBMConfig:
    """Contrastive-divergence training of every layer of a deep belief net.

    Defaults are those of the code released with Hinton & Salakhutdinov, Science 313 (2006): `rbm.m`.

    Args:
        epochs: Passes over the training images per layer.
        batch_size: Images per parameter update; the practical guide says 10 to 100.
        learning_rate: Step along the contrastive-divergence gradient, averaged over the batch.
        gaussian_learning_rate: The same for a layer with Gaussian visible units; the practical guide says one or two
            orders of magnitude smaller, since nothing bounds their reconstructions.
        initial_momentum: Momentum during the first `momentum_switch_epochs` epochs.
        final_momentum: Momentum afterwards.
        momentum_switch_epochs: Epochs before momentum rises.
        weight_cost: L2 penalty on the kernel, inside the gradient; never on biases.
        weight_stddev: Standard deviation of the initial kernel.
        gibbs_steps: k of CD-k.
        persistent: Whether the chains live on between updates (PCD).
    """

    epochs: int = 50
    batch_size: int = 100
    learning_rate: float = 0.1
    gaussian_learning_rate: float = 0.001
    initial_momentum: float = 0.5
    final_momentum: float = 0.9
    momentum_switch_epochs: int = 5
    weight_cost: float = 2e-4
    weight_stddev: float = 0.1
    gibbs_steps: int = 1
    persistent: bool = False


@dataclass(frozen=True)
class DBNConfig:
    """A deep belief net, pretrained layer by layer and unrolled into a classifier.

    Args:
        family: Names the kind of model; always "dbn".
        image_size: Height and width in pixels that every image is brought to.
        channels: 1 for grey images, 3 for RGB.
        visible_type: "bernoulli" for pixels in [0, 1]; "gaussian" for standardised pixels.
        hidden_units: Units per layer, bottom up.
        pretraining: How each layer is trained as an RBM.
    """

    family: Literal["dbn"] = "dbn"
    image_size: tuple[int, int] = (28, 28)
    channels: Literal[1, 3] = 1
    visible_type: Literal["bernoulli", "gaussian"] = "bernoulli"
    hidden_units: tuple[int, ...] = (500, 500, 2000)
    pretraining: RBMConfig = field(default_factory=RBMConfig)


@dataclass(frozen=True)
class TrainingConfig:
    """Supervised training of a classifier by back-propagation.

    Args:
        epochs: Passes over the training images.
        batch_size: Images per update.
        learning_rate: Initial learning rate of SGD.
        momentum: Momentum of SGD.
        weight_cost: L2 penalty on kernels, inside the gradient; never on biases.
        schedule: "cosine" lets the learning rate fall to 0 over all epochs; "constant" keeps it.
        top_layer_epochs: Epochs at the start that update the output layer only.
        patience: Stop after this many epochs without a better validation error; 0 trains all epochs. The weights
            kept are those of the best epoch on validation, unless validation images are trained on.
        use_validation: Train on train + validation. For a final fit, after every choice was made on validation.
    """

    epochs: int = 40
    batch_size: int = 100
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_cost: float = 0.0
    schedule: Literal["cosine", "constant"] = "cosine"
    top_layer_epochs: int = 0
    patience: int = 0
    use_validation: bool = False
