"""Client of a model server; importing it loads neither TensorFlow nor gRPC nor urllib3."""

from serving.client.model_client import ModelClient

__all__ = ["ModelClient"]
