"""Restricted Boltzmann machines: energies, sampling, contrastive divergence."""

from models.rbm.rbm import RBM

__all__ = ["RBM"]
