"""From a configuration to a model."""

import math

from models.config import TrainingConfig
from models.dbn import DBN
from models.up_down import LabelDBN


def build_dbn(config, seed=None, pretrained=None):
    """The deep belief net of a `models.config.DBNConfig`.

    Args:
        config: The net. Its top units are linear when the objective is "reconstruction".
        seed: Decides all that is random in it.
        pretrained: Folder of a net that `DBN.save` wrote; none means random weights.

    Raises:
        ValueError: The pretrained net has other layers than `config`.
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


def build_label_dbn(config, num_classes, seed=None, pretrained=None):
    """The deep belief net with labels of a `models.config.DBNConfig` whose objective is "joint".

    Args:
        config: The net.
        num_classes: Number of classes, at least 2.
        seed: Decides all that is random in it.
        pretrained: Folder of a net that `LabelDBN.save` wrote; none means random weights.

    Raises:
        ValueError: The pretrained net has other layers than `config`, or other classes.
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


def build_classifier(config, num_classes, seed=None, pretrained=None, training=None):
    """The classifier of a `models.config.DBNConfig`: images (batch, height, width, channels) -> logits.

    Args:
        config: The net. Images are in [0, 1] for Bernoulli, standardised for Gaussian visible units.
        num_classes: Number of classes, at least 2.
        seed: Decides the initial weights.
        pretrained: Folder of a net that `DBN.save` wrote; none means random weights.
        training: A `models.config.TrainingConfig`, of which dropout and the limit on weights count; none for neither.

    Returns:
        A `keras.Model` with output (batch, num_classes), see `DBN.unroll`.

    Raises:
        ValueError: The pretrained net has other layers than `config`.
    """
    training = training or TrainingConfig()
    return build_dbn(config, seed, pretrained).unroll(
        num_classes,
        image_shape=image_shape(config),
        input_dropout=training.input_dropout,
        hidden_dropout=training.hidden_dropout,
        max_norm=training.max_norm,
    )


def image_shape(config):
    """(height, width, channels) of a model's images."""
    return (*config.image_size, config.channels)


def _layers(config):
    return {"hidden_units": tuple(config.hidden_units), "num_visible": math.prod(image_shape(config))}


def _code_type(config):
    return "gaussian" if config.objective == "reconstruction" else "bernoulli"


def _check(net, folder, **wanted):
    for key, value in wanted.items():
        found = getattr(net, key)
        if found != value:
            raise ValueError(f"Expected a pretrained net with {key}={value}. Received: {key}={found} ({folder})")
