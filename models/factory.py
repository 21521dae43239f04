"""From a configuration to a model."""

import math

from models.dbn import DBN


def build_dbn(config, seed=None):
    """The deep belief net of a `models.config.DBNConfig`, with random weights.

    Args:
        config: The net.
        seed: Decides all that is random in it.
    """
    return DBN(
        config.hidden_units,
        num_visible=math.prod(_image_shape(config)),
        visible_type=config.visible_type,
        pretraining=config.pretraining,
        seed=seed,
    )


def build_classifier(config, num_classes, seed=None, pretrained=None):
    """The classifier of a `models.config.DBNConfig`: images (batch, height, width, channels) -> logits.

    Args:
        config: The net. Images are in [0, 1] for Bernoulli, standardised for Gaussian visible units.
        num_classes: Number of classes, at least 2.
        seed: Decides the initial weights.
        pretrained: Folder of a net that `DBN.save` wrote; none means random weights.

    Returns:
        A `keras.Model` with output (batch, num_classes), see `DBN.unroll`.

    Raises:
        ValueError: The pretrained net has other layers than `config`.
    """
    net = build_dbn(config, seed)
    if pretrained is not None:
        loaded = DBN.load(pretrained)
        for key in ("hidden_units", "num_visible", "visible_type"):
            wanted, found = getattr(net, key), getattr(loaded, key)
            if wanted != found:
                raise ValueError(
                    f"Expected a pretrained net with {key}={wanted}. Received: {key}={found} ({pretrained})"
                )
        loaded.seed = seed
        net = loaded
    return net.unroll(num_classes, image_shape=_image_shape(config))


def _image_shape(config):
    return (*config.image_size, config.channels)
