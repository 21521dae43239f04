"""Configuration files in protobuf's text format, whose generated classes tensorflow-serving-api does not carry."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving.errors import invalid

# `Field` is bool, int, float or str; a mapping for a message; a list of one of these for a repeated field.
Field = Any


def read_text_proto(path: Path, name: str, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Reads a file.

    Args:
        path: The file.
        name: Of the message, such as "MonitoringConfig".
        fields: What the message has, by name, such as `{"prometheus_config": {"enable": bool, "path": str}}`.

    Returns:
        The fields that the file sets: messages as dictionaries, repeated fields as lists.

    Raises:
        ServingError: INVALID_ARGUMENT when it cannot be read or is no such message.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise invalid(f"{path} cannot be read: {error}") from error
    return parse_text_proto(text, path, name, fields)


def parse_text_proto(text: str, source: object, name: str, fields: Mapping[str, Field]) -> dict[str, Any]:
    """As `read_text_proto`, of a text that has been read already.

    Args:
        text: The text.
        source: What an error calls it.
        name: Of the message.
        fields: What the message has.
    """
    from google.protobuf import text_format

    message = _message_class(name, fields)()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise invalid(f"Error parsing text-format tensorflow.serving.{name}: {source}: {error}") from error
    return _plain(message)


def _message_class(name: str, fields: Mapping[str, Field]) -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="tensorflow.serving", syntax="proto3")
    _describe(file.message_type.add(name=name), fields, f".tensorflow.serving.{name}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))


def _describe(message: Any, fields: Mapping[str, Field], full_name: str) -> None:
    # The text format knows fields by their names; any numbers will do.
    for number, (name, kind) in enumerate(fields.items(), 1):
        field = message.field.add(name=name, number=number, label=1)
        if isinstance(kind, list):
            field.label, kind = 3, kind[0]
        if isinstance(kind, Mapping):
            field.type, field.type_name = 11, f"{full_name}.{name}_message"
            _describe(message.nested_type.add(name=f"{name}_message"), kind, field.type_name)
        else:
            field.type = {float: 1, int: 3, bool: 8, str: 9}[kind]


def _plain(message: Any) -> dict[str, Any]:
    return {field.name: _plain_value(value) for field, value in message.ListFields()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, bool | int | float | str):
        return value
    return _plain(value) if hasattr(value, "ListFields") else [_plain_value(each) for each in value]
