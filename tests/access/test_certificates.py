"""Certificates: what they say, and what is refused."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from becas_ft.access import certificates
from becas_ft.access.folder import create
from becas_ft.errors import AlreadyExistsError, InvalidArgumentError


@pytest.fixture(scope="module")
def authority() -> certificates.Signed:
    """An authority."""
    return certificates.make_authority()


def test_a_server_is_who_it_says(authority: certificates.Signed) -> None:
    """A verifier with the authority accepts the server by each of its names, and by no other."""
    signed = certificates.sign_server(authority, ["becas.example", "192.0.2.7", "::1", "becas.example"])
    leaf = x509.load_pem_x509_certificate(signed.certificate)
    policy = PolicyBuilder().store(Store([x509.load_pem_x509_certificate(authority.certificate)]))

    for subject in (x509.DNSName("becas.example"), x509.IPAddress(ipaddress.ip_address("::1"))):
        policy.build_server_verifier(subject).verify(leaf, [])
    with pytest.raises(x509.verification.VerificationError):
        policy.build_server_verifier(x509.DNSName("other.example")).verify(leaf, [])
    assert certificates.hosts_of(signed.certificate) == ["becas.example", "192.0.2.7", "::1"]
    left = certificates.expiry(signed.certificate) - datetime.now(UTC)
    assert timedelta(days=824) < left <= timedelta(days=825)


def test_a_client_is_no_server(authority: certificates.Signed) -> None:
    """Whoever has a client's certificate cannot pose as the server."""
    signed = certificates.sign_client(authority, "my-bot")
    leaf = x509.load_pem_x509_certificate(signed.certificate)
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]


@pytest.mark.parametrize("host", ["", "https://becas.example", "becas.example:50051", "a b", "x" * 64 + ".example"])
def test_hosts_are_names_or_addresses(authority: certificates.Signed, host: str) -> None:
    """Whatever a client could not call by is refused."""
    with pytest.raises(InvalidArgumentError, match="--host"):
        certificates.sign_server(authority, [host])


def test_a_pair_belongs_together(authority: certificates.Signed) -> None:
    """Another key, or bytes that are none, are told apart from a pair."""
    one, other = (certificates.sign_server(authority, ["localhost"]) for _ in range(2))

    certificates.check_pair(one.certificate, one.key)
    for certificate, key in ((one.certificate, other.key), (one.certificate, b""), (b"nothing", one.key)):
        with pytest.raises(certificates.CertificateError):
            certificates.check_pair(certificate, key)
    with pytest.raises(certificates.CertificateError, match=r"ca\.key is not the key of ca\.pem"):
        certificates.sign_server(certificates.Signed(authority.certificate, other.key), ["localhost"])


def test_the_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    """What is there is not overwritten, and nothing half-made stays."""
    create(tmp_path / "access", {"a": b"1"})

    with pytest.raises(AlreadyExistsError, match="is there already"):
        create(tmp_path / "access", {"a": b"2"})
    assert (tmp_path / "access" / "a").read_bytes() == b"1"
    assert (tmp_path / "access" / "a").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["access"]
