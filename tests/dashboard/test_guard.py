"""What another site's page, another name for this machine, or a script without the page's token may do: nothing."""

import http.client
import json
from typing import Any, NamedTuple

import pytest

from helpers.dashboard import Dashboard

LIST = "/rpc/ModelService/ListModels"


class Answered(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: Any


def ask(found: Dashboard, method: str, path: str, body: str = "", **headers: str) -> Answered:
    """A request with exactly these headers; `Host` is the dashboard's where none is given."""
    address = found.url.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        sent = {"Host": address, "Content-Length": str(len(body.encode()))}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body.encode())
        answer = connection.getresponse()
        data = answer.read().decode()
        kind = answer.headers.get_content_type()
        return Answered(
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            json.loads(data) if kind == "application/json" else data,
        )
    finally:
        connection.close()


def origin(found: Dashboard) -> str:
    return found.url.rstrip("/")


def csrf(found: Dashboard) -> str:
    return str(ask(found, "GET", "/session").body["csrf"])


def test_the_page_itself_may_call(living: Dashboard) -> None:
    """With its own origin and the token that only it can read."""
    answer = ask(living, "POST", LIST, "{}", Origin=origin(living), X_CSRF_Token=csrf(living))

    assert answer.status == 200
    assert [model["state"] for model in answer.body["models"]] == ["base", "candidate"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "evil.example:80", ""])
@pytest.mark.parametrize("path", ["/", "/session", "/metrics", "/main.js"])
def test_another_name_of_this_machine_is_refused(living: Dashboard, host: str, path: str) -> None:
    """A site whose name was pointed at 127.0.0.1 (DNS rebinding) reads nothing, the CSRF token neither."""
    answer = ask(living, "GET", path, Host=host)

    assert (answer.status, answer.body["code"]) == (421, "HOST")


def test_loopback_has_several_names(living: Dashboard) -> None:
    """Each with the port that is served."""
    port = living.url.rstrip("/").rpartition(":")[2]

    assert [ask(living, "GET", "/", Host=f"{name}:{port}").status for name in ("localhost", "[::1]")] == [200, 200]


def test_another_origin_is_refused(living: Dashboard) -> None:
    """A page of another site sends its own origin, even where it has somehow learnt the token; a sandboxed one null."""
    token = csrf(living)
    port = living.url.rstrip("/").rpartition(":")[2]
    for other in ("https://evil.example", "null", f"http://evil.example:{port}", f"http://localhost:{port}", ""):
        answer = ask(living, "POST", LIST, "{}", Origin=other, X_CSRF_Token=token)

        assert (answer.status, answer.body["code"]) == (403, "ORIGIN"), other
    assert ask(living, "GET", "/session", Origin="https://evil.example").status == 403


def test_a_call_without_origin_or_token_is_refused(living: Dashboard) -> None:
    """Forms of old browsers send no origin; and no form can send a header of ours."""
    missing = ask(living, "POST", LIST, "{}", X_CSRF_Token=csrf(living))
    untold = ask(living, "POST", LIST, "{}", Origin=origin(living))
    wrong = ask(living, "POST", LIST, "{}", Origin=origin(living), X_CSRF_Token="x" * 43)
    odd = ask(living, "POST", LIST, "{}", Origin=origin(living), X_CSRF_Token="ü")

    assert [(one.status, one.body["code"]) for one in (missing, untold, wrong, odd)] == [
        (403, "ORIGIN"),
        (403, "CSRF"),
        (403, "CSRF"),
        (403, "CSRF"),
    ]


def test_only_what_the_pages_use_is_served(living: Dashboard) -> None:
    """No erasure, no export, no ingest; and no file beside the pages'."""
    own = {"Origin": origin(living), "X_CSRF_Token": csrf(living)}
    for method in ("DatasetService/Forget", "DatasetService/Export", "IngestService/Ingest", "Health/Check"):
        assert ask(living, "POST", f"/rpc/{method}", "{}", **own).status == 404
    for path in ("/../site.py", "/%2e%2e/site.py", "/..%2fsite.py", "/vendor/", "/pages"):
        assert ask(living, "GET", path).status == 404, path
    assert ask(living, "GET", LIST).status == 404


def test_requests_that_are_none_are_told_so(living: Dashboard) -> None:
    """No JSON, no object, an unknown field, half a character, too long, too deep: each with the reason."""
    own = {"Origin": origin(living), "X_CSRF_Token": csrf(living)}
    known = ("{", "[]", '{"nonsense": 1}', '{"category": "CATEGORY_NONE"}', '{"category": "\\ud800"}')
    for body in (*known, " " * 70_000, "[" * 60_000, '{"a":' * 12_000):
        answer = ask(living, "POST", LIST, body, **own)

        assert (answer.status, answer.body["code"]) == (400, "INVALID_ARGUMENT"), body[:20]
    missing = ask(living, "POST", "/rpc/ModelService/Rollback", '{"category": "CATEGORY_SCAM_DETECTION"}', **own)
    assert (missing.status, missing.body["fields"]) == (400, {"reason": "is required"})


def test_nothing_comes_from_elsewhere(living: Dashboard) -> None:
    """The policy allows no other origin, no inline code, no frame; and the pages name no other machine."""
    answer = ask(living, "GET", "/")
    policy = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))

    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "server" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers
