"""Check the protos: comments on everything, prefixed enums, and no change that breaks a published client.

The contract is compared with proto/published.binpb, the descriptor set of the last release; `--publish`
writes it anew.
"""

import sys
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from google.protobuf import descriptor_pb2
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent.parent / "proto"
PUBLISHED = PROTO / "published.binpb"

MESSAGE_FIELDS = 2
ENUM_VALUES = 2
ONEOFS = 8


def compile_protos() -> descriptor_pb2.FileDescriptorSet:
    """The descriptor set of everything under proto/, comments included."""
    sources = sorted(str(path) for path in PROTO.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set.binpb"
        includes = [f"-I{PROTO}", f"-I{files('grpc_tools') / '_proto'}"]
        arguments = ["protoc", *includes, f"--descriptor_set_out={out}", "--include_source_info", *sources]
        if protoc.main(arguments):
            sys.exit("the protos do not compile")
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


def lint(file: descriptor_pb2.FileDescriptorProto) -> Iterator[str]:
    """Everything without a comment, and enum values without their prefix."""
    commented = {
        tuple(location.path) for location in file.source_code_info.location if location.leading_comments.strip()
    }
    for path, name in _described(file):
        if path not in commented:
            yield f"{file.name}: {name} has no comment"
    for enum in file.enum_type:
        prefix = "".join(f"_{letter}" if letter.isupper() else letter for letter in enum.name).lstrip("_").upper()
        for value in enum.value:
            if not value.name.startswith(f"{prefix}_"):
                yield f"{file.name}: {enum.name}.{value.name} must start with {prefix}_"
        if not enum.value[0].name.endswith("_UNSPECIFIED"):
            yield f"{file.name}: {enum.name} must begin with {prefix}_UNSPECIFIED"


def _described(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    for index, message in enumerate(file.message_type):
        yield (4, index), message.name
        for number, field in enumerate(message.field):
            yield (4, index, MESSAGE_FIELDS, number), f"{message.name}.{field.name}"
        for number, oneof in enumerate(message.oneof_decl):
            if not oneof.name.startswith("_"):
                yield (4, index, ONEOFS, number), f"{message.name}.{oneof.name}"
    for index, enum in enumerate(file.enum_type):
        yield (5, index), enum.name
        for number, value in enumerate(enum.value):
            yield (5, index, ENUM_VALUES, number), value.name
    for index, service in enumerate(file.service):
        yield (6, index), service.name
        for number, method in enumerate(service.method):
            yield (6, index, 2, number), f"{service.name}.{method.name}"


def shapes(descriptors: descriptor_pb2.FileDescriptorSet) -> dict[str, str]:
    """What a client depends on: a name for each field, value and method, and how it looks on the wire."""
    found: dict[str, str] = {}
    for file in descriptors.file:
        for message in file.message_type:
            for field in message.field:
                label = "repeated" if field.label == field.LABEL_REPEATED else "single"
                kind = field.type_name or descriptor_pb2.FieldDescriptorProto.Type.Name(field.type)
                found[f"{message.name}.{field.number}"] = f"{field.name} {label} {kind}"
        for enum in file.enum_type:
            for value in enum.value:
                found[f"{enum.name}.{value.number}"] = value.name
        for service in file.service:
            for method in service.method:
                streams = f"{method.client_streaming}/{method.server_streaming}"
                found[f"{service.name}.{method.name}"] = f"{method.input_type} {method.output_type} {streams}"
    return found


def breaking(new: dict[str, str], old: dict[str, str]) -> Iterator[str]:
    """What an old client would miss or misread."""
    for name, shape in old.items():
        if name not in new:
            yield f"{name} ({shape}) is gone: clients still use it"
        elif new[name] != shape:
            yield f"{name} was `{shape}` and is `{new[name]}`: clients misread it"


def main() -> int:
    """0 when the protos are in order."""
    descriptors = compile_protos()
    problems = [problem for file in descriptors.file for problem in lint(file)]
    for file in descriptors.file:
        file.ClearField("source_code_info")
    if sys.argv[1:] == ["--publish"]:
        PUBLISHED.write_bytes(descriptors.SerializeToString(deterministic=True))
    published = descriptor_pb2.FileDescriptorSet.FromString(PUBLISHED.read_bytes())
    problems += breaking(shapes(descriptors), shapes(published))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
