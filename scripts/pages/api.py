"""Every service, message and enum of the contract with its comments, from the protos."""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

_PACKAGE = ".becas.ft.v1."
_HEAD = """# gRPC

Package `becas.ft.v1`, from the protos. A server also answers gRPC's health (`grpc.health.v1`) and reflection, so that
grpcurl needs no proto file: [gRPC by hand](../grpcurl.md). Enum values carry their type as a prefix.
"""
# Field numbers of descriptor.proto, by which comments are found.
_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6
_FIELDS, _NESTED, _VALUES, _METHODS = 2, 3, 2, 2
_SCALARS = {
    FieldDescriptorProto.TYPE_DOUBLE: "double",
    FieldDescriptorProto.TYPE_FLOAT: "float",
    FieldDescriptorProto.TYPE_INT64: "int64",
    FieldDescriptorProto.TYPE_UINT64: "uint64",
    FieldDescriptorProto.TYPE_INT32: "int32",
    FieldDescriptorProto.TYPE_UINT32: "uint32",
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_BYTES: "bytes",
}


@dataclass(frozen=True)
class _Comments:
    """Comments of a file by the path of what they stand before."""

    by_path: dict[tuple[int, ...], str]

    def of(self, *path: int) -> str:
        return self.by_path.get(path, "")


def page(contract: FileDescriptorSet) -> str:
    """The page in Markdown; `contract` has the comments of its sources."""
    files = [file for file in contract.file if file.package == "becas.ft.v1"]
    services, messages, enums = [], [], []
    for file in files:
        told = _Comments(
            {tuple(spot.path): " ".join(spot.leading_comments.split()) for spot in file.source_code_info.location}
        )
        services += [_service(service, told, index) for index, service in enumerate(file.service)]
        messages += list(_messages(file, told))
        enums += [_enum(enum, told, index) for index, enum in enumerate(file.enum_type)]
    return "".join([_HEAD, *services, *sorted(messages), *sorted(enums)])


def _service(service: ServiceDescriptorProto, told: _Comments, index: int) -> str:
    rows = [
        f"| `{method.name}` | {_stream(method.client_streaming)}{_link(method.input_type)} "
        f"| {_stream(method.server_streaming)}{_link(method.output_type)} "
        f"| {_cell(told.of(_SERVICES, index, _METHODS, number))} |\n"
        for number, method in enumerate(service.method)
    ]
    return _section(service.name, told.of(_SERVICES, index), ("call", "takes", "answers", ""), rows)


def _messages(file: FileDescriptorProto, told: _Comments) -> Iterator[str]:
    for index, message in enumerate(file.message_type):
        yield _message(message, told, (_MESSAGES, index), message.name)
        for number, inner in enumerate(message.nested_type):
            if not inner.options.map_entry:
                path = (_MESSAGES, index, _NESTED, number)
                yield _message(inner, told, path, f"{message.name}.{inner.name}")


def _message(message: DescriptorProto, told: _Comments, path: tuple[int, ...], name: str) -> str:
    maps = {f".{inner.name}": inner for inner in message.nested_type if inner.options.map_entry}
    rows = [
        f"| `{field.name}` | {_type(field, maps)} | {_cell(told.of(*path, _FIELDS, number))} |\n"
        for number, field in enumerate(message.field)
    ]
    return _section(name, told.of(*path), ("field", "type", ""), rows)


def _enum(enum: EnumDescriptorProto, told: _Comments, index: int) -> str:
    rows = [
        f"| `{value.name}` | {_cell(told.of(_ENUMS, index, _VALUES, number))} |\n"
        for number, value in enumerate(enum.value)
    ]
    return _section(enum.name, told.of(_ENUMS, index), ("value", ""), rows)


def _type(field: FieldDescriptorProto, maps: dict[str, DescriptorProto]) -> str:
    entry = next((entry for name, entry in maps.items() if field.type_name.endswith(name)), None)
    if entry is not None:
        key, value = entry.field
        return f"map of {_type(key, {})} to {_type(value, {})}"
    name = _SCALARS.get(field.type) or _link(field.type_name)
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"{name}, repeated"
    return f"{name}, optional" if field.proto3_optional else name


def _link(name: str) -> str:
    """A type of the contract leads to its section."""
    if not name.startswith(_PACKAGE):
        return f"`{name.removeprefix('.')}`"
    short = name.removeprefix(_PACKAGE)
    return f"[{short}](#{short.lower().replace('.', '')})"


def _section(name: str, said: str, columns: tuple[str, ...], rows: list[str]) -> str:
    if not rows:
        return f"\n## {name}\n\n{said}\n"
    head = f"| {' | '.join(columns)} |\n| {' | '.join('---' for _ in columns)} |\n"
    return f"\n## {name}\n\n{said}\n\n{head}{''.join(rows)}"


def _stream(streams: bool) -> str:
    return "stream of " if streams else ""


def _cell(text: str) -> str:
    """Text that a cell of a table can hold."""
    return text.replace("|", "\\|").replace("<", "&lt;")
