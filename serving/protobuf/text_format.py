"""Configuration files in protobuf's text format whose message classes tensorflow-serving-api 2.21 does not contain.

The protobuf library parses them; only the message classes are made here, from a table of the fields.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving.errors import invalid

# bool, int, float or str; a mapping for a message; a list of one of these for a repeated field.
Field = Any


def read_text_proto(path: Path, name: str, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Reads a file.

    Args:
        path: Path of the file.
        name: Name of the message, such as "MonitoringConfig".
        fields: Fields of the message by name, such as `{"prometheus_config": {"enable": bool, "path": str}}`.

    Returns:
        The fields that the file sets: messages as dictionaries, repeated fields as lists.

    Raises:
        ServingError: INVALID_ARGUMENT if the file cannot be read or is not such a message.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise invalid(f"{path} cannot be read: {error}") from error
    return parse_text_proto(text, path, name, fields)


def parse_text_proto(text: str, source: object, name: str, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Parses a text.

    >>> fields = {"prometheus_config": {"enable": bool, "path": str}}
    >>> parse_text_proto("prometheus_config { enable: true }", "a.config", "MonitoringConfig", fields)
    {'prometheus_config': {'enable': True}}

    Args:
        text: The text.
        source: Name of the text's origin, for errors.
        name: Name of the message.
        fields: Fields of the message by name.

    Returns:
        The fields that the text sets: messages as dictionaries, repeated fields as lists.

    Raises:
        ServingError: INVALID_ARGUMENT if the text is not such a message.
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
    from google.protobuf.descriptor import FieldDescriptor as Type

    types = {float: Type.TYPE_DOUBLE, int: Type.TYPE_INT64, bool: Type.TYPE_BOOL, str: Type.TYPE_STRING}
    # The text format identifies fields by name, so that the numbers do not matter.
    for number, (name, kind) in enumerate(fields.items(), 1):
        field = message.field.add(name=name, number=number, label=Type.LABEL_OPTIONAL)
        if isinstance(kind, list):
            field.label, kind = Type.LABEL_REPEATED, kind[0]
        if isinstance(kind, Mapping):
            field.type, field.type_name = Type.TYPE_MESSAGE, f"{full_name}.{name}_message"
            _describe(message.nested_type.add(name=f"{name}_message"), kind, field.type_name)
        else:
            field.type = types[kind]


def _plain(message: Any) -> dict[str, Any]:
    return {field.name: _plain_value(value) for field, value in message.ListFields()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, bool | int | float | str):
        return value
    return _plain(value) if hasattr(value, "ListFields") else [_plain_value(each) for each in value]
