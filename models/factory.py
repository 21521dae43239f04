"""Construction of deep belief nets from their configurations."""

import math
from pathlib import Path
from typing import Any

import keras

from models.config import AlexNetConfig, DBNConfig, TrainingConfig
from models.dbn import DBN
from models.up_down import LabelDBN


def build_dbn(config: DBNConfig, seed: int | None = None, pretrained: str | Path | None = None) -> DBN:
    """Builds the deep belief net that a configuration describes.

    Args:
        config: Description of the net. Its top units are linear when the objective is "reconstruction".
        seed: Integer that determines all its randomness; None means a random one.
        pretrained: Folder of a net that `DBN.save` wrote; None means random weights.

    Raises:
        ValueError: The layers of the pretrained net differ from those of `config`.

    Example:
        >>> build_dbn(DBNConfig(image_size=(8, 8), hidden_units=(5, 4)), seed=1).num_visible
        64
    """
    if pretrained is None:
        return DBN(
            config.hidden_units,
            num_visible=math.prod(image_shape(config)),
            visible_type=config.visible_type,
            code_type=_code_type(config),
            pretraining=config.pretraining,
            seed=seed,
        )
    net = DBN.load(pretrained)
    _check(net, pretrained, **_layers(config), visible_type=config.visible_type, code_type=_code_type(config))
    net.seed = seed
    return net


def build_label_dbn(
    config: DBNConfig, num_classes: int, seed: int | None = None, pretrained: str | Path | None = None
) -> LabelDBN:
    """Builds the deep belief net with labels that a configuration with the objective "joint" describes.

    Args:
        config: Description of the net.
        num_classes: Number of classes, at least 2.
        seed: Integer that determines all its randomness; None means a random one.
        pretrained: Folder of a net that `LabelDBN.save` wrote; None means random weights.

    Raises:
        ValueError: The layers or classes of the pretrained net differ from those of `config`.

    Example:
        >>> build_label_dbn(DBNConfig(image_size=(8, 8), hidden_units=(5, 4)), num_classes=3, seed=1).num_visible
        64
    """
    if pretrained is None:
        return LabelDBN(
            config.hidden_units,
            num_classes=num_classes,
            num_visible=math.prod(image_shape(config)),
            pretraining=config.pretraining,
            up_down=config.up_down,
            seed=seed,
        )
    net = LabelDBN.load(pretrained)
    _check(net, pretrained, **_layers(config), num_classes=num_classes)
    net.up_down = config.up_down
    net.seed = seed
    return net


def build_classifier(
    config: DBNConfig,
    num_classes: int,
    seed: int | None = None,
    pretrained: str | Path | None = None,
    training: TrainingConfig | None = None,
) -> keras.Model:
    """Builds the classifier that a configuration describes: images (batch, height, width, channels) -> logits.

    Args:
        config: Description of the net. Images are in [0, 1] for Bernoulli visible units, standardised for Gaussian.
        num_classes: Number of classes, at least 2.
        seed: Integer that determines the initial weights; None means a random one.
        pretrained: Folder of a net that `DBN.save` wrote; None means random weights.
        training: Source of dropout and of the limit on weights; None means neither.

    Returns:
        A `keras.Model` with output (batch, num_classes), see `DBN.unroll`.

    Raises:
        ValueError: The layers of the pretrained net differ from those of `config`.

    Example:
        >>> build_classifier(DBNConfig(image_size=(8, 8), hidden_units=(5, 4)), num_classes=3, seed=1).output_shape
        (None, 3)
    """
    training = training or TrainingConfig()
    return build_dbn(config, seed, pretrained).unroll(
        num_classes,
        image_shape=image_shape(config),
        input_dropout=training.input_dropout,
        hidden_dropout=training.hidden_dropout,
        max_norm=training.max_norm,
    )


def image_shape(config: DBNConfig | AlexNetConfig) -> tuple[int, int, int]:
    """Returns (height, width, channels) of a model's images."""
    return (*config.image_size, config.channels)


def _layers(config: DBNConfig) -> dict[str, Any]:
    return {"hidden_units": tuple(config.hidden_units), "num_visible": math.prod(image_shape(config))}


def _code_type(config: DBNConfig) -> str:
    return "gaussian" if config.objective == "reconstruction" else "bernoulli"


def _check(net: DBN | LabelDBN, folder: str | Path, **wanted: Any) -> None:
    for key, value in wanted.items():
        found = getattr(net, key)
        if found != value:
            raise ValueError(f"the pretrained net in {folder} has {key}={found}, but the configuration has {value}")
