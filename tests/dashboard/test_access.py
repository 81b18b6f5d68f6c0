"""The dashboard where it is guarded: tokens in the browser, HTTPS beyond loopback, client certificates."""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from becas_ft.access.roles import Role
from helpers.access import Keys, keys
from helpers.browser import opened
from helpers.dashboard import dashboard
from helpers.server import ServerProcess, refused

LIST = "rpc/ModelService/ListModels"


@pytest.fixture
def made(tmp_path: Path) -> Keys:
    """In the folder where a server looks."""
    return keys(tmp_path / "data" / "access")


def ask(url: str, secret: str = "", body: dict[str, Any] | None = None, tls: ssl.SSLContext | None = None) -> Any:  # noqa: ANN401 - JSON or text
    """A request as the page sends it: (status, what came)."""
    site = url.split("/", 3)
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    if body is not None:
        session = ask(f"{site[0]}//{site[2]}/session", tls=tls)[1]
        headers |= {"Origin": f"{site[0]}//{site[2]}", "X-CSRF-Token": session["csrf"]}
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)]
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=60) as answer:
            text = answer.read().decode()
            return answer.status, json.loads(text) if answer.headers.get_content_type() == "application/json" else text
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_a_labeller_signs_in(browser: Browser, tmp_path: Path, made: Keys) -> None:
    """The page asks for a token, names what is wrong with one, shows what the role may see, and forgets it."""
    with (
        dashboard(tmp_path, BECAS_FT_SERVER__REQUIRE_TOKENS="true") as found,
        opened(browser, refused=True) as page,
    ):
        page.goto(found.url)
        token = page.get_by_label("Token")
        expect(page.get_by_text("This server asks who you are.")).to_be_visible()
        token.fill("nonsense")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("This token is not known here")).to_be_visible()
        token.fill(made.secrets[Role.LABELLER])
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("No example is stored yet.")).to_be_visible()
        page.get_by_role("link", name="Labelling").click()
        expect(page.get_by_text("Nothing waits for a label.")).to_be_visible()
        page.get_by_role("link", name="Audit log").click()
        expect(page.get_by_text("is not for the role labeller")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_text("This server asks who you are.")).to_be_visible()
        assert page.evaluate("sessionStorage.length + document.cookie.length") == 0


def test_beyond_loopback_it_speaks_https(tmp_path: Path, made: Keys) -> None:
    """With the server's certificate, to its names only; everything but the pages needs a token."""
    trusted = ssl.create_default_context(cadata=made.authority.certificate.decode())
    server = ServerProcess(tmp_path / "data", tmp_path / "server", options=("--dashboard", "0.0.0.0:0"))
    try:
        server.start()
        port = server.http_address().rpartition(":")[2]
        url = f"https://localhost:{port}"
        assert ask(f"{url}/", tls=trusted)[0] == 200
        assert ask(f"{url}/metrics", tls=trusted)[1]["code"] == "UNAUTHENTICATED"
        assert ask(f"{url}/{LIST}", body={}, tls=trusted)[0] == 401
        assert ask(f"{url}/metrics", made.secrets[Role.OPERATOR], tls=trusted)[0] == 200
        assert ask(f"{url}/{LIST}", made.secrets[Role.OPERATOR], {}, trusted)[0] == 200
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(f"{url}/", tls=ssl.create_default_context())
        with pytest.raises((urllib.error.URLError, ConnectionError, http.client.HTTPException)):
            ask(f"http://localhost:{port}/")
    finally:
        server.kill()


@pytest.mark.parametrize("tokens", [True, False])
def test_client_certificates_leave_the_dashboard_to_tokens(tmp_path: Path, made: Keys, *, tokens: bool) -> None:
    """A browser on this machine shows none: with tokens it is known by them, without them it is refused."""
    settings = made.settings() | {
        "BECAS_FT_SERVER__TLS_CLIENT_CA": str(made.folder.ca),
        "BECAS_FT_SERVER__REQUIRE_TOKENS": str(tokens).lower(),
    }
    server = ServerProcess(tmp_path / "data", tmp_path / "server", variables=settings)
    try:
        server.start()
        url = f"http://{server.http_address()}"
        nobody = ask(f"{url}/{LIST}", body={})
        operator = ask(f"{url}/{LIST}", made.secrets[Role.OPERATOR], {})
        metrics = ask(f"{url}/metrics")
    finally:
        server.kill()

    assert nobody[0] == 401
    assert operator[0] == (200 if tokens else 401)
    assert operator[1].get("reason") == (None if tokens else "CERTIFICATE_MISSING")
    assert metrics[0] == 200


@pytest.mark.parametrize(
    ("listen", "settings", "problem"),
    [
        ("0.0.0.0:0", {}, "server.dashboard: 0.0.0.0:0 is open to others and needs TLS"),
        (
            "0.0.0.0:0",
            {"BECAS_FT_SERVER__TLS_CLIENT_NAMES": "names"},
            "dashboard: beyond loopback it cannot follow tls_client_names",
        ),
    ],
)
def test_an_address_beyond_loopback_needs_what_guards_it(
    tmp_path: Path, listen: str, settings: dict[str, str], problem: str
) -> None:
    """Without TLS and tokens, or with names that it cannot check, the start is refused."""
    assert problem in refused(tmp_path, "--listen", "127.0.0.1:0", "--dashboard", listen, **settings)
