"""Models, versions and signatures as a server reports them. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving.saved_model_files import INIT_SIGNATURE


@dataclass(frozen=True)
class TensorInfo:
    """Type and shape of one input or output of a signature.

    Args:
        dtype: Protobuf name of the type, such as "DT_FLOAT" or "DT_STRING".
        shape: Lengths of the axes, None where a length is unknown; None if the rank is unknown.
    """

    dtype: str
    shape: tuple[int | None, ...] | None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "TensorInfo":
        """Parses protobuf's JSON form, which leaves default values out."""
        shape = document.get("tensor_shape", {})
        sizes = [int(dim.get("size", 0)) for dim in shape.get("dim", ())]
        lengths = tuple(None if size < 0 else size for size in sizes)
        return cls(document.get("dtype", "DT_INVALID"), None if shape.get("unknown_rank") else lengths)


@dataclass(frozen=True)
class SignatureInfo:
    """One signature of a model.

    Args:
        method: Method name, such as "tensorflow/serving/predict".
        inputs: Input tensors by name.
        outputs: Output tensors by name.

    Example:
        >>> images = TensorInfo("DT_STRING", (None,))
        >>> SignatureInfo("tensorflow/serving/predict", {"image_bytes": images}, {}).image_input
        'image_bytes'
    """

    method: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]

    @property
    def image_input(self) -> str | None:
        """Name of the only input, if it accepts encoded images (one string per image); None otherwise."""
        shapes = ((None,), None)
        named = [name for name, info in self.inputs.items() if info.dtype == "DT_STRING" and info.shape in shapes]
        return named[0] if len(named) == len(self.inputs) == 1 else None


@dataclass(frozen=True)
class ModelMetadata:
    """One version of a model, with its signatures.

    Args:
        name: Name of the model.
        version: Number of the version that answered.
        signatures: Signatures by name.
    """

    name: str
    version: int
    signatures: Mapping[str, SignatureInfo]

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "ModelMetadata":
        """Parses the answer of `GET /v1/models/NAME/metadata`.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: The document has another form.
        """
        spec = document["model_spec"]
        signatures = {
            name: SignatureInfo(
                each.get("method_name", ""),
                {alias: TensorInfo.from_json(info) for alias, info in each.get("inputs", {}).items()},
                {alias: TensorInfo.from_json(info) for alias, info in each.get("outputs", {}).items()},
            )
            for name, each in document["metadata"]["signature_def"]["signature_def"].items()
            if name != INIT_SIGNATURE
        }
        return cls(spec.get("name", ""), int(spec["version"]), signatures)


@dataclass(frozen=True)
class VersionState:
    """State of one version of a model on a server.

    Args:
        version: Number of the version.
        state: "START", "LOADING", "AVAILABLE", "UNLOADING" or "END".
        error: Reason why the version could not be loaded; empty without an error.

    Example:
        >>> VersionState.from_json({"version": "3", "state": "AVAILABLE"})
        VersionState(version=3, state='AVAILABLE', error='')
    """

    version: int
    state: str
    error: str = ""

    @property
    def available(self) -> bool:
        """Whether the version answers requests."""
        return self.state == "AVAILABLE"

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "VersionState":
        """Parses one entry of a model's status.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: The document has another form.
        """
        return cls(int(document["version"]), document["state"], document.get("status", {}).get("error_message", ""))
