"""Packages that must go together."""

from importlib.metadata import version

GRPC = ("grpcio", "grpcio-channelz", "grpcio-health-checking", "grpcio-reflection", "grpcio-status", "grpcio-tools")


def test_grpc_is_of_one_minor_version() -> None:
    """Its packages share generated code and C core: a mixture fails late and strangely."""
    assert len({version(name).rpartition(".")[0] for name in GRPC}) == 1, {name: version(name) for name in GRPC}
