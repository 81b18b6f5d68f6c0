"""TLS: the certificate that is served, read anew when its files change."""

import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import grpc
import structlog

from becas_ft.access import certificates
from becas_ft.errors import ConfigurationError

# A key that everyone on the machine can read protects nothing; a group of its own may.
_OTHERS: Final = 0o007
_WARNING_DAYS: Final = 30

_log = structlog.get_logger("becas_ft.server")


class Certificate:
    """The files of one certificate; gRPC asks for them at every connection, from threads of its own.

    Files that are unusable, or do not belong together while one of them is being replaced, are logged once, and the
    connection gets the certificate before.

    Arguments:
        certificate: PEM chain.
        key: of the chain.
        client_ca: authorities whose certificates clients must show; None: clients need none.

    Raises: ConfigurationError where a file is unusable to begin with.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._lock = threading.Lock()
        self._seen = self._signature()
        self._http_seen: tuple[int, ...] = ()
        try:
            self._first = self._read()
        except certificates.CertificateError as error:
            raise ConfigurationError([f"server.tls_cert: {error}"]) from error

    def credentials(self) -> grpc.ServerCredentials:
        """What a port is opened with."""
        fetch: Callable[[], grpc.ServerCertificateConfiguration] = self._changed  # type: ignore[assignment]  # gRPC takes None for no change
        return grpc.dynamic_ssl_server_credentials(
            self._first, fetch, require_client_authentication=self._client_ca is not None
        )

    def context(self) -> ssl.SSLContext:
        """The same for HTTP; each handshake sees what the files hold by then."""
        served = self._context()

        def renew(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
            nonlocal served
            del name, context
            if self._signature() != self._http_seen:
                try:
                    served = self._context()
                except (certificates.CertificateError, OSError) as error:
                    _log.error("tls_unusable", problem=str(error))
            connection.context = served

        # Called at every handshake, whether or not the client names a host.
        served.sni_callback = renew
        return served

    def _context(self) -> ssl.SSLContext:
        self._http_seen = self._signature()
        self._read()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._certificate, self._key)
        if self._client_ca is not None:
            context.load_verify_locations(self._client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def hosts(self) -> list[str]:
        """The names and addresses that it is for."""
        return certificates.hosts_of(_bytes(self._certificate))

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        with self._lock:
            seen = self._signature()
            if seen == self._seen:
                return None
            self._seen = seen
            try:
                return self._read()
            except certificates.CertificateError as error:
                _log.error("tls_unusable", problem=str(error))
                return None

    def _read(self) -> grpc.ServerCertificateConfiguration:
        chain, key = _bytes(self._certificate), _bytes(self._key)
        try:
            certificates.check_pair(chain, key)
        except certificates.CertificateError as error:
            raise certificates.CertificateError(f"{self._certificate}, {self._key}: {error}") from error
        if self._key.stat().st_mode & _OTHERS:
            raise certificates.CertificateError(f"{self._key}: everyone may read it: chmod 600 it")
        authorities = None
        if self._client_ca is not None:
            authorities = _bytes(self._client_ca)
            try:
                certificates.check_authorities(authorities)
            except certificates.CertificateError as error:
                raise certificates.CertificateError(f"{self._client_ca}: {error}") from error
        ends = certificates.expiry(chain)
        days = (ends - datetime.now(UTC)).days
        write = _log.warning if days < _WARNING_DAYS else _log.info
        write("tls_loaded", ends=ends.isoformat(), days_left=days, client_certificates=authorities is not None)
        return grpc.ssl_server_certificate_configuration([(key, chain)], authorities)

    def _signature(self) -> tuple[int, ...]:
        """What changes with any of the files; nothing where one is missing, which reading them then reports."""
        paths = [self._certificate, self._key, *([self._client_ca] if self._client_ca else ())]
        try:
            found = [path.stat() for path in paths]
        except OSError:
            return ()
        return tuple(number for one in found for number in (one.st_ino, one.st_size, one.st_mtime_ns, one.st_mode))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise certificates.CertificateError(f"{path}: {error.strerror}") from error
