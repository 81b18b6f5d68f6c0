"""What may be listened on."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator


def address(value: str) -> str:
    """`HOST:PORT` or `unix:PATH`."""
    if value.startswith("unix:"):
        return value
    host, separator, port = value.rpartition(":")
    if not separator or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 - the last port
        raise ValueError("write HOST:PORT, such as 127.0.0.1:50051, or unix:PATH")
    return value


def is_loopback(value: str) -> bool:
    """Whether only this machine can reach an address."""
    if value.startswith("unix:"):
        return True
    host = value.rpartition(":")[0]
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def loopback_address(value: str) -> str:
    """An address that only this machine can reach; empty: none."""
    if value and not is_loopback(address(value)):
        raise ValueError("it is for this machine only: use 127.0.0.1 or [::1]")
    return value


def http_address(value: str) -> str:
    """`HOST:PORT`; empty: none."""
    if value.startswith("unix:"):
        raise ValueError("HTTP needs a host and a port, such as 127.0.0.1:8080")
    return value and address(value)


Address = Annotated[str, AfterValidator(address)]
LoopbackAddress = Annotated[str, AfterValidator(loopback_address)]
HttpAddress = Annotated[str, AfterValidator(http_address)]
