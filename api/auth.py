"""Who may call, and how: host names, bearer token, size and form of bodies, headers of answers."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Final

from flask import Flask, Response, g, request

from api.problems import problem
from settings import is_loopback

if TYPE_CHECKING:
    from settings import Settings

BODY_LIMIT: Final = 64 * 1024
"""Bytes of a request's body."""
PROBES: Final = frozenset({"/livez", "/readyz", "/health", "/metrics"})
"""Open to any host name and without a token: what watches the service knows neither."""

_HOST: Final = re.compile(r"(?:\[(?P<address>[^\[\]]+)\]|(?P<name>[^:\[\]]+))(?::[0-9]{1,5})?")
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def host_is_allowed(host: str | None, allowed: frozenset[str]) -> bool:
    """Say whether a Host header names this machine or an allowed host; ports do not matter.

    Keeps web pages out that let a name of theirs point at this machine (DNS rebinding).
    """
    if not host:
        return False
    name = _without_port(host.strip().lower())
    return is_loopback(name) or name in allowed


def token_fits(header: str | None, token: str) -> bool:
    """Compare an Authorization header with the token, in a time that says nothing about it."""
    scheme, _, given = (header or "").partition(" ")
    fits = hmac.compare_digest(given.strip().encode(), token.encode())
    return fits and scheme.lower() == "bearer"


def register(app: Flask, settings: Settings) -> None:
    """Make the application check each request and harden each answer.

    `g.is_refused` says afterwards whether the request was refused before its route was reached.
    """
    allowed = frozenset(settings.api_allowed_hosts)
    token = None if settings.api_token is None else settings.api_token.get_secret_value()

    def refused() -> Response | None:
        if request.content_length is not None and request.content_length > BODY_LIMIT:
            return problem(413, "The body is larger than 64 KiB: send a smaller one.")
        if request.path in PROBES:
            return None
        if not host_is_allowed(request.headers.get("Host"), allowed):
            return problem(
                400,
                "The service is not called by this host name: use a loopback address, or add the "
                "name to API_ALLOWED_HOSTS.",
            )
        if token is not None and not token_fits(request.headers.get("Authorization"), token):
            return _unauthorised()
        return _misplaced(allowed)

    def check() -> Response | None:
        answer = refused()
        g.is_refused = answer is not None
        return answer

    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
    app.before_request(check)
    app.after_request(_harden)


def _misplaced(allowed: frozenset[str]) -> Response | None:
    """Refuse a change that another site's page asks for, and a body without named values."""
    if not _origin_is_allowed(allowed):
        return problem(403, "Pages of other sites may change nothing here: call it yourself.")
    if request.is_json and not _body_is_object():
        return problem(400, "The body is no JSON object: see /docs for what it may hold.")
    return None


def _origin_is_allowed(allowed: frozenset[str]) -> bool:
    """Say whether a change is asked for by one of our own pages, or by no page at all."""
    origin = request.headers.get("Origin")
    if origin is None or request.method in _READING:
        return True
    return host_is_allowed(origin.partition("://")[2], allowed)


def _body_is_object() -> bool:
    """Say whether the body, if there is one, can be read and has named values."""
    if not request.get_data(cache=True):
        return True
    try:
        return isinstance(request.get_json(silent=True), dict)
    except RecursionError:
        return False


def _unauthorised() -> Response:
    answer = problem(
        401, "A token is needed: send the header Authorization: Bearer with the API_TOKEN."
    )
    answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def _harden(answer: Response) -> Response:
    for name, value in _HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


def _without_port(host: str) -> str:
    """Take the port off. What is no host, such as two headers in one, becomes an empty name."""
    found = _HOST.fullmatch(host)
    return "" if found is None else found["address"] or found["name"]
