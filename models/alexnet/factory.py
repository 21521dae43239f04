"""Construction of an AlexNet from its configuration.

It is separate from `models.factory`, so that neither enters the other's cache keys.
"""

import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np

from models.alexnet.network import alexnet
from models.alexnet.weights import load_weights
from models.config import AlexNetConfig

_log = logging.getLogger(__name__)

CONVOLUTIONS_FILE = "convolutions.npz"
TORCHVISION = "torchvision"
# torchvision's weights require RGB in [0, 1], minus this mean, divided by this deviation.
TORCHVISION_MEAN = (0.485, 0.456, 0.406)
TORCHVISION_DEVIATION = (0.229, 0.224, 0.225)


def build_alexnet(
    config: AlexNetConfig, num_classes: int, seed: int | None = None, pretrained: str | Path | None = None
) -> keras.Model:
    """Builds the net that a configuration describes: crops minus the mean image (batch, height, width, 3) -> logits.

    Args:
        config: Description of the net. Its `initial_weights`, if any, are loaded.
        num_classes: Number of classes, at least 2.
        seed: Integer that determines the initial weights and dropout; None means a random one.
        pretrained: Folder with `CONVOLUTIONS_FILE`: arrays "LAYER/0" (kernel) and "LAYER/1" (bias) for each
            convolution; None means random kernels.

    Returns:
        A `keras.Model` with output (batch, num_classes).

    Raises:
        ValueError: Weights do not fit the net.

    Example:
        >>> build_alexnet(AlexNetConfig(variant="small", crop_size=(64, 64)), num_classes=10, seed=1).output_shape
        (None, 10)
    """
    variant: str = config.variant
    options: dict[str, Any] = {}
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
            _log.warning(
                "%s of %s has another number of classes, so it starts from random weights",
                layer,
                config.initial_weights,
            )
    if pretrained is not None:
        with np.load(Path(pretrained, CONVOLUTIONS_FILE)) as stored:
            names = dict.fromkeys(key.partition("/")[0] for key in stored.files)
            for name in names:
                layer = net.get_layer(name)
                layer.set_weights([stored[f"{name}/{i}"] for i in range(len(layer.weights))])
    return net
