"""AlexNet: its variants, its layers, and the pretraining of its kernels."""

from models.alexnet.local_response_normalization import LocalResponseNormalization
from models.alexnet.network import alexnet

__all__ = ["LocalResponseNormalization", "alexnet"]
