"""Hyper-parameters of the models and of their training, as frozen dataclasses. Standard library only."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class RBMConfig:
    """Contrastive-divergence training of every layer of a deep belief net.

    Defaults are those of the code released with Hinton & Salakhutdinov, Science 313 (2006): `rbm.m`. Unlike there, the
    first layer's visible biases start from the data's mean, as the practical guide says.

    Args:
        epochs: Passes over the training images per layer.
        batch_size: Images per parameter update; the practical guide says 10 to 100.
        learning_rate: Step along the contrastive-divergence gradient, averaged over the batch.
        gaussian_learning_rate: The same for a layer with Gaussian units on either side; the practical guide says one or
            two orders of magnitude smaller, since nothing bounds their reconstructions.
        schedule: "linear" lets the learning rate fall to 0 over all epochs, which a density model needs to settle;
            "constant" keeps it.
        initial_momentum: Momentum during the first `momentum_switch_epochs` epochs.
        final_momentum: Momentum afterwards.
        momentum_switch_epochs: Epochs before momentum rises.
        weight_cost: L2 penalty on the kernel, inside the gradient; never on biases.
        weight_stddev: Standard deviation of the initial kernel.
        hidden_type: "bernoulli", or "nrelu" for noisy rectified linear units, of every layer.
        gibbs_steps: k of CD-k.
        persistent: Whether the chains live on between updates (PCD).
        temperatures: Temperatures of persistent chains that exchange their states (parallel tempering); 1 for none.
        sample_reconstruction: Whether the last states of CD are sampled; as probabilities they have less noise.
        sample_data: Whether pixels are probabilities from which binary ones are drawn anew in every update, which a
            density of binary images needs.
        centering: None, or statistics about the means of the "data" or, "enhanced", of data and model.
        sparsity_target: Mean activity that hidden units are drawn to; none for no such pull.
        sparsity_cost: Strength of that pull, above 0 where there is a target.
        learn_variance: Whether Gaussian visible units learn their variances.
        coupling: Of Gaussian visible units with learned variances, "variance" or "deviation": see `models.rbm.units`.
    """

    epochs: int = 50
    batch_size: int = 100
    learning_rate: float = 0.1
    gaussian_learning_rate: float = 0.001
    schedule: Literal["constant", "linear"] = "constant"
    initial_momentum: float = 0.5
    final_momentum: float = 0.9
    momentum_switch_epochs: int = 5
    weight_cost: float = 2e-4
    weight_stddev: float = 0.1
    hidden_type: Literal["bernoulli", "nrelu"] = "bernoulli"
    gibbs_steps: int = 1
    persistent: bool = False
    temperatures: int = 1
    sample_reconstruction: bool = False
    sample_data: bool = False
    centering: Literal["data", "enhanced"] | None = None
    sparsity_target: float | None = None
    sparsity_cost: float = 0.0
    learn_variance: bool = False
    coupling: Literal["variance", "deviation"] = "variance"


@dataclass(frozen=True)
class UpDownConfig:
    """Contrastive wake-sleep training of a deep belief net with labels, after its greedy pretraining.

    Args:
        epochs: Passes over the training images in each stage.
        gibbs_steps: Steps of Gibbs sampling in the top machine in each stage; as many as there are stages.
        batch_size: Images per update.
        learning_rate: Step along the averaged statistics. The paper does not publish its own.
        momentum: Momentum of the updates.
        weight_cost: L2 penalty on all kernels, inside the gradient; never on biases.
        schedule: "linear" lets the learning rate fall to 0 over all stages; "constant" keeps it.

    Source: Hinton, Osindero & Teh, Neural Computation 18 (2006), section 6: 3, 6 and 10 steps, 100 epochs each.
    """

    epochs: tuple[int, ...] = (100, 100, 100)
    gibbs_steps: tuple[int, ...] = (3, 6, 10)
    batch_size: int = 100
    learning_rate: float = 0.01
    momentum: float = 0.0
    weight_cost: float = 0.0
    schedule: Literal["constant", "linear"] = "constant"


@dataclass(frozen=True)
class PartitionConfig:
    """Annealed importance sampling of a machine's partition function.

    Args:
        chains: Independent runs, forward and as many in reverse.
        temperatures: Intermediate distributions, spaced as in Salakhutdinov & Murray 2008: 1 part of 29 up to
            beta 0.5, 8 parts up to 0.9, 20 parts up to 1.
    """

    chains: int = 100
    temperatures: int = 14500


@dataclass(frozen=True)
class DBNConfig:
    """A deep belief net, pretrained layer by layer and then fitted to its objective.

    Args:
        family: Names the kind of model; always "dbn".
        objective: What it is for. "classification": unrolled into a classifier, fitted by back-propagation. "joint":
            labels are units of the top machine, fitted by up-down, classified by free energy. "reconstruction":
            unrolled into an autoencoder whose code is the last layer, linear. "density": one machine, whose
            log-probabilities are estimated by annealed importance sampling.
        image_size: Height and width in pixels that every image is brought to.
        channels: 1 for grey images, 3 for RGB.
        visible_type: "bernoulli" for pixels in [0, 1]; "gaussian" for standardised pixels.
        hidden_units: Units per layer, bottom up.
        pretraining: How each layer is trained as an RBM.
        up_down: How the net is fitted when its objective is "joint".
        partition: How log-probabilities are estimated when the objective is "density".
    """

    family: Literal["dbn"] = "dbn"
    objective: Literal["classification", "joint", "reconstruction", "density"] = "classification"
    image_size: tuple[int, int] = (28, 28)
    channels: Literal[1, 3] = 1
    visible_type: Literal["bernoulli", "gaussian"] = "bernoulli"
    hidden_units: tuple[int, ...] = (500, 500, 2000)
    pretraining: RBMConfig = field(default_factory=RBMConfig)
    up_down: UpDownConfig = field(default_factory=UpDownConfig)
    partition: PartitionConfig = field(default_factory=PartitionConfig)


@dataclass(frozen=True)
class AugmentationConfig:
    """What is changed at random in every training image, anew in every epoch.

    Args:
        mirror: Whether half of the images are mirrored left to right.
        color_noise: Standard deviation of the factor by which each principal component of the colours is added, in
            units of that component's standard deviation over all training pixels; 0 for none.
        resized_crop: Whether a crop has 8 to 100 % of the image's area and sides of 3:4 to 4:3, resized; else it is of
            the crop size, anywhere in the image.
        mixup: Both parameters of the Beta distribution of the share of a second image in each image; 0 for none.

    Source: Krizhevsky, Sutskever & Hinton, NIPS 2012, section 4.1: mirrored, 0.1. Szegedy et al., CVPR 2015: resized
    crops. Zhang et al., ICLR 2018: mixup.
    """

    mirror: bool = True
    color_noise: float = 0.1
    resized_crop: bool = False
    mixup: float = 0.0


@dataclass(frozen=True)
class PatchConfig:
    """Pretraining of convolution kernels by RBMs on patches of what each layer sees, bottom up.

    Args:
        patches: Per layer; 0 leaves the kernels as they are initialised.
        contrast: What is taken out of each patch before whitening: its mean and scale ("full") or its "mean".
        deviation: Standard deviation that every layer's output is scaled to.
    """

    patches: int = 0
    contrast: Literal["full", "mean"] = "full"
    deviation: float = 1.0


@dataclass(frozen=True)
class AlexNetConfig:
    """The convolutional net of 2012 and its relatives, see `models.alexnet`.

    Args:
        family: Names the kind of model; always "alexnet".
        objective: What it is for; always "classification".
        variant: "paper" as published; "ungrouped"; "owt", one column of 2014; "bn", with batch normalisation; "small",
            ours, for images under 100 pixels; "torchvision", the net that library's weights are for: "owt" without
            response normalisation, padded by 2, on colours that are scaled by ImageNet's. Its crops are 224 x 224.
        image_size: Height and width in pixels that every image is brought to.
        crop_size: Height and width of what the net sees: a random part in training, the centre in inference.
        channels: 3: RGB.
        dropout: Share of the outputs of the first two fully connected layers that is left out; none means what the
            variant has, see `models.alexnet`.
        augmentation: What is changed in training images.
        pretraining: How kernels are initialised by RBMs.
        initial_weights: File of weights to start from (Keras, or NumPy archive in torchvision's layout); none for
            random ones.
    """

    family: Literal["alexnet"] = "alexnet"
    objective: Literal["classification"] = "classification"
    variant: Literal["paper", "ungrouped", "owt", "bn", "small", "torchvision"] = "paper"
    image_size: tuple[int, int] = (256, 256)
    crop_size: tuple[int, int] = (227, 227)
    channels: Literal[3] = 3
    dropout: float | None = None
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
        weight_cost: L2 penalty on kernels, inside the gradient; never on biases.
        input_dropout: Share of the visible units that are left out at random, per image and update.
        hidden_dropout: The same of the units of every hidden layer.
        max_norm: Longest length of a hidden unit's incoming weights, kept after every update; none for no limit.
        schedule: "cosine" lets the learning rate fall to 0 over all epochs; "plateau" divides it by 10 whenever the
            validation error has not fallen for `plateau_epochs`, three times at most; "constant" keeps it.
        plateau_epochs: Epochs without a better validation error after which "plateau" lowers the rate.
        warmup_epochs: Epochs at the start in which the rate of "cosine" rises from 0.
        accumulation: Batches whose gradients are averaged for one update.
        averaging: Share of the old mean in the moving average of the weights, after every update, that becomes the
            model at the end, such as 0.999; 0 for the weights of the best epoch themselves.
        label_smoothing: Share of a label that is spread over all classes.
        label_share: Share of every class's training images whose labels are used, at least one image each; pretraining
            sees all images. The images of a smaller share are among those of a larger one.
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
    input_dropout: float = 0.0
    hidden_dropout: float = 0.0
    max_norm: float | None = None
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    plateau_epochs: int = 5
    warmup_epochs: int = 0
    accumulation: int = 1
    averaging: float = 0.0
    label_smoothing: float = 0.0
    label_share: float = 1.0
    top_layer_epochs: int = 0
    patience: int = 0
    use_validation: bool = False
