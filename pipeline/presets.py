"""Presets: labelled experiments, each a function that returns the configuration of a run.

The docstring of the function is the label: summary, `Command:`, `Time:` (of a first run, with the host), `Result:` (on
the test split, with the 95 % interval) and `Source:`.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from models.config import AlexNetConfig, DBNConfig, RBMConfig, TrainingConfig, UpDownConfig
from pipeline.config import GatesConfig, RunConfig

# Data of a preset for any folder: the user names the folder with --data.
FOLDER_PLACEHOLDER = "folder:PATH"


@dataclass(frozen=True)
class Preset:
    """A named configuration with its expected time and result.

    Args:
        config: Whole configuration; its `name` is the name of the preset.
        summary: Data and model, in one line.
        command: Command that runs the preset.
        expected_time: Time of a first run and the host it was measured on.
        expected_result: Metric that the model is judged by, on the test split, with its 95 % interval.
        source: Source of model and hyper-parameters.

    Example:
        >>> preset = PRESETS["digits-dbn"]
        >>> preset.command, preset.config.model.hidden_units
        ('vision-tfx run digits-dbn', (200, 200))
    """

    config: RunConfig
    summary: str
    command: str
    expected_time: str
    expected_result: str
    source: str


def _preset(build: Callable[[], RunConfig]) -> Preset:
    """Makes a preset from a function: the configuration is its result, the rest is in its docstring."""
    summary, _, labelled = inspect.cleandoc(build.__doc__ or "").partition("\n\n")
    labels = {}
    for paragraph in labelled.replace("\n    ", " ").splitlines():
        label, _, text = paragraph.partition(": ")
        labels[label] = text
    return Preset(
        config=build(),
        summary=summary,
        command=labels.get("Command", ""),
        expected_time=labels.get("Time", ""),
        expected_result=labels.get("Result", ""),
        source=labels.get("Source", ""),
    )


def digits_dbn() -> RunConfig:
    """Bundled handwritten digits, small deep belief net: the whole pipeline in minutes, without network access.

    Command: vision-tfx run digits-dbn
    Time: 81 s on 2 cores
    Result: top-1 error 2.78 % (1.19 to 6.34)
    Source: data of scikit-learn's load_digits (UCI, 1,797 images of 8 x 8 grey pixels); the net is ours, the training
        is that of Hinton & Salakhutdinov, Science 313 (2006)
    """
    return RunConfig(
        name="digits-dbn",
        data="digits",
        model=DBNConfig(image_size=(8, 8), hidden_units=(200, 200), pretraining=RBMConfig(epochs=60, batch_size=20)),
        training=TrainingConfig(epochs=60, batch_size=50, learning_rate=0.3),
        gates=GatesConfig(max_top1_error=5.0),
    )


def mnist_dbn() -> RunConfig:
    """MNIST, deep belief net 784-500-500-2000-10: the classifier of 2006.

    The learning rate was chosen on 15,000 of the 60,000 images (1.37 % there). The classifier is then trained on all
    60,000, as in the papers, so that its error on validation is meaningless.

    Command: vision-tfx run mnist-dbn --data-dir DIR
    Time: 15 min on 2 cores
    Result: top-1 error 1.13 % (0.94 to 1.36)
    Source: Hinton & Salakhutdinov, Science 313 (2006) 504, and the code released with it; MNIST of LeCun, Cortes
        and Burges through TFDS (55,000 training, 5,000 validation, 10,000 test images)
    """
    return RunConfig(
        name="mnist-dbn",
        data="tfds:mnist",
        validation_share=1 / 12,
        model=DBNConfig(image_size=(28, 28), hidden_units=(500, 500, 2000), pretraining=RBMConfig(epochs=50)),
        training=TrainingConfig(epochs=40, learning_rate=0.3, schedule="cosine", use_validation=True),
        gates=GatesConfig(max_top1_error=2.0),
    )


def mnist_dbn_dropout() -> RunConfig:
    """MNIST, the deep belief net of mnist-dbn fine-tuned with dropout.

    The learning rate and the shares of dropout were chosen on 5,000 of the 60,000 images, at 40 epochs (1.08 % there).

    Command: vision-tfx run mnist-dbn-dropout --data-dir DIR
    Time: 35 min on 2 busy cores
    Result: top-1 error 0.94 % (0.77 to 1.15)
    Source: Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov, JMLR 15 (2014), table 2: 0.92 %
    """
    return RunConfig(
        name="mnist-dbn-dropout",
        data="tfds:mnist",
        validation_share=1 / 12,
        model=DBNConfig(image_size=(28, 28), hidden_units=(500, 500, 2000), pretraining=RBMConfig(epochs=50)),
        training=TrainingConfig(
            epochs=150, learning_rate=0.3, input_dropout=0.2, hidden_dropout=0.25, use_validation=True
        ),
        gates=GatesConfig(max_top1_error=2.0),
    )


def mnist_dbn_updown() -> RunConfig:
    """MNIST, generative deep belief net with labels in its top RBM, fine-tuned by up-down.

    The schedule is shorter than the paper's: 80 epochs of up-down instead of 359. With stages of 100 epochs each
    (`--model.up-down.epochs 100,100,100`) the error was 1.51 %.

    Command: vision-tfx run mnist-dbn-updown --data-dir DIR
    Time: 28 min on 2 busy cores
    Result: top-1 error 1.60 % (1.37 to 1.87)
    Source: Hinton, Osindero & Teh, Neural Computation 18 (2006): 1.25 %
    """
    return RunConfig(
        name="mnist-dbn-updown",
        data="tfds:mnist",
        validation_share=1 / 12,
        model=DBNConfig(
            objective="joint",
            image_size=(28, 28),
            hidden_units=(500, 500, 2000),
            pretraining=RBMConfig(epochs=30, schedule="linear", weight_stddev=0.01, sample_reconstruction=True),
            up_down=UpDownConfig(epochs=(40, 20, 20), learning_rate=0.05, schedule="linear"),
        ),
        training=TrainingConfig(use_validation=True),
        gates=GatesConfig(max_top1_error=3.0),
    )


def mnist_autoencoder() -> RunConfig:
    """MNIST, deep autoencoder 784-1000-500-250-30: encodes an image as 30 numbers.

    Command: vision-tfx run mnist-autoencoder --data-dir DIR
    Time: 63 min on 2 busy cores
    Result: squared error 2.49 (2.45 to 2.52)
    Source: Hinton & Salakhutdinov, Science 313 (2006) 504, and the code released with it: squared error 3.00
    """
    return RunConfig(
        name="mnist-autoencoder",
        data="tfds:mnist",
        validation_share=1 / 12,
        model=DBNConfig(
            objective="reconstruction",
            image_size=(28, 28),
            hidden_units=(1000, 500, 250, 30),
            pretraining=RBMConfig(epochs=50, gaussian_learning_rate=0.001),
        ),
        training=TrainingConfig(epochs=200, learning_rate=0.02, use_validation=True),
        gates=GatesConfig(max_squared_error=6.0),
    )


def mnist_rbm() -> RunConfig:
    """MNIST, density model of one restricted Boltzmann machine with 500 hidden units: log-probabilities of images.

    Command: vision-tfx run mnist-rbm --data-dir DIR
    Time: 30 min on 2 busy cores
    Result: log-probability -84.64 nats
    Source: centred persistent chains of Melchior, Fischer & Wiskott, JMLR 17 (2016); annealed importance sampling of
        Salakhutdinov & Murray, ICML 2008; sampling binary images from the grey ones is ours
    """
    return RunConfig(
        name="mnist-rbm",
        data="tfds:mnist",
        validation_share=1 / 12,
        model=DBNConfig(
            objective="density",
            image_size=(28, 28),
            hidden_units=(500,),
            pretraining=RBMConfig(
                epochs=200,
                learning_rate=0.1,
                schedule="linear",
                final_momentum=0.5,
                weight_cost=0.0,
                weight_stddev=0.01,
                persistent=True,
                sample_data=True,
                centering="enhanced",
            ),
        ),
        training=TrainingConfig(use_validation=True),
        gates=GatesConfig(min_log_probability=-120.0),
    )


def folder_dbn() -> RunConfig:
    """Any folder of class folders, deep belief net on 32 x 32 colour images: a first model for your own data.

    Command: vision-tfx run --data folder:PATH
    Time: depends on the folder
    Result: depends on the folder
    Source: ours
    """
    return RunConfig(
        name="folder-dbn",
        data=FOLDER_PLACEHOLDER,
        model=DBNConfig(image_size=(32, 32), channels=3, hidden_units=(500, 500), pretraining=RBMConfig(epochs=20)),
        training=TrainingConfig(epochs=30, patience=10),
        gates=GatesConfig(min_gain=0.1),
    )


def imagenet_alexnet() -> RunConfig:
    """ImageNet (ILSVRC 2012), AlexNet as published: two groups, local response normalisation, 90 epochs.

    Command: vision-tfx run imagenet-alexnet --manual-dir DIR
    Time: not run yet; 90 epochs take 477 PFLOP
    Result: top-1 error 40.7 %, top-5 error 18.2 % in ten crops, as published; not run yet
    Source: Krizhevsky, Sutskever & Hinton, NIPS 2012; the validation images of ILSVRC 2012 are the test split
    """
    return RunConfig(
        name="imagenet-alexnet",
        data="tfds:imagenet2012",
        validation_share=0.01,
        stored_size=256,
        model=AlexNetConfig(variant="paper"),
        training=TrainingConfig(
            epochs=90, batch_size=128, learning_rate=0.01, weight_cost=5e-4, schedule="plateau", plateau_epochs=5
        ),
        gates=GatesConfig(max_top1_error=50.0, max_top5_error=25.0),
    )


def imagenet_alexnet_bn() -> RunConfig:
    """ImageNet (ILSVRC 2012), AlexNet with batch normalisation instead of local response normalisation.

    Command: vision-tfx run imagenet-alexnet-bn --manual-dir DIR
    Time: not run yet
    Result: top-1 error 39.9 %, top-5 error 18.1 % in one crop, as published by its authors; not run yet
    Source: Simon, Rodner & Denzler, arXiv 1612.01452 (2016)
    """
    return RunConfig(
        name="imagenet-alexnet-bn",
        data="tfds:imagenet2012",
        validation_share=0.01,
        stored_size=256,
        model=AlexNetConfig(variant="bn"),
        training=TrainingConfig(epochs=90, batch_size=256, learning_rate=0.02, weight_cost=5e-4, warmup_epochs=2),
        gates=GatesConfig(max_top1_error=50.0, max_top5_error=25.0),
    )


def tiny_imagenet_alexnet() -> RunConfig:
    """Classes of Tiny ImageNet, or any folder of 64 x 64 images, small AlexNet.

    Command: vision-tfx run tiny-imagenet-alexnet --data folder:PATH
    Time: 17 min on 2 busy cores, for 4,500 training images
    Result: top-1 error 40.6 % (37.6 to 43.7) on 20 classes
    Source: Tiny ImageNet (Stanford CS231n), images of ImageNet at 64 x 64; the net is ours
    """
    return RunConfig(
        name="tiny-imagenet-alexnet",
        data=FOLDER_PLACEHOLDER,
        model=AlexNetConfig(variant="small", image_size=(64, 64), crop_size=(56, 56)),
        training=TrainingConfig(epochs=60, batch_size=64, learning_rate=0.02, weight_cost=5e-4, warmup_epochs=2),
        gates=GatesConfig(min_gain=0.1),
    )


def folder_alexnet() -> RunConfig:
    """Any folder of class folders, AlexNet with batch normalisation at 227 x 227.

    Command: vision-tfx run folder-alexnet --data folder:PATH
    Time: depends on the folder; meant for a GPU
    Result: depends on the folder
    Source: Simon, Rodner & Denzler, arXiv 1612.01452 (2016), for the net; the training is ours
    """
    return RunConfig(
        name="folder-alexnet",
        data=FOLDER_PLACEHOLDER,
        stored_size=256,
        model=AlexNetConfig(variant="bn"),
        training=TrainingConfig(epochs=60, batch_size=64, learning_rate=0.01, weight_cost=5e-4, warmup_epochs=2),
        gates=GatesConfig(min_gain=0.1),
    )


_BUILDERS = (
    digits_dbn, mnist_dbn, mnist_dbn_dropout, mnist_dbn_updown, mnist_autoencoder, mnist_rbm, folder_dbn,
    imagenet_alexnet, imagenet_alexnet_bn, tiny_imagenet_alexnet, folder_alexnet,
)  # fmt: skip
PRESETS: dict[str, Preset] = {preset.config.name: preset for preset in map(_preset, _BUILDERS)}
