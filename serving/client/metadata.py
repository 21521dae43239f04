"""What a server says of its models, as plain records. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of a signature.

    Args:
        dtype: Such as "DT_FLOAT" or "DT_STRING".
        shape: Lengths, None where unknown; None for an unknown rank.
    """

    dtype: str
    shape: tuple[int | None, ...] | None

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "TensorInfo":
        """From protobuf's JSON, in which defaults may be missing."""
        shape = said.get("tensor_shape", {})
        sizes = [int(dim.get("size", 0)) for dim in shape.get("dim", ())]
        lengths = tuple(None if size < 0 else size for size in sizes)
        return cls(said.get("dtype", "DT_INVALID"), None if shape.get("unknown_rank") else lengths)


@dataclass(frozen=True)
class SignatureInfo:
    """A function that a model offers.

    Args:
        method: Such as "tensorflow/serving/predict".
        inputs: By name.
        outputs: By name.
    """

    method: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]

    @property
    def image_input(self) -> str | None:
        """The input that takes encoded images: the only one, of strings, one per image. None if there is no such."""
        shapes = ((None,), None)
        named = [name for name, info in self.inputs.items() if info.dtype == "DT_STRING" and info.shape in shapes]
        return named[0] if len(named) == len(self.inputs) == 1 else None


@dataclass(frozen=True)
class ModelMetadata:
    """A version of a model.

    Args:
        name: Of the model.
        version: The one that answered.
        signatures: By name.
    """

    name: str
    version: int
    signatures: Mapping[str, SignatureInfo]

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "ModelMetadata":
        """From the answer of `/metadata`.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: It is none.
        """
        spec = said["model_spec"]
        signatures = {
            name: SignatureInfo(
                each.get("method_name", ""),
                {alias: TensorInfo.from_json(info) for alias, info in each.get("inputs", {}).items()},
                {alias: TensorInfo.from_json(info) for alias, info in each.get("outputs", {}).items()},
            )
            for name, each in said["metadata"]["signature_def"]["signature_def"].items()
            if name != "__saved_model_init_op"
        }
        return cls(spec.get("name", ""), int(spec["version"]), signatures)


@dataclass(frozen=True)
class VersionState:
    """What a server does with a version of a model.

    Args:
        version: Its number.
        state: "START", "LOADING", "AVAILABLE", "UNLOADING" or "END".
        error: Why it could not be loaded; empty if nothing went wrong.
    """

    version: int
    state: str
    error: str = ""

    @property
    def available(self) -> bool:
        """Whether it answers."""
        return self.state == "AVAILABLE"

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "VersionState":
        """From one entry of a status.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: It is none.
        """
        return cls(int(said["version"]), said["state"], said.get("status", {}).get("error_message", ""))
