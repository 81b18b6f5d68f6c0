"""A private certificate authority, and the certificates that it signs."""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from becas_ft.errors import BecasError, InvalidArgumentError

CA_DAYS: Final = 3650
CERTIFICATE_DAYS: Final = 825
# Clocks of clients go slow now and then.
_BEFORE: Final = timedelta(hours=1)
_NO_USAGE: Final = {
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "encipher_only": False,
    "decipher_only": False,
}


class CertificateError(BecasError):
    """A certificate or its key is unusable; the message says why."""


class Signed(NamedTuple):
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes


def make_authority() -> Signed:
    """A new authority; it signs servers and clients, and no other authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("becas-ft private CA")
    built = (
        _builder(name, name, key.public_key(), CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=False, key_cert_sign=True, crl_sign=True, **_NO_USAGE), critical=True
        )
        .sign(key, hashes.SHA256())
    )
    return _pem(built, key)


def sign_server(authority: Signed, hosts: Sequence[str]) -> Signed:
    """A certificate for a server.

    Arguments:
        authority: that signs it.
        hosts: DNS names and IP addresses by which clients call the server; at least one.

    Raises: InvalidArgumentError for a host that is neither.
    """
    names = x509.SubjectAlternativeName([_host(host) for host in dict.fromkeys(hosts)])
    return _sign(authority, "becas-ft server", ExtendedKeyUsageOID.SERVER_AUTH, names)


def sign_client(authority: Signed, name: str, days: float = CERTIFICATE_DAYS) -> Signed:
    """A certificate for a client, for servers that ask for one; its name is its subject alternative name too."""
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    return _sign(authority, name, ExtendedKeyUsageOID.CLIENT_AUTH, names, days)


def hosts_of(certificate: bytes) -> list[str]:
    """The names and addresses that a certificate is for; empty where it is for none."""
    return names_of(load(certificate)[0])


def names_of(certificate: x509.Certificate) -> list[str]:
    """The subject alternative names of a certificate, in lower case: DNS names, URIs, e-mail and IP addresses."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    texts = [
        name
        for kind in (x509.DNSName, x509.UniformResourceIdentifier, x509.RFC822Name)
        for name in names.get_values_for_type(kind)
    ]
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return [name.lower() for name in (*texts, *addresses)]


def expiry(certificate: bytes) -> datetime:
    """When the first certificate of a chain ends.

    Raises: CertificateError where it is none.
    """
    return load(certificate)[0].not_valid_after_utc


def check_authorities(certificates: bytes) -> None:
    """Make sure that PEM bytes are certificates.

    Raises: CertificateError where they are not.
    """
    load(certificates)


def check_pair(certificate: bytes, key: bytes) -> None:
    """Make sure that a chain and a key belong together.

    Raises: CertificateError where one is unusable, or they do not.
    """
    leaf = load(certificate)[0]
    if _public(_load_key(key).public_key()) != _public(leaf.public_key()):
        raise CertificateError("the key is not the certificate's: name the two that were made together")


def _sign(
    authority: Signed,
    name: str,
    usage: x509.ObjectIdentifier,
    names: x509.SubjectAlternativeName,
    days: float = CERTIFICATE_DAYS,
) -> Signed:
    issuer = load(authority.certificate)[0]
    signer = _load_key(authority.key)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(_name(name), issuer.subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=False, crl_sign=False, **_NO_USAGE), critical=True
        )
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(names, critical=False)
    )
    signed = builder.sign(signer, hashes.SHA256())
    try:
        signed.verify_directly_issued_by(issuer)
    except InvalidSignature as error:
        raise CertificateError("ca.key is not the key of ca.pem: restore the two together") from error
    return _pem(signed, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: float
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        name = host.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not name or any(character in name for character in ":/ "):
        raise InvalidArgumentError("--host", f"{host!r} is no name and no IP address: write it without port and scheme")
    return x509.DNSName(name)


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Signed:
    return Signed(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def load(pem: bytes) -> list[x509.Certificate]:
    """The certificates of PEM bytes; at least one.

    Raises: CertificateError where there is none.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise CertificateError("no PEM certificate: it begins with -----BEGIN CERTIFICATE-----") from error


def _load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        # Whatever kind the operator's own server key is of: it only has to have a public half.
        return serialization.load_pem_private_key(pem, password=None)  # type: ignore[return-value]
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError("no PEM key without a password: it begins with -----BEGIN PRIVATE KEY-----") from error


def _public(key: object) -> bytes:
    return key.public_bytes(  # type: ignore[attr-defined, no-any-return]  # every kind of public key has it
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
