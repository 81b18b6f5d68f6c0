"""Messages as plain objects: enum values by their bare names, times as RFC 3339, numbers as numbers."""

import json
from typing import TYPE_CHECKING, Any, cast

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from becas_ft.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def enum_name(descriptor: EnumDescriptor, number: int) -> str | None:
    """`gold` for TIER_GOLD; None for the unset value."""
    value = descriptor.values_by_number.get(number)
    if value is None:
        return str(number)
    return None if number == 0 else value.name.removeprefix(enum_prefix(descriptor)).lower()


def enum_prefix(descriptor: EnumDescriptor) -> str:
    """`TIER_`, from the name of the unset value."""
    return descriptor.values_by_number[0].name.removesuffix("UNSPECIFIED")


def enum_value(option: str, enum: EnumDescriptor, name: str) -> Any:  # noqa: ANN401 - the enum's own value type
    """The number of a bare name; 0 where empty.

    Raises:
        UsageError: names what there is instead.
    """
    prefix = enum_prefix(enum)
    names = {value.name.removeprefix(prefix).lower(): value.number for value in enum.values if value.number}
    if not name:
        return 0
    if name.lower() not in names:
        raise UsageError(f"{option}: no {name!r}; one of: {', '.join(names)}")
    return names[name.lower()]


def to_object(message: Message) -> dict[str, Any]:
    """Every field by its name; an absent optional field or message is None."""
    fields = cast("Sequence[FieldDescriptor]", message.DESCRIPTOR.fields)
    return {field.name: _field(message, field) for field in fields}


def to_json(message: Message) -> str:
    """One line."""
    return json.dumps(to_object(message), ensure_ascii=False)


def _field(message: Message, field: FieldDescriptor) -> Any:  # noqa: ANN401 - whatever JSON can say
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name["value"]
        return {str(key): _value(entry, value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_value(field, item) for item in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value(field, value)


def _value(field: FieldDescriptor, value: Any) -> Any:  # noqa: ANN401 - whatever JSON can say
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if isinstance(value, Message):
        return to_object(value)
    if field.enum_type is not None:
        return enum_name(field.enum_type, value)
    return value
