"""Bearer tokens: made, stored as hashes, found again.

A token is 256 random bits, so nobody can try them all, and a plain SHA-256 keeps it as safe as a slow hash would: slow
hashes protect secrets that people choose.
"""

import fcntl
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from becas_ft.access.folder import write_private
from becas_ft.access.roles import Role
from becas_ft.errors import AlreadyExistsError, BecasError, InvalidArgumentError, NotFoundError

PREFIX: Final = "becas_ft_"
"""What scanners for leaked secrets look for."""
_BYTES: Final = 32
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
# Whoever can write the file can make a token for himself; reading hashes opens nothing.
_OTHERS_WRITE: Final = 0o022

_log = structlog.get_logger("becas_ft.access")


class TokenFileError(BecasError):
    """The file of tokens is unusable; the message names it and the remedy."""


class Token(BaseModel):
    """What is known of a token; never the token itself.

    Attributes:
        sha256: of the whole token, prefix included; hexadecimal.
        expires: from then on it is refused; None: never.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    role: Role
    sha256: str
    created: AwareDatetime
    expires: AwareDatetime | None = None

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires is not None and self.expires <= datetime.now(UTC)


class _File(BaseModel):
    """What `tokens.json` holds."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    tokens: tuple[Token, ...] = ()


class Issued(NamedTuple):
    """A new token.

    Attributes:
        secret: the token; shown once, stored nowhere.
    """

    token: Token
    secret: str


def issue(name: str, role: Role, expires: datetime | None = None) -> Issued:
    """Make a token; it counts once it stands in the file.

    Raises: InvalidArgumentError for a name that is none, or a time that is over.
    """
    if not _NAME.fullmatch(name):
        raise InvalidArgumentError("NAME", "write 1 to 63 of a-z, 0-9, '.', '_' and '-', a letter or digit first")
    secret = _secret()
    token = Token(name=name, role=role, sha256=_hash(secret), created=datetime.now(UTC), expires=expires)
    if token.expired:
        raise InvalidArgumentError("--expires", "this time is over: name a later one, in UTC")
    return Issued(token, secret)


def _secret() -> str:
    """A token that the redactor recognises: it looks for the prefix and a digit, which one in 1,400 would lack."""
    while True:
        body = secrets.token_urlsafe(_BYTES)
        if any(character.isdigit() for character in body):
            return PREFIX + body


def serialise(tokens: Sequence[Token]) -> bytes:
    """The bytes of the file."""
    return _File(tokens=tuple(tokens)).model_dump_json(indent=2).encode() + b"\n"


def read(path: Path) -> tuple[Token, ...]:
    """The tokens of a file; none where there is no file.

    Raises: TokenFileError where it is damaged, or others may write it.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS_WRITE:
                raise TokenFileError(f"{path}: others may write it: chmod 600 it")
            return _File.model_validate_json(file.read()).tokens
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise TokenFileError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        # Without the values: what stands in the wrong place could be a token.
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the whole file"
        raise TokenFileError(f"{path}: unusable at {where}: mend it, or restore it from a backup") from None


def add(path: Path, name: str, role: Role, expires: datetime | None = None) -> Issued:
    """Make a token and write it down.

    Raises:
        AlreadyExistsError: one of this name is there.
        InvalidArgumentError, TokenFileError: as above.
    """
    issued = issue(name, role, expires)
    with _locked(path):
        known = read(path)
        if any(token.name == name for token in known):
            raise AlreadyExistsError(f"there is a token {name}: revoke it first, or choose another name")
        write_private(path, serialise((*known, issued.token)))
    return issued


def revoke(path: Path, name: str) -> None:
    """Take a token away; a running server refuses it from the next call on.

    Raises:
        NotFoundError: there is none of this name.
        TokenFileError: as above.
    """
    with _locked(path):
        known = read(path)
        kept = [token for token in known if token.name != name]
        if len(kept) == len(known):
            raise NotFoundError("NAME", f"there is no token {name}: `becas-ft access token list` shows them")
        write_private(path, serialise(kept))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep two commands from losing each other's token."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Tokens:
    """The tokens of a file, followed as it changes; for one thread.

    A file that becomes unusable is logged, and what it held before counts on: a slip of an editor must not lock every
    bot out. A file that is taken away leaves no token.

    Raises: TokenFileError where the file is unusable to begin with.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _signature(path)
        self._tokens = read(path)

    def now(self) -> tuple[Token, ...]:
        """As the file stands at this moment."""
        seen = _signature(self._path)
        if seen != self._seen:
            self._seen = seen
            try:
                self._tokens = read(self._path)
                _log.info("tokens_loaded", tokens=len(self._tokens))
            except TokenFileError as error:
                _log.error("tokens_unusable", problem=str(error))
        return self._tokens

    def find(self, secret: str) -> Token | None:
        """The token of a secret, expired or not.

        Every hash is compared, in full: the time taken tells nothing of which was near.
        """
        presented, found = _hash(secret), None
        for token in self.now():
            if hmac.compare_digest(presented, token.sha256):
                found = token
        return found

    def holds(self, token: Token) -> bool:
        """Whether a token that was found earlier is neither revoked nor expired since."""
        return token in self.now() and not token.expired


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _signature(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
