"""TLS on a real server: certificates, their change, clients' own, and addresses beyond loopback."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from becas_ft.access import certificates
from becas_ft.access.folder import write_private
from becas_ft.access.roles import Role
from helpers.access import STATS, Keys, Metadata, answered, bearer, error_of, keys
from helpers.rpc import Details, code_of, details, raw_unary, until_error
from helpers.server import ServerProcess, ServerStarter, refused


@pytest.fixture
def made(data_dir: Path) -> Keys:
    """In the folder where a server looks."""
    return keys(data_dir / "access")


@pytest.fixture
def beyond(made: Keys, tmp_path: Path, data_dir: Path) -> Iterator[ServerProcess]:
    """A server that listens on every address, with what the bootstrap made."""
    assert made.secrets
    server = ServerProcess(data_dir, tmp_path / "server", listen="0.0.0.0:0").start()
    yield server
    server.kill()


def served_by(server: ServerProcess, made: Keys) -> Any:  # noqa: ANN401 - whatever the connection's context says
    """The certificate that a new connection is shown."""
    import ssl

    context = ssl.create_default_context(cadata=made.authority.certificate.decode())
    port = int(server.address.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        return secure.getpeercert()


def test_beyond_loopback(beyond: ServerProcess, made: Keys) -> None:
    """With what the bootstrap made a server listens on every address: by TLS, for tokens only."""
    with made.channel(beyond) as channel:
        assert not answered(channel, STATS)
        assert answered(channel, STATS, bearer(made.secrets[Role.ADMIN]))

    [line] = [line for line in beyond.log() if line["event"] == "serving"]
    assert (line["tls"], line["tokens_required"]) == (True, True)


def test_plaintext_is_not_answered(beyond: ServerProcess, made: Keys) -> None:
    """A client without TLS gets nothing from a port with it."""
    address = beyond.address.replace("0.0.0.0", "127.0.0.1")
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        error = error_of(channel, STATS, bearer(made.secrets[Role.ADMIN]))

    assert error is not None
    assert code_of(error) is grpc.StatusCode.UNAVAILABLE


def test_another_authority_is_not_trusted(beyond: ServerProcess, tmp_path: Path) -> None:
    """A client talks only to a server that its authority signed."""
    stranger = keys(tmp_path / "stranger")
    with stranger.channel(beyond) as channel:
        error = error_of(channel, STATS)

    assert error is not None
    assert code_of(error) is grpc.StatusCode.UNAVAILABLE


def test_a_new_certificate_without_a_restart(beyond: ServerProcess, made: Keys) -> None:
    """New connections see the new certificate, old ones go on; a pair that does not fit is not taken."""
    admin = bearer(made.secrets[Role.ADMIN])
    first = served_by(beyond, made)
    renewed = certificates.sign_server(made.authority, ["localhost", "127.0.0.1"])
    with made.channel(beyond) as before:
        assert answered(before, STATS, admin)

        write_private(made.folder.server_key, renewed.key)
        assert served_by(beyond, made) == first
        write_private(made.folder.server_cert, renewed.certificate)
        second = served_by(beyond, made)

        assert second["serialNumber"] != first["serialNumber"]
        assert answered(before, STATS, admin)
        with made.channel(beyond) as after:
            assert answered(after, STATS, admin)
        made.folder.server_cert.unlink()
        assert served_by(beyond, made) == served_by(beyond, made) == second
    mismatched, missing = [line["problem"] for line in beyond.log() if line["event"] == "tls_unusable"]
    assert "the key is not the certificate's" in mismatched
    assert "server.pem: No such file" in missing


def test_clients_with_certificates_only(start_server: ServerStarter, made: Keys) -> None:
    """With tls_client_ca a connection needs a certificate of that authority, and a call its token all the same."""
    settings = made.settings() | {"BECAS_FT_SERVER__TLS_CLIENT_CA": str(made.folder.ca)}
    server = start_server(**settings)
    admin = bearer(made.secrets[Role.ADMIN])
    stranger = certificates.sign_client(certificates.make_authority(), "my-bot")

    for client in (None, stranger):
        with made.channel(server, client) as channel:
            error = error_of(channel, STATS, admin)
            assert error is not None
            assert code_of(error) is grpc.StatusCode.UNAVAILABLE
    with made.channel(server, certificates.sign_client(made.authority, "my-bot")) as channel:
        assert answered(channel, STATS, admin)
        assert not answered(channel, STATS)


@pytest.fixture
def names(made: Keys) -> Path:
    """The list of names that may call."""
    path = made.folder.path / "clients.txt"
    path.write_text("# bots\nmy-bot  # of the harbour\n")
    return path


@pytest.fixture
def named(start_server: ServerStarter, made: Keys, names: Path) -> ServerProcess:
    """A server that wants certificates with certain names."""
    settings = {
        "BECAS_FT_SERVER__TLS_CLIENT_CA": str(made.folder.ca),
        "BECAS_FT_SERVER__TLS_CLIENT_NAMES": str(names),
    }
    return start_server(**made.settings(), **settings)


def test_certificates_of_certain_names_only(named: ServerProcess, made: Keys, names: Path) -> None:
    """Of the authority's certificates those count that have a name of the list; the list is read anew."""
    admin = bearer(made.secrets[Role.ADMIN])
    mine, other = (certificates.sign_client(made.authority, name) for name in ("My-Bot", "other-bot"))
    with made.channel(named, mine) as allowed, made.channel(named, other) as denied:
        assert answered(allowed, STATS, admin)
        told = denial(denied, admin)
        assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CERTIFICATE_NAME_NOT_ALLOWED")
        assert "server.tls_client_names" in told.message
        # Without a token the token is what is missing first.
        assert not answered(denied, STATS)

        names.write_text("other-bot\n")
        assert answered(denied, STATS, admin)
        assert denial(allowed, admin).reason == "CERTIFICATE_NAME_NOT_ALLOWED"
        names.unlink()
        assert answered(denied, STATS, admin)
    [problem] = [line["problem"] for line in named.log() if line["event"] == "client_certificates_unusable"]
    assert "clients.txt: No such file" in problem


def denial(channel: grpc.Channel, metadata: Metadata) -> Details:
    error = error_of(channel, STATS, metadata)
    assert error is not None
    return details(error)


def test_a_stream_ends_with_the_name_of_its_certificate(named: ServerProcess, made: Keys, names: Path) -> None:
    """A name that is taken off the list ends the streams of its certificate, idle ones too."""
    mine = certificates.sign_client(made.authority, "my-bot")
    with made.channel(named, mine) as channel:
        stream = subscribe(channel, bearer(made.secrets[Role.BOT]))
        time.sleep(1.5)
        assert not stream.done()
        names.write_text("")
        _, error = until_error(stream)

    assert details(error).reason == "CERTIFICATE_NAME_NOT_ALLOWED"


def test_streams_and_calls_end_with_the_authority(named: ServerProcess, made: Keys) -> None:
    """A replaced authority counts for connections that are open too: no call is answered, no stream goes on."""
    mine = certificates.sign_client(made.authority, "my-bot")
    admin = bearer(made.secrets[Role.ADMIN])
    with made.channel(named, mine) as channel:
        stream = subscribe(channel, admin)
        assert answered(channel, STATS, admin)
        write_private(made.folder.ca, certificates.make_authority().certificate)
        _, error = until_error(stream)
        told = denial(channel, admin)

    assert details(error).reason == told.reason == "CERTIFICATE_NOT_TRUSTED"
    assert told.code is grpc.StatusCode.UNAUTHENTICATED


def test_a_stream_ends_with_its_certificate(named: ServerProcess, made: Keys) -> None:
    """A certificate whose time is over counts no longer, on connections that were made before too."""
    brief = certificates.sign_client(made.authority, "my-bot", days=4 / 86_400)
    admin = bearer(made.secrets[Role.ADMIN])
    with made.channel(named, brief) as channel:
        stream = subscribe(channel, admin)
        assert answered(channel, STATS, admin)
        _, error = until_error(stream)
        told = denial(channel, admin)

    assert details(error).reason == told.reason == "CERTIFICATE_NOT_TRUSTED"


def subscribe(channel: grpc.Channel, metadata: Metadata) -> Any:  # noqa: ANN401 - a call
    """A stream on which nothing happens."""
    call: Any = channel.unary_stream("/becas.ft.v1.EventService/Subscribe")
    return call(b"", timeout=30, metadata=metadata)


def test_no_open_port_without_tls_and_tokens(data_dir: Path) -> None:
    """Every other address is refused with both remedies, before anything is opened."""
    for address in ("0.0.0.0:0", "[::]:0", "becas.example:0"):
        said = refused(data_dir, "--listen", address)

        assert f"server.listen: {address} is open to others and needs TLS: run `becas-ft access init" in said
        assert f"server.listen: {address} needs tokens" in said
    assert not data_dir.exists()


def test_no_open_port_without_tokens(data_dir: Path, made: Keys) -> None:
    """TLS alone is not enough, nor are tokens that are not asked for."""
    said = refused(data_dir, "--listen", "0.0.0.0:0", BECAS_FT_SERVER__REQUIRE_TOKENS="false")
    assert "server.require_tokens: 0.0.0.0:0 is open to others" in said

    made.folder.tokens.unlink()
    said = refused(data_dir, "--listen", "0.0.0.0:0")
    assert "needs tokens" in said
    assert "needs TLS" not in said


def test_no_open_port_without_tls(data_dir: Path, made: Keys) -> None:
    """Tokens alone are not enough: they would travel in plain text."""
    made.folder.server_cert.unlink()

    said = refused(data_dir, "--listen", "0.0.0.0:0")

    assert "needs TLS" in said
    assert "needs tokens" not in said


def test_unusable_files_are_named(data_dir: Path, made: Keys) -> None:
    """A certificate, key or authority that is missing, damaged or open to others ends the start with its name."""
    folder = made.folder
    settings = made.settings()
    cases = [
        ({"BECAS_FT_SERVER__TLS_CERT": "/nowhere.pem"}, "/nowhere.pem: No such file"),
        ({"BECAS_FT_SERVER__TLS_KEY": str(folder.ca_key)}, "the key is not the certificate's"),
        ({"BECAS_FT_SERVER__TLS_KEY": str(folder.ca)}, "no PEM key"),
        ({"BECAS_FT_SERVER__TLS_CERT": str(folder.tokens)}, "no PEM certificate"),
        ({"BECAS_FT_SERVER__TLS_CLIENT_CA": str(folder.tokens)}, "tokens.json: no PEM certificate"),
        ({"BECAS_FT_SERVER__TLS_CLIENT_NAMES": "/nowhere"}, "server.tls_client_names: needs server.tls_client_ca"),
        (
            {"BECAS_FT_SERVER__TLS_CLIENT_CA": str(folder.ca), "BECAS_FT_SERVER__TLS_CLIENT_NAMES": "/nowhere"},
            "server.tls_client_names: /nowhere: No such file",
        ),
        ({"BECAS_FT_SERVER__TLS_KEY": ""}, "tls_cert and tls_key: name both, or neither"),
    ]
    for changed, problem in cases:
        assert problem in refused(data_dir, "--listen", "127.0.0.1:0", **(settings | changed))
    folder.server_key.chmod(0o644)
    assert "server.key: everyone may read it: chmod 600" in refused(data_dir, "--listen", "127.0.0.1:0", **settings)


def test_limits_of_a_connection(start_server: ServerStarter) -> None:
    """More connections than allowed are not served, and metadata beyond its limit is refused."""
    server = start_server(BECAS_FT_SERVER__MAX_CONNECTIONS="2", BECAS_FT_SERVER__MAX_METADATA_BYTES="4096")
    method = "/becas.ft.v1.IngestService/Ingest"
    with server.channel(use_local_subchannel_pool=1) as first, server.channel(use_local_subchannel_pool=1) as second:
        for channel in (first, second):
            assert raw_unary(channel, method)(b"", timeout=30) == b""
        with server.channel(use_local_subchannel_pool=1) as third:
            error = error_of(third, method, request=b"")
            assert error is not None
            assert code_of(error) is grpc.StatusCode.UNAVAILABLE
        error = error_of(first, method, (("x-large", "a" * 6000),), request=b"")
        assert error is not None
        assert code_of(error) is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_connection_ends_some_time_after_its_age(start_server: ServerStarter) -> None:
    """What is still open on an old connection after its time of grace ends with it; its client connects anew."""
    ages = {"BECAS_FT_SERVER__MAX_CONNECTION_AGE_SECONDS": "1", "BECAS_FT_SERVER__MAX_CONNECTION_GRACE_SECONDS": "2"}
    server = start_server(**ages)
    with server.channel() as channel:
        began = time.monotonic()
        _, error = until_error(subscribe(channel, ()))

        assert code_of(error) is grpc.StatusCode.UNAVAILABLE
        assert 2 < time.monotonic() - began < 20
        assert raw_unary(channel, "/becas.ft.v1.IngestService/Ingest")(b"", timeout=30) == b""


def test_a_connection_that_is_old_is_renewed(start_server: ServerStarter) -> None:
    """Past its age a connection ends once its calls have; clients connect anew and notice nothing."""
    server = start_server(BECAS_FT_SERVER__MAX_CONNECTION_AGE_SECONDS="1")
    with server.channel() as channel:
        states: list[grpc.ChannelConnectivity] = []
        channel.subscribe(states.append)
        call = raw_unary(channel, "/becas.ft.v1.IngestService/Ingest")
        stream: Any = channel.stream_stream("/becas.ft.v1.IngestService/IngestStream")
        turn = iter([b"", b""])

        def slowly() -> Iterator[bytes]:
            for request in turn:
                yield request
                time.sleep(2.5)

        assert call(b"", timeout=30) == b""
        assert list(stream(slowly(), timeout=60)) == [b"", b""]
        assert call(b"", timeout=30) == b""
        until = time.monotonic() + 15
        # A channel whose connection has ended is idle until its next call.
        while grpc.ChannelConnectivity.IDLE not in states[states.index(grpc.ChannelConnectivity.READY) :]:
            assert time.monotonic() < until, "the connection was never renewed"
            time.sleep(0.05)
