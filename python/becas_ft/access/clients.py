"""Which client certificates count: by whom they are signed, until when, and for which names."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

from becas_ft.access.certificates import CertificateError, load, names_of
from becas_ft.errors import PermissionDeniedError, UnauthenticatedError

# Certificates that were looked at: parsing and verifying one takes as long as a small call.
_KNOWN: Final = 1_000
# Whether it may be a client's at all was settled when the connection was made; here only who signed it counts.
_CLIENT: Final = ExtensionPolicy.permit_all()
_AUTHORITY: Final = _CLIENT.require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
_REMEDY: Final = "`becas-ft access client` makes one"

_log = structlog.get_logger("becas_ft.access")


class ClientCertificates:
    """The certificates of clients, followed as the files change; for one thread.

    TLS itself looks at a certificate once, when a connection is made; this looks at each call and each open stream, so
    that a name that is taken off the list, an authority that is replaced and a certificate that ends count at once.
    Files that become unusable are logged, and what they held before counts on.

    Arguments:
        authorities: PEM; a certificate counts while one of them vouches for it.
        names: a file of names, one a line, `#` begins a comment; a certificate counts with one of them among its
            subject alternative names (DNS name, URI, e-mail or IP address). None: every name counts.

    Raises: CertificateError where a file is unusable to begin with.
    """

    def __init__(self, authorities: Path, names: Path | None) -> None:
        self._authorities = authorities
        self._names = names
        self._seen = self._signature()
        self._store, self._allowed = self._read()
        self._known: dict[bytes, x509.Certificate | None] = {}

    @property
    def state(self) -> object:
        """Another object whenever a file has changed: what was accepted before must be looked at again."""
        self._follow()
        return self._store, self._allowed

    def check(self, certificate: bytes, chain: bytes) -> None:
        """Make sure that a certificate counts at this moment.

        Arguments:
            certificate: the client's, PEM.
            chain: what the client sent beside it, PEM; may be empty.

        Raises:
            UnauthenticatedError: it has ended, or no authority vouches for it any longer.
            PermissionDeniedError: none of its names is on the list.
        """
        self._follow()
        if certificate not in self._known:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[certificate] = self._vouched(certificate, chain)
        found = self._known[certificate]
        if found is None or found.not_valid_after_utc <= datetime.now(UTC):
            raise UnauthenticatedError(
                f"this client certificate has ended, or its authority is trusted no longer: {_REMEDY}",
                reason="CERTIFICATE_NOT_TRUSTED",
            )
        if self._allowed is not None and self._allowed.isdisjoint(names_of(found)):
            raise PermissionDeniedError(
                "this client certificate has none of the names that may call here: add one of its subject alternative"
                " names to the file that server.tls_client_names names",
                reason="CERTIFICATE_NAME_NOT_ALLOWED",
            )

    def _follow(self) -> None:
        seen = self._signature()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._store, self._allowed = self._read()
        except CertificateError as error:
            _log.error("client_certificates_unusable", problem=str(error))
            return
        self._known.clear()
        _log.info("client_certificates_loaded", names=None if self._allowed is None else len(self._allowed))

    def _read(self) -> tuple[Store, frozenset[str] | None]:
        try:
            store = Store(load(self._authorities.read_bytes()))
            allowed = None if self._names is None else _lines(self._names)
        except OSError as error:
            raise CertificateError(f"{error.filename}: {error.strerror}") from error
        except CertificateError as error:
            raise CertificateError(f"{self._authorities}: {error}") from error
        return store, allowed

    def _vouched(self, certificate: bytes, chain: bytes) -> x509.Certificate | None:
        """The certificate; None where no authority vouches for it."""
        leaf, between = load(certificate)[0], load(chain) if chain else []
        # Built each time: a verifier looks at the clock when it is built.
        verifier = (
            PolicyBuilder()
            .store(self._store)
            .extension_policies(ca_policy=_AUTHORITY, ee_policy=_CLIENT)
            .build_client_verifier()
        )
        try:
            verifier.verify(leaf, between)
        except VerificationError:
            return None
        return leaf

    def _signature(self) -> tuple[int, ...]:
        """What changes with either file; nothing where one is missing, which reading them then reports."""
        try:
            found = [path.stat() for path in (self._authorities, self._names) if path is not None]
        except OSError:
            return ()
        return tuple(number for one in found for number in (one.st_ino, one.st_size, one.st_mtime_ns))


def _lines(path: Path) -> frozenset[str]:
    """The names of a file; names of hosts are equal in any case."""
    lines = (line.partition("#")[0].strip().lower() for line in path.read_text(encoding="utf-8").splitlines())
    return frozenset(line for line in lines if line)
