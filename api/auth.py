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

_DEAR: Final = frozenset({"/metrics"})
"""Not answered to other sites' pages, as the other probes are, which cost and tell nothing."""
_PAGES: Final = frozenset({"/", "/docs"})
_ELSEWHERE: Final = frozenset({"cross-site", "same-site"})
"""Sites are compared without ports: a page of another port of this machine is `same-site`."""
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}

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


def health_paths(prefix: str | None) -> frozenset[str]:
    """Name the paths of `/health`: ours, and the one below API_PREFIX."""
    return frozenset({"/health"} if prefix is None else {"/health", f"{prefix}/health"})


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
    probes = PROBES | health_paths(settings.api_prefix)
    token = None if settings.api_token is None else settings.api_token.get_secret_value()

    def refused() -> Response | None:
        if request.content_length is not None and request.content_length > BODY_LIMIT:
            return problem(413, "The body is larger than 64 KiB: send a smaller one.")
        if request.path not in probes - _DEAR and _asked_by_another_page():
            return problem(403, "Pages of other sites get nothing here: call it yourself.")
        if request.path in probes:
            return None
        if not host_is_allowed(request.headers.get("Host"), allowed):
            return problem(
                400,
                "The service is not called by this host name: use a loopback address, or add the "
                "name to API_ALLOWED_HOSTS.",
            )
        if token is not None and not token_fits(request.headers.get("Authorization"), token):
            return _unauthorised()
        return _check_body()

    def check() -> Response | None:
        answer = refused()
        g.is_refused = answer is not None
        return answer

    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
    app.before_request(check)
    app.after_request(_harden)


def _check_body() -> Response | None:
    """Refuse a body without named values."""
    if request.is_json and not _body_is_object():
        return problem(400, "The body is no JSON object: see /docs for what it may hold.")
    return None


def _asked_by_another_page() -> bool:
    """Say whether a browser asks for a page that is not from this very host and port.

    What is no browser sends neither header. Newer browsers say where a request comes from with
    every one, older ones name the origin with those that could change something.
    """
    headers = request.headers
    if headers.get("Sec-Fetch-Site") in _ELSEWHERE and not _is_link_to_page():
        return True
    origin = headers.get("Origin")
    return origin is not None and not _is_own(origin, headers.get("Host", ""))


def _is_link_to_page() -> bool:
    """Say whether somebody has followed a link to one of our pages; a frame is none."""
    headers = request.headers
    is_window = headers.get("Sec-Fetch-Dest") == "document"
    is_link = headers.get("Sec-Fetch-Mode") == "navigate" and request.method in _READING
    return is_window and is_link and request.path in _PAGES


def _is_own(origin: str, host: str) -> bool:
    scheme, separator, place = origin.lower().partition("://")
    # An origin never names the port that its scheme has anyway; a Host header may.
    default = _DEFAULT_PORTS.get(scheme, "")
    return bool(separator) and bool(place) and place == host.strip().lower().removesuffix(default)


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
