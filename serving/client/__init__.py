"""Client of the model server, without TensorFlow."""

from serving.client.model_client import ModelClient

__all__ = ["ModelClient"]
