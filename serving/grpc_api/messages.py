"""Conversions that the messages of all methods share: model specs, and lists of examples."""

from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from serving.admission.request_record import RequestRecord
from serving.errors import invalid
from serving.manager.handle import Handle
from serving.model_spec import ModelSpec
from serving.protobuf.wire import fields

Message = TypeVar("Message")


def parse(kind: type[Message], body: bytes) -> Message:
    """Parses a message.

    Raises:
        ServingError: INVALID_ARGUMENT if the bytes are not such a message.
    """
    try:
        return kind.FromString(body)  # type: ignore[attr-defined]
    except DecodeError as error:
        name = kind.DESCRIPTOR.full_name  # type: ignore[attr-defined]
        raise invalid(f"the request is not a {name}: {error}") from error


def check_repetitions(body: bytes, number: int, most: int) -> None:
    """Refuses a message that repeats a field too often, before the protobuf library parses it.

    A map of 10 million empty entries has 20 MB, and parsing it would take that library 7 s and 1.7 GB.

    Args:
        body: The message.
        number: Number of the field.
        most: Most repetitions of the field.

    Raises:
        ServingError: INVALID_ARGUMENT if there are more, or if the bytes are not a message.
    """
    try:
        count = 0
        for each, _ in fields(memoryview(body)):
            count += each == number
            if count > most:
                raise invalid(f"the request repeats field {number} more than {most} times, which is the limit")
    except ValueError as error:
        raise invalid(f"the request is not a protobuf message: {error}") from error


def read_model_spec(request: Any, record: RequestRecord) -> ModelSpec:
    """Reads the model that a request names, and notes it in the request's record.

    Args:
        request: A message with a field `model_spec`.
        record: Record of the request.

    Raises:
        ServingError: INVALID_ARGUMENT if the request names no model.
    """
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    proto = request.model_spec
    record.model = name = proto.name
    if not name:
        raise invalid("ModelSpec has no name specified.")
    choice = proto.WhichOneof("version_choice")
    if choice is None:
        return ModelSpec(name, signature_name=proto.signature_name)
    if choice == "version":
        return ModelSpec(name, version=proto.version.value, signature_name=proto.signature_name)
    return ModelSpec(name, version_label=proto.version_label, signature_name=proto.signature_name)


def fill_model_spec(proto: Any, held: Handle, signature_name: str = "") -> None:
    """Fills the `ModelSpec` of a response: the version that answered, never a version label."""
    proto.name = held.name
    proto.version.value = held.version
    proto.signature_name = signature_name


def serialized_examples(proto: Any, most: int) -> list[bytes]:
    """Returns the serialized examples of a `tensorflow.serving.Input`.

    Each follows the serialized context, if there is one; the features of the example override those of the context.

    Args:
        proto: The `Input`.
        most: Most examples that it may have.

    Raises:
        ServingError: INVALID_ARGUMENT if it has more.
    """
    context = b""
    examples = proto.example_list.examples
    if proto.WhichOneof("kind") == "example_list_with_context":
        # Concatenated messages are one merged message; TensorFlow Serving relies on this too.
        context = proto.example_list_with_context.context.SerializeToString()
        examples = proto.example_list_with_context.examples
    if len(examples) > most:
        raise invalid(f"the request has {len(examples)} examples, more than --max-batch-rows {most}; send fewer")
    return [context + example.SerializeToString() for example in examples]
