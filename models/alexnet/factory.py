"""From a configuration to an AlexNet. Apart from `models.factory`, so that neither decides the other's cache keys."""

import logging
from pathlib import Path

import numpy as np

from models.alexnet.network import alexnet
from models.alexnet.weights import load_weights

_log = logging.getLogger(__name__)

CONVOLUTIONS_FILE = "convolutions.npz"
TORCHVISION = "torchvision"
# Of RGB in [0, 1]: what torchvision's weights expect to be subtracted, and divided by.
TORCHVISION_MEAN = (0.485, 0.456, 0.406)
TORCHVISION_DEVIATION = (0.229, 0.224, 0.225)


def build_alexnet(config, num_classes, seed=None, pretrained=None):
    """The net of a `models.config.AlexNetConfig`: crops minus the mean image (batch, height, width, 3) -> logits.

    Args:
        config: The net. Its `initial_weights` are loaded, if it names any.
        num_classes: Number of classes, at least 2.
        seed: Decides the initial weights and dropout.
        pretrained: Folder with `CONVOLUTIONS_FILE`: arrays "LAYER/0" (kernel) and "LAYER/1" (bias) for each
            convolution; none means random kernels.

    Returns:
        A `keras.Model` with output (batch, num_classes).

    Raises:
        ValueError: Weights that do not fit the net.
    """
    variant, options = config.variant, {}
    if variant == TORCHVISION:
        variant, options = "owt", {"normalization": "none", "padding": 2, "initialization": "he"}
    net = alexnet(
        variant,
        num_classes,
        input_shape=(*config.crop_size, config.channels),
        dropout=config.dropout,
        seed=seed,
        **options,
    )
    if config.initial_weights:
        for layer in load_weights(net, config.initial_weights):
            _log.warning("%s of %s has other classes: it starts from random weights", layer, config.initial_weights)
    if pretrained is not None:
        with np.load(Path(pretrained, CONVOLUTIONS_FILE)) as stored:
            names = dict.fromkeys(key.partition("/")[0] for key in stored.files)
            for name in names:
                layer = net.get_layer(name)
                layer.set_weights([stored[f"{name}/{i}"] for i in range(len(layer.weights))])
    return net
