"""Which model a request asks for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSpec:
    """A model, perhaps one version of it, and a signature: `tensorflow.serving.ModelSpec` without protobuf.

    Args:
        name: Of the model.
        version: Its version; none, with no label either, means the latest that is available.
        label: A version's label; never together with a version.
        signature_name: Which signature; empty means "serving_default".
    """

    name: str
    version: int | None = None
    label: str | None = None
    signature_name: str = ""

    def __str__(self) -> str:
        """As TensorFlow Serving writes a servable request: "Latest(m)" or "Specific(m, 9)"."""
        return f"Latest({self.name})" if self.version is None else f"Specific({self.name}, {self.version})"
