"""The folder of certificates and tokens: its files, and how they are written."""

import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from becas_ft.errors import AlreadyExistsError
from becas_ft.files import sync_folder


@dataclass(frozen=True)
class AccessFolder:
    """Where everything lies.

    Attributes:
        path: the folder; only its owner may enter.
    """

    path: Path

    @property
    def ca(self) -> Path:
        """The authority's certificate: what clients trust."""
        return self.path / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """The authority's key; the server never reads it."""
        return self.path / "ca.key"

    @property
    def server_cert(self) -> Path:
        """The server's certificate."""
        return self.path / "server.pem"

    @property
    def server_key(self) -> Path:
        """The server's key."""
        return self.path / "server.key"

    @property
    def tokens(self) -> Path:
        """Names, roles and hashes of the tokens."""
        return self.path / "tokens.json"


def write_private(path: Path, data: bytes) -> None:
    """Replace a file in one step; only its owner may read it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def create(path: Path, files: Mapping[str, bytes]) -> None:
    """Make the folder with all its files, or nothing.

    Raises: AlreadyExistsError where it is there and not empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkdtemp's folders are their owner's alone.
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.partial-", dir=path.parent))
    try:
        for name, data in files.items():
            write_private(partial / name, data)
        try:
            partial.rename(path)
        except OSError as error:
            raise AlreadyExistsError(
                f"{path} is there already: `becas-ft access token add` makes more tokens, `becas-ft access renew` a new"
                " server certificate; to begin again, move the folder away"
            ) from error
    finally:
        if partial.exists():
            for left in partial.iterdir():
                left.unlink()
            partial.rmdir()
    sync_folder(path.parent)
