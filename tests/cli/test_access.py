"""`becas-ft access`, and commands that call a guarded server."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from becas_ft.cli.connection import connect
from helpers.access import keys
from helpers.server import CommandLine, ServerProcess, ServerStarter, environment


@pytest.fixture
def admin(offline_cli: CommandLine, data_dir: Path) -> str:
    """The token that the bootstrap printed."""
    made = offline_cli("access", "init", "--host", "becas.example", "--data-dir", data_dir, "--json", kept=False)
    assert made.code == 0, made.stderr
    secret: str = made.json()["token"]
    return secret


@pytest.fixture
def beyond(admin: str, tmp_path: Path, data_dir: Path) -> Iterator[ServerProcess]:
    """A server that listens on every address, as the bootstrap says."""
    assert admin
    server = ServerProcess(data_dir, tmp_path / "server", listen="0.0.0.0:0").start()
    server.address = server.address.replace("0.0.0.0", "localhost")
    yield server
    server.kill()


def test_one_command_makes_everything(offline_cli: CommandLine, data_dir: Path) -> None:
    """Authority, certificate, first token; what to do next stands there; a second time nothing is overwritten."""
    hosts = ("--host", "becas.example", "--host", "192.0.2.7")
    done = offline_cli("access", "init", *hosts, "--data-dir", data_dir, kept=False)
    before = {path.name: path.read_bytes() for path in (data_dir / "access").iterdir()}
    again = offline_cli("access", "init", "--data-dir", data_dir)

    assert done.code == 0
    assert sorted(before) == ["ca.key", "ca.pem", "server.key", "server.pem", "tokens.json"]
    assert done.stdout.count("becas_ft_") == 1
    assert "for localhost, 127.0.0.1, ::1, becas.example, 192.0.2.7" in done.stdout
    assert f"becas-ft serve --data-dir {data_dir} --listen 0.0.0.0:50051" in done.stdout
    assert "export BECAS_FT_SERVER=192.0.2.7:50051 BECAS_FT_CA=ca.pem BECAS_FT_TOKEN_FILE=token" in done.stdout
    assert again.code == 1
    assert "is there already" in again.stderr
    assert before == {path.name: path.read_bytes() for path in (data_dir / "access").iterdir()}


def test_another_folder(offline_cli: CommandLine, tmp_path: Path) -> None:
    """Certificates and tokens can lie elsewhere; the commands that are shown say so."""
    folder = tmp_path / "keys"

    done = offline_cli("access", "init", "--access-dir", folder, kept=False)

    assert done.code == 0
    assert (folder / "tokens.json").exists()
    assert f"becas-ft serve --access-dir {folder} --listen" in done.stdout


def test_tokens_are_added_listed_and_revoked(offline_cli: CommandLine, admin: str, data_dir: Path) -> None:
    """Each name with role and times; the token itself only when it is made."""
    where = ("--data-dir", data_dir)
    until = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S")
    added = offline_cli(
        "access", "token", "add", "my-bot", "--role", "bot", "--expires", until, *where, "--json", kept=False
    )
    listed = offline_cli("access", "token", "list", *where, "--json")
    table = offline_cli("access", "token", "list", *where).stdout
    revoked = offline_cli("access", "token", "revoke", "my-bot", *where)
    again = offline_cli("access", "token", "revoke", "my-bot", *where)
    past = offline_cli("access", "token", "add", "old", "--role", "bot", "--expires", "2020-01-01", *where)
    role = offline_cli("access", "token", "add", "old", "--role", "king", *where)

    made = added.json()
    assert made["token"].startswith("becas_ft_")
    assert [(one["name"], one["role"], one["expires"]) for one in listed.json()["tokens"]] == [
        ("admin", "admin", None),
        ("my-bot", "bot", f"{until}Z"),
    ]
    for shown in (listed.stdout, table):
        assert not any(secret in shown for secret in (admin, made["token"]))
    assert (revoked.code, again.code, past.code, role.code) == (0, 1, 1, 2)
    assert "token list" in again.stderr
    assert "--expires: this time is over" in past.stderr


def test_renewal(offline_cli: CommandLine, admin: str, data_dir: Path) -> None:
    """A new certificate for the same names, by the same authority; without the authority's key it is not made."""
    assert admin
    folder = data_dir / "access"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = offline_cli("access", "renew", "--data-dir", data_dir)
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "ca.key").unlink()
    without = offline_cli("access", "renew", "--data-dir", data_dir)

    assert done.code == 0
    assert "becas.example" in done.stdout
    assert {name for name in before if before[name] != after[name]} == {"server.pem", "server.key"}
    assert without.code == 1
    assert "ca.key: No such file" in without.stderr


def test_a_client_certificate(offline_cli: CommandLine, admin: str, data_dir: Path, inputs: Path) -> None:
    """Certificate and key in files of the client's name, and the settings of both sides."""
    assert admin
    done = offline_cli("access", "client", "my-bot", "--out", inputs, "--data-dir", data_dir)
    wrong = offline_cli("access", "client", "../my-bot", "--data-dir", data_dir)

    assert done.code == 0
    assert sorted(path.name for path in inputs.iterdir()) == ["my-bot.key", "my-bot.pem"]
    assert (inputs / "my-bot.key").stat().st_mode & 0o777 == 0o600
    assert "BECAS_FT_SERVER__TLS_CLIENT_CA=" in done.stdout
    assert wrong.code == 2


def test_commands_call_a_guarded_server(beyond: ServerProcess, admin: str, inputs: Path, tmp_path: Path) -> None:
    """With authority and token, from the environment or as options, commands work; each error names its remedy."""
    file = inputs / "token"
    file.write_text(f"{admin}\n")
    authority = str(beyond.data_dir / "access" / "ca.pem")
    call = CommandLine(tmp_path / "cli", beyond.address)
    named = ("--ca", authority, "--token-file", file)
    scams = ("--category", "scam_detection", "--out", inputs / "set")

    by_variable = call("stats", "--json", BECAS_FT_CA=authority, BECAS_FT_TOKEN=admin)
    by_option = call(*named, "stats", "--json")
    streamed = call(*named, "export", *scams)
    without = call("stats", BECAS_FT_CA=authority)
    wrong = call("stats", BECAS_FT_CA=authority, BECAS_FT_TOKEN=admin[:-1])
    plain = call("stats", BECAS_FT_TOKEN=admin)
    no_file = call("--ca", authority, "--token-file", "nowhere", "stats")

    assert by_variable.code == by_option.code == 0, by_variable.stderr
    assert by_variable.json() == by_option.json()
    assert "UNAUTHENTICATED" not in streamed.stderr
    assert (without.code, wrong.code, plain.code, no_file.code) == (1, 1, 3, 2)
    assert "reason: TOKEN_MISSING" in without.stderr
    assert "reason: TOKEN_UNKNOWN" in wrong.stderr
    assert "where it serves TLS, name its ca.pem with BECAS_FT_CA" in plain.stderr
    assert "BECAS_FT_TOKEN_FILE: nowhere: No such file" in no_file.stderr
    beyond.stop()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or admin.removeprefix("becas_ft_").encode() not in path.read_bytes(), path


def test_no_token_leaves_this_machine_in_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """To another machine commands speak TLS only, whatever is set."""
    plain: list[str] = []
    monkeypatch.setenv("BECAS_FT_TOKEN", "becas_ft_x")
    monkeypatch.delenv("BECAS_FT_CA", raising=False)
    opened = grpc.insecure_channel

    def open_plainly(server: str, options: Sequence[tuple[str, object]]) -> grpc.Channel:
        plain.append(server)
        return opened(server, options)

    monkeypatch.setattr(grpc, "insecure_channel", open_plainly)
    for server in ("192.0.2.7:50051", "becas.example:50051", "[2001:db8::1]:50051"):
        with connect(server):
            pass

    assert plain == []


def test_grpcurl(start_server: ServerStarter, data_dir: Path) -> None:
    """The documented way of calling with grpcurl."""
    grpcurl = shutil.which("grpcurl") or shutil.which("grpcurl", path=str(Path(sys.executable).parent))
    if grpcurl is None:
        pytest.skip("there is no grpcurl: make grpcurl")
    made = keys(data_dir / "access")
    server = start_server(**made.settings())
    trust: list[str | Path] = [grpcurl, "-cacert", made.folder.ca]

    def run(*options: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*trust, *options],
            env=environment(no_proxy="*"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    labeller = ("-H", f"authorization: Bearer {made.secrets['labeller']}")
    listed = run(*labeller, server.address, "list")
    stats = run(*labeller, server.address, "becas.ft.v1.DatasetService/GetTrainingStats")
    forget = run(*labeller, "-d", '{"user_id": "1"}', server.address, "becas.ft.v1.DatasetService/Forget")
    nobody = run(server.address, "list")

    assert "becas.ft.v1.IngestService" in listed.stdout
    assert len(json.loads(stats.stdout)["categories"]) == 14
    assert "PermissionDenied" in forget.stderr
    assert "needs a token" in nobody.stderr
