"""What every request of the dashboard meets first: no other site's page may reach it, on loopback neither."""

import hmac
from collections.abc import Set as AbstractSet
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CSRF_HEADER: Final = "x-csrf-token"
CSRF_CODE: Final = "CSRF"

# Nothing from elsewhere, no inline code or style, no frame around it; markup is made of lit-html's templates only.
RULES: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "lit-html",
}
HEADERS: Final = {
    "content-security-policy": "; ".join(f"{name} {value}" for name, value in RULES.items()),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_READS: Final = frozenset({"GET", "HEAD"})


class Guard:
    """Checks Host, Origin and the CSRF token; adds the headers that keep a browser to the page.

    A page of another site can make a browser send requests here, but it can neither read the CSRF token nor choose
    Host or Origin. One whose own name was pointed at this address (DNS rebinding) comes with its own Host.

    Arguments:
        app: what answers.
        hosts: Host headers that are this server's, with the port where a browser sends one.
        csrf: what every request but a read must carry.
    """

    def __init__(self, app: ASGIApp, hosts: AbstractSet[str], csrf: str) -> None:
        self._app = app
        self._hosts = hosts
        self._csrf = csrf.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-cache")
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        await (refusal or self._app)(scope, receive, guarded)

    def _refusal(self, method: str, headers: Headers) -> JSONResponse | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts:
            return refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                "HOST",
                "this name is not the dashboard's: open it at the address that `becas-ft serve` logs, or name this one"
                " in server.dashboard_hosts",
            )
        if origin is not None and origin.partition("://")[2] != host:
            return refusal(HTTPStatus.FORBIDDEN, "ORIGIN", "a page of another site asked for this")
        if method in _READS:
            return None
        if origin is None:
            return refusal(HTTPStatus.FORBIDDEN, "ORIGIN", "a change must say which page asks for it: send Origin")
        if not hmac.compare_digest(headers.get(CSRF_HEADER, "").encode(), self._csrf):
            return refusal(
                HTTPStatus.FORBIDDEN,
                CSRF_CODE,
                f"send {CSRF_HEADER} with the csrf of /session; it is new after a start",
            )
        return None


def refusal(status: HTTPStatus, code: str, message: str) -> JSONResponse:
    """An error in the form that the pages read."""
    return JSONResponse({"code": code, "message": message}, status)
