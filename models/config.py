"""Hyper-parameters of the models and of their training, as frozen dataclasses. Standard library only.

Each field's docstring entry is its help text on the command line; its metadata holds the range of its numbers and the
parts of a run that read it (`models.settings.setting`).
"""

from dataclasses import dataclass, field
from typing import Literal

from models.ranges import COUNT, COUNT_OR_ZERO, DROPPED, MOMENTUM, PENALTY, PIXELS, RATE, SHARE, Range
from models.settings import Reader, setting


@dataclass(frozen=True)
class RBMConfig:
    """Contrastive-divergence training of each layer of a deep belief net.

    Defaults are those of the code released with Hinton & Salakhutdinov, Science 313 (2006): `rbm.m`. Unlike that code,
    and as the practical guide recommends, the visible biases of the first layer start from the mean of the data.

    Args:
        epochs: Passes over the training images per layer; 0 leaves the layers untrained.
        batch_size: Images per update; the practical guide recommends 10 to 100.
        learning_rate: Step size along the contrastive-divergence gradient, averaged over the batch.
        gaussian_learning_rate: Learning rate of a layer with Gaussian visible or hidden units; the practical guide
            recommends one or two orders of magnitude less than for binary units, because nothing bounds the
            reconstructions.
        schedule: Learning rate over the epochs: "constant", or "linear", which lowers it to 0 by the last epoch, as a
            density model needs to settle.
        initial_momentum: Momentum in the first `momentum_switch_epochs` epochs.
        final_momentum: Momentum in the remaining epochs.
        momentum_switch_epochs: Number of epochs with the initial momentum.
        weight_cost: Coefficient of the L2 penalty on the kernel, inside the gradient; biases have no penalty.
        weight_stddev: Standard deviation of the initial kernel.
        hidden_type: Hidden units of every layer: "bernoulli", or "nrelu" for noisy rectified linear units.
        gibbs_steps: Gibbs steps per update: the k of CD-k.
        persistent: Whether the Gibbs chains continue from update to update (PCD) instead of starting at the data.
        temperatures: Number of temperatures between which persistent chains exchange their states (parallel
            tempering); 1 for plain persistent chains.
        sample_reconstruction: Whether the last states of a chain from the data are sampled; probabilities, the
            default, have less noise.
        sample_data: Whether pixels are probabilities from which binary pixels are sampled in every update, as a
            density of binary images needs.
        centering: Means that are subtracted from the units: those of the "data", or "enhanced" for those of data and
            model; none for no centering.
        sparsity_target: Mean activity, between 0 and 1, that hidden units are drawn to; none for no sparsity penalty.
        sparsity_cost: Coefficient of the sparsity penalty; above 0 if there is a sparsity target.
        learn_variance: Whether Gaussian visible units learn their variances; otherwise the variances are 1.
        coupling: Quantity that learned variances divide Gaussian visible units by: "variance" or "deviation", see
            `models.rbm.units`.
    """

    epochs: int = field(default=50, metadata=setting(COUNT_OR_ZERO))
    batch_size: int = field(default=100, metadata=setting(COUNT))
    learning_rate: float = field(default=0.1, metadata=setting(RATE, Reader.OTHER_LAYER))
    gaussian_learning_rate: float = field(default=0.001, metadata=setting(RATE, Reader.GAUSSIAN_LAYER))
    schedule: Literal["constant", "linear"] = "constant"
    initial_momentum: float = field(default=0.5, metadata=setting(MOMENTUM))
    final_momentum: float = field(default=0.9, metadata=setting(MOMENTUM))
    momentum_switch_epochs: int = field(default=5, metadata=setting(COUNT_OR_ZERO))
    weight_cost: float = field(default=2e-4, metadata=setting(PENALTY))
    weight_stddev: float = field(default=0.1, metadata=setting(RATE))
    hidden_type: Literal["bernoulli", "nrelu"] = "bernoulli"
    gibbs_steps: int = field(default=1, metadata=setting(COUNT))
    persistent: bool = False
    temperatures: int = field(default=1, metadata=setting(COUNT, Reader.BINARY_LAYER))
    sample_reconstruction: bool = field(default=False, metadata=setting(None, Reader.CHAINS_FROM_DATA))
    sample_data: bool = False
    centering: Literal["data", "enhanced"] | None = field(default=None, metadata=setting(None, Reader.BINARY_LAYER))
    sparsity_target: float | None = field(default=None, metadata=setting(SHARE))
    sparsity_cost: float = field(default=0.0, metadata=setting(PENALTY))
    learn_variance: bool = False
    coupling: Literal["variance", "deviation"] = field(
        default="variance", metadata=setting(None, Reader.LEARNED_VARIANCES)
    )


@dataclass(frozen=True)
class UpDownConfig:
    """Contrastive wake-sleep (up-down) training of a deep belief net with labels, after its greedy pretraining.

    Args:
        epochs: Passes over the training images in each stage.
        gibbs_steps: Gibbs steps in the top RBM in each stage; as many numbers as `epochs` has.
        batch_size: Images per update.
        learning_rate: Step size along the averaged statistics; the paper does not publish its own.
        momentum: Momentum of the updates.
        weight_cost: Coefficient of the L2 penalty on all kernels, inside the gradient; biases have no penalty.
        schedule: Learning rate over the epochs: "constant", or "linear", which lowers it to 0 by the end of the last
            stage.

    Source: Hinton, Osindero & Teh, Neural Computation 18 (2006), section 6: 3, 6 and 10 steps, 100 epochs each.
    """

    epochs: tuple[int, ...] = field(default=(100, 100, 100), metadata=setting(COUNT_OR_ZERO))
    gibbs_steps: tuple[int, ...] = field(default=(3, 6, 10), metadata=setting(COUNT))
    batch_size: int = field(default=100, metadata=setting(COUNT))
    learning_rate: float = field(default=0.01, metadata=setting(RATE))
    momentum: float = field(default=0.0, metadata=setting(MOMENTUM))
    weight_cost: float = field(default=0.0, metadata=setting(PENALTY))
    schedule: Literal["constant", "linear"] = "constant"


@dataclass(frozen=True)
class PartitionConfig:
    """Annealed importance sampling of the partition function of an RBM.

    Args:
        chains: Number of independent chains, as many forward as in reverse; at least 2, for a standard error.
        temperatures: Number of intermediate distributions, spaced as in Salakhutdinov & Murray, ICML 2008: 1 part of
            29 up to an inverse temperature of 0.5, 8 parts up to 0.9, 20 parts up to 1.
    """

    chains: int = field(default=100, metadata=setting(Range(2)))
    temperatures: int = field(default=14500, metadata=setting(Range(3)))


@dataclass(frozen=True)
class DBNConfig:
    """A deep belief net, pretrained layer by layer and then trained to its objective.

    Args:
        family: Name of the family of models; always "dbn".
        objective: Purpose of the model. "classification": the net is unrolled into a classifier and trained by
            back-propagation. "joint": labels are units of the top RBM, the net is trained by up-down and classifies by
            free energy. "reconstruction": the net is unrolled into an autoencoder with a linear code in its last
            layer. "density": the net is one RBM, whose log-probabilities are estimated by annealed importance
            sampling.
        image_size: Height and width, in pixels, that every image is resized to.
        channels: Channels of an image: 1 for grey, 3 for RGB.
        visible_type: Visible units: "bernoulli" for pixels in [0, 1], "gaussian" for standardised pixels.
        hidden_units: Number of hidden units of each layer, from the bottom up.
        pretraining: Pretraining of each layer as an RBM.
        up_down: Training by up-down, for the objective "joint".
        partition: Estimate of log-probabilities, for the objective "density".

    Example:
        >>> net = DBNConfig(image_size=(8, 8), hidden_units=(200, 200))
        >>> net.objective, net.pretraining.epochs
        ('classification', 50)
    """

    family: Literal["dbn"] = "dbn"
    objective: Literal["classification", "joint", "reconstruction", "density"] = "classification"
    image_size: tuple[int, int] = field(default=(28, 28), metadata=setting(PIXELS))
    channels: Literal[1, 3] = 1
    visible_type: Literal["bernoulli", "gaussian"] = "bernoulli"
    hidden_units: tuple[int, ...] = field(default=(500, 500, 2000), metadata=setting(COUNT))
    pretraining: RBMConfig = field(default_factory=RBMConfig)
    up_down: UpDownConfig = field(default_factory=UpDownConfig, metadata=setting(None, Reader.UP_DOWN))
    partition: PartitionConfig = field(default_factory=PartitionConfig, metadata=setting(None, Reader.DENSITY))


@dataclass(frozen=True)
class AugmentationConfig:
    """Random changes to the training images, drawn anew in every epoch.

    Args:
        mirror: Whether half of the images are mirrored left to right.
        color_noise: Standard deviation of the factor by which each principal component of the colours is added to an
            image, in units of that component's standard deviation over all training pixels; 0 for no noise.
        resized_crop: Whether a crop covers 8 to 100 % of the image's area, has an aspect ratio between 3:4 and 4:3,
            and is resized to the crop size; otherwise it is cut in the crop size.
        mixup: Both parameters of the Beta distribution from which the share of a second image in each image is drawn;
            0 for no mixup.

    Source: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 4.1: mirrored, 0.1. Szegedy et al., CVPR 2015: resized
    crops. Zhang et al., ICLR 2018: mixup.
    """

    mirror: bool = True
    color_noise: float = field(default=0.1, metadata=setting(Range(0, 10)))
    resized_crop: bool = False
    mixup: float = field(default=0.0, metadata=setting(Range(0, 100)))


@dataclass(frozen=True)
class PatchConfig:
    """Pretraining of convolution kernels, from the bottom up, by RBMs on patches of the inputs of each layer.

    Args:
        patches: Number of patches per layer; 0 for no pretraining.
        contrast: Normalisation of each patch before whitening: "full" subtracts its mean and divides by its standard
            deviation, "mean" subtracts its mean only.
        deviation: Standard deviation that the output of every layer is scaled to.
    """

    patches: int = field(default=0, metadata=setting(COUNT_OR_ZERO))
    contrast: Literal["full", "mean"] = "full"
    deviation: float = field(default=1.0, metadata=setting(RATE))


@dataclass(frozen=True)
class AlexNetConfig:
    """The convolutional net of 2012 and its relatives, see `models.alexnet`.

    Args:
        family: Name of the family of models; always "alexnet".
        objective: Purpose of the model; always "classification".
        variant: Architecture: "paper" as published; "ungrouped", without groups; "owt", one column, of 2014; "bn", with
            batch normalisation; "small", ours, for images under 100 pixels; "torchvision", for the weights of that
            library: "owt" without response normalisation, padded by 2, for colours scaled by ImageNet's statistics and
            crops of 224 x 224.
        image_size: Height and width, in pixels, that every image is resized to.
        crop_size: Height and width, in pixels, of the part of an image that enters the net: a random part in training,
            the centre in inference.
        channels: Channels of an image; always 3, for RGB.
        dropout: Share of the outputs of the first two fully connected layers that is dropped in training; none for the
            share that belongs to the variant, see `models.alexnet`.
        augmentation: Random changes to the training images.
        pretraining: Pretraining of the kernels by RBMs.
        initial_weights: File of initial weights, in Keras' format or a NumPy archive in torchvision's layout; none for
            random weights.

    Example:
        >>> AlexNetConfig(variant="small", image_size=(64, 64), crop_size=(56, 56)).augmentation.mirror
        True
    """

    family: Literal["alexnet"] = "alexnet"
    objective: Literal["classification"] = "classification"
    variant: Literal["paper", "ungrouped", "owt", "bn", "small", "torchvision"] = "paper"
    image_size: tuple[int, int] = field(default=(256, 256), metadata=setting(PIXELS))
    crop_size: tuple[int, int] = field(default=(227, 227), metadata=setting(PIXELS))
    channels: Literal[3] = 3
    dropout: float | None = field(default=None, metadata=setting(DROPPED))
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    pretraining: PatchConfig = field(default_factory=PatchConfig)
    initial_weights: str | None = None


@dataclass(frozen=True)
class TrainingConfig:
    """Training of a classifier or an autoencoder by back-propagation.

    Args:
        epochs: Passes over the training images.
        batch_size: Images per update.
        learning_rate: Initial learning rate of SGD.
        momentum: Momentum of SGD.
        weight_cost: Coefficient of the L2 penalty on kernels, inside the gradient; biases have no penalty.
        input_dropout: Share of the visible units that is dropped at random, per image and update.
        hidden_dropout: Share of the units of every hidden layer that is dropped at random, per image and update.
        max_norm: Largest norm of the incoming weights of a hidden unit, enforced after every update; none for no
            limit.
        schedule: Learning rate over the epochs. "cosine" lowers it to 0 by the last epoch. "plateau" divides it by 10,
            three times at most, when the validation error has not fallen for `plateau_epochs` epochs. "constant" keeps
            it.
        plateau_epochs: Number of epochs without a better validation error after which "plateau" lowers the learning
            rate.
        warmup_epochs: Number of epochs at the start in which the learning rate of "cosine" rises from 0.
        accumulation: Number of batches whose gradients are averaged for one update.
        averaging: Decay of the moving average of the weights, updated after every update, that becomes the model at
            the end, such as 0.999; 0 for the weights of the best epoch.
        label_smoothing: Share of a label that is spread evenly over all classes.
        label_share: Share of the training images of every class whose labels are used, at least one image each;
            pretraining uses all images. The images of a smaller share are among those of a larger share.
        top_layer_epochs: Number of epochs at the start in which only the output layer is updated.
        patience: Number of epochs without a better validation error after which training stops; 0 trains for all
            epochs. The model keeps the weights of the epoch with the best validation error, unless it is trained on
            the validation images.
        use_validation: Whether to train on the validation images too, for a final fit after every choice was made on
            validation.

    Example:
        >>> TrainingConfig(epochs=60, learning_rate=0.3).schedule
        'cosine'
    """

    epochs: int = field(default=40, metadata=setting(COUNT, Reader.BACK_PROPAGATION))
    batch_size: int = field(default=100, metadata=setting(COUNT, Reader.BACK_PROPAGATION))
    learning_rate: float = field(default=0.1, metadata=setting(RATE, Reader.BACK_PROPAGATION))
    momentum: float = field(default=0.9, metadata=setting(MOMENTUM, Reader.BACK_PROPAGATION))
    weight_cost: float = field(default=0.0, metadata=setting(PENALTY, Reader.BACK_PROPAGATION))
    input_dropout: float = field(default=0.0, metadata=setting(DROPPED, Reader.DBN, Reader.CLASSIFIER))
    hidden_dropout: float = field(default=0.0, metadata=setting(DROPPED, Reader.DBN, Reader.CLASSIFIER))
    max_norm: float | None = field(default=None, metadata=setting(RATE, Reader.DBN, Reader.CLASSIFIER))
    schedule: Literal["cosine", "plateau", "constant"] = field(
        default="cosine", metadata=setting(None, Reader.BACK_PROPAGATION)
    )
    plateau_epochs: int = field(default=5, metadata=setting(COUNT, Reader.BACK_PROPAGATION, Reader.PLATEAU))
    warmup_epochs: int = field(default=0, metadata=setting(COUNT_OR_ZERO, Reader.BACK_PROPAGATION))
    accumulation: int = field(default=1, metadata=setting(COUNT, Reader.BACK_PROPAGATION))
    averaging: float = field(default=0.0, metadata=setting(DROPPED, Reader.BACK_PROPAGATION))
    label_smoothing: float = field(default=0.0, metadata=setting(DROPPED, Reader.ALEXNET))
    label_share: float = field(default=1.0, metadata=setting(Range(0, 1, open_low=True), Reader.CLASSIFIER))
    top_layer_epochs: int = field(default=0, metadata=setting(COUNT_OR_ZERO, Reader.DBN, Reader.CLASSIFIER))
    patience: int = field(default=0, metadata=setting(COUNT_OR_ZERO, Reader.BACK_PROPAGATION))
    use_validation: bool = False
