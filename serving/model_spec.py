"""The model that a request names."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSpec:
    """A model, optionally one of its versions, and a signature: `tensorflow.serving.ModelSpec` without protobuf.

    >>> print(ModelSpec("digits"), ModelSpec("digits", version=9))
    Latest(digits) Specific(digits, 9)

    Args:
        name: Name of the model.
        version: Number of the version; None, with no version label either, selects the latest available version.
        version_label: Label of the version; never given together with a version.
        signature_name: Name of the signature; empty selects `serving.saved_model_files.DEFAULT_SIGNATURE`.
    """

    name: str
    version: int | None = None
    version_label: str | None = None
    signature_name: str = ""

    def __str__(self) -> str:
        """Formats the spec as TensorFlow Serving writes a servable request: "Latest(m)" or "Specific(m, 9)"."""
        return f"Latest({self.name})" if self.version is None else f"Specific({self.name}, {self.version})"
