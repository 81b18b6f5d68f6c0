"""`becas-ft access`: certificates and tokens."""

import json
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from becas_ft.access.roles import Role
from becas_ft.cli.options import Json

if TYPE_CHECKING:
    from becas_ft.access.certificates import Signed
    from becas_ft.access.folder import AccessFolder

LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
_FIRST: Final = "admin"
_CLIENT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

DataDir = Annotated[Path | None, typer.Option(help="The server's data directory.")]
AccessDir = Annotated[
    Path | None, typer.Option(help="Another folder than DATA_DIR/access; the server's setting server.access_dir.")
]
ConfigFile = Annotated[Path | None, typer.Option(envvar="BECAS_FT_CONFIG", help="The server's configuration.")]
Host = Annotated[
    list[str] | None,
    typer.Option("--host", metavar="NAME", help="A name or IP address that clients call; repeatable."),
]

access = typer.Typer(help="Make certificates and tokens; works on the server's machine.", no_args_is_help=True)
token = typer.Typer(help="Make, list and revoke tokens; a running server follows at once.", no_args_is_help=True)
access.add_typer(token, name="token")


@access.command()
def init(
    host: Host = None,
    data_dir: DataDir = None,
    access_dir: AccessDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Make an authority, a server certificate and the first admin token, which is printed once."""
    from becas_ft.access import certificates, tokens
    from becas_ft.access.folder import create

    folder = _folder(data_dir, access_dir, config)
    # Without names, the machine's own: what it is called from beside it.
    hosts = [*LOCAL_HOSTS, *(host or [platform.node() or "localhost"])]
    authority = certificates.make_authority()
    server = certificates.sign_server(authority, hosts)
    issued = tokens.issue(_FIRST, Role.ADMIN)
    create(
        folder.path,
        {
            folder.ca.name: authority.certificate,
            folder.ca_key.name: authority.key,
            folder.server_cert.name: server.certificate,
            folder.server_key.name: server.key,
            folder.tokens.name: tokens.serialise([issued.token]),
        },
    )
    ends = certificates.expiry(server.certificate)
    if as_json:
        facts = {"folder": str(folder.path), "ca": str(folder.ca), "hosts": certificates.hosts_of(server.certificate)}
        typer.echo(json.dumps(facts | {"ends": ends.isoformat(), "token": issued.secret}))
        return
    where = _options(data_dir, access_dir, config)
    typer.echo(
        f"""made in {folder.path}:
  ca.pem        the authority's certificate: clients need it
  ca.key        its key: the server does not; move it to a safe place and bring it back to renew
  server.pem    for {", ".join(hosts)}; ends {ends:%Y-%m-%d}
  server.key    its key
  tokens.json   hashes of tokens

The first token, of the role admin, is shown this once and stored nowhere:

  {issued.secret}

Next, on this machine:

  becas-ft serve{where} --listen 0.0.0.0:50051
  becas-ft access token add my-bot --role bot{where}

On a client that has a copy of ca.pem, with its token in a file:

  export BECAS_FT_SERVER={hosts[-1]}:50051 BECAS_FT_CA=ca.pem BECAS_FT_TOKEN_FILE=token
  becas-ft stats
  grpcurl -cacert ca.pem -H "authorization: Bearer $(cat token)" {hosts[-1]}:50051 list"""
    )


@access.command()
def renew(host: Host = None, data_dir: DataDir = None, access_dir: AccessDir = None, config: ConfigFile = None) -> None:
    """Make a new server certificate, by default for the hosts of the old one; a running server takes it at once."""
    from becas_ft.access import certificates
    from becas_ft.access.folder import write_private

    folder = _folder(data_dir, access_dir, config)
    hosts = [*LOCAL_HOSTS, *host] if host else certificates.hosts_of(folder.server_cert.read_bytes())
    signed = certificates.sign_server(_authority(folder), hosts)
    write_private(folder.server_key, signed.key)
    write_private(folder.server_cert, signed.certificate)
    ends = certificates.expiry(signed.certificate)
    typer.echo(f"renewed {folder.server_cert} for {', '.join(hosts)}; ends {ends:%Y-%m-%d}")


@access.command()
def client(
    name: Annotated[str, typer.Argument(help="Whose certificate; stands in it.")],
    out: Annotated[Path, typer.Option(help="The folder for NAME.pem and NAME.key.")] = Path(),
    data_dir: DataDir = None,
    access_dir: AccessDir = None,
    config: ConfigFile = None,
) -> None:
    """Make a client certificate, for a server with server.tls_client_ca; the client's token is still needed.

    NAME is its subject alternative name: what the file that server.tls_client_names names lets in.
    """
    from becas_ft.access import certificates
    from becas_ft.access.folder import write_private
    from becas_ft.errors import UsageError

    if not _CLIENT_NAME.fullmatch(name):
        raise UsageError("NAME: write 1 to 63 letters, digits, '.', '_' and '-', a letter or digit first")
    folder = _folder(data_dir, access_dir, config)
    signed = certificates.sign_client(_authority(folder), name)
    out.mkdir(parents=True, exist_ok=True)
    write_private(out / f"{name}.key", signed.key)
    write_private(out / f"{name}.pem", signed.certificate)
    ends = certificates.expiry(signed.certificate)
    typer.echo(
        f"made {out / name}.pem and .key; end {ends:%Y-%m-%d}\n"
        f"server: BECAS_FT_SERVER__TLS_CLIENT_CA={folder.ca}\n"
        f"client: BECAS_FT_CLIENT_CERT={out / name}.pem BECAS_FT_CLIENT_KEY={out / name}.key"
    )


@token.command()
def add(
    name: Annotated[str, typer.Argument(help="Whose token; stands in logs and in the audit log.")],
    *,
    role: Annotated[Role, typer.Option(help="What it may do.")],
    expires: Annotated[datetime | None, typer.Option(help="Refused from then on (UTC); without: never.")] = None,
    data_dir: DataDir = None,
    access_dir: AccessDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Make a token; it is printed once."""
    from becas_ft.access import tokens

    path = _folder(data_dir, access_dir, config).tokens
    until = None if expires is None else expires.replace(tzinfo=UTC)
    issued = tokens.add(path, name, role, until)
    if as_json:
        typer.echo(json.dumps(_facts(issued.token) | {"token": issued.secret}))
        return
    typer.echo(f"{path}: {name}, role {role}. This token is shown once and stored nowhere:\n\n  {issued.secret}\n")
    typer.echo("The client needs it in BECAS_FT_TOKEN, or in the file that BECAS_FT_TOKEN_FILE names.")


@token.command("list")
def list_tokens(
    data_dir: DataDir = None, access_dir: AccessDir = None, config: ConfigFile = None, as_json: Json = False
) -> None:
    """Show names, roles and times; a token itself is nowhere."""
    from rich.table import Table

    from becas_ft.access import tokens
    from becas_ft.cli.options import wide_console

    path = _folder(data_dir, access_dir, config).tokens
    known = tokens.read(path)
    if as_json:
        typer.echo(json.dumps({"tokens": [_facts(one) for one in known]}))
        return
    table = Table("name", "role", "made", "expires", title=str(path))
    for one in known:
        expires = f"{one.expires:%Y-%m-%d %H:%M} UTC" if one.expires else "never"
        table.add_row(one.name, one.role, f"{one.created:%Y-%m-%d}", f"{expires}, is over" if one.expired else expires)
    wide_console().print(table)


@token.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Whose token.")],
    data_dir: DataDir = None,
    access_dir: AccessDir = None,
    config: ConfigFile = None,
) -> None:
    """Take a token away: its next call is refused, its streams end."""
    from becas_ft.access import tokens

    path = _folder(data_dir, access_dir, config).tokens
    tokens.revoke(path, name)
    typer.echo(f"revoked {name} in {path}")


def _folder(data_dir: Path | None, access_dir: Path | None, config: Path | None) -> "AccessFolder":
    """The folder that a server with these options reads."""
    from becas_ft.access.folder import AccessFolder
    from becas_ft.config import load

    overrides: dict[str, dict[str, Any]] = {
        "store": {} if data_dir is None else {"data_dir": data_dir},
        "server": {} if access_dir is None else {"access_dir": str(access_dir)},
    }
    return AccessFolder(load(config, overrides).access_dir)


def _authority(folder: "AccessFolder") -> "Signed":
    from becas_ft.access.certificates import Signed

    return Signed(folder.ca.read_bytes(), folder.ca_key.read_bytes())


def _options(data_dir: Path | None, access_dir: Path | None, config: Path | None) -> str:
    """The options again, for commands to copy."""
    given = {"--data-dir": data_dir, "--access-dir": access_dir, "--config": config}
    return "".join(f" {name} {value}" for name, value in given.items() if value is not None)


def _facts(one: Any) -> dict[str, Any]:  # noqa: ANN401 - a Token; its module is imported when a command runs
    shown: dict[str, Any] = one.model_dump(mode="json", exclude={"sha256"})
    return shown
