"""What the messages of all methods have in common: model specs, and lists of examples."""

from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from serving.admission.gate import RequestRecord
from serving.errors import invalid
from serving.manager.model_manager import Handle
from serving.model_spec import ModelSpec
from serving.protobuf.wire import fields

Message = TypeVar("Message")


def parse(kind: type[Message], body: bytes) -> Message:
    """A message from the wire.

    Raises:
        ServingError: INVALID_ARGUMENT: the bytes are no such message.
    """
    try:
        return kind.FromString(body)  # type: ignore[attr-defined]
    except DecodeError as error:
        raise invalid(f"the request is no {kind.DESCRIPTOR.full_name}: {error}") from error  # type: ignore[attr-defined]


def refuse_crowds(body: bytes, number: int, most: int) -> None:
    """Refuses a message that repeats a field without end, before the protobuf library reads it.

    A map of 10 million empty entries is 20 MB, and takes that library 7 s and 1.7 GB.

    Args:
        body: The message.
        number: Of the field.
        most: How often it may be there.

    Raises:
        ServingError: INVALID_ARGUMENT.
    """
    try:
        count = 0
        for each, _ in fields(memoryview(body)):
            count += each == number
            if count > most:
                raise invalid(f"the request has more than {most} entries of one kind, the most that are allowed")
    except ValueError as error:
        raise invalid(f"the request is no protobuf message: {error}") from error


def spec_of(request: Any, record: RequestRecord) -> ModelSpec:
    """Which model a request asks for; noted in its record.

    Args:
        request: A message with a field `model_spec`.
        record: Of the request.

    Raises:
        ServingError: INVALID_ARGUMENT: it does not say.
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
    return ModelSpec(name, label=proto.version_label, signature_name=proto.signature_name)


def answered_by(proto: Any, held: Handle, signature_name: str = "") -> None:
    """Fills an answer's `ModelSpec`: the version that was used, never a label."""
    proto.name = held.name
    proto.version.value = held.version
    proto.signature_name = signature_name


def examples_of(proto: Any, most: int) -> list[bytes]:
    """The serialized examples of a `tensorflow.serving.Input`, each behind the context, whose features it overrides.

    Args:
        proto: The `Input`.
        most: How many it may have.

    Raises:
        ServingError: INVALID_ARGUMENT: it has more.
    """
    context = b""
    examples = proto.example_list.examples
    if proto.WhichOneof("kind") == "example_list_with_context":
        # Two messages one after the other are one message: what TensorFlow Serving does, too.
        context = proto.example_list_with_context.context.SerializeToString()
        examples = proto.example_list_with_context.examples
    if len(examples) > most:
        raise invalid(f"the request has {len(examples)} examples, more than --max-batch-rows {most}; send fewer")
    return [context + example.SerializeToString() for example in examples]
