"""The feed's address with its secret inside, and texts with the secret taken out. Pure."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import websocket

from settings.masking import hide_cut, mask_url, spelled, texts_of_url

if TYPE_CHECKING:
    from collections.abc import Callable

_TEXT_LIMIT: Final = 300
_BODY_LIMIT: Final = 65_536
"""Bytes of an answer that are searched for secrets; what stands behind is not shown."""
_KEY_PARAMETER: Final = "api-key"


class AddressError(ValueError):
    """The feed's address cannot be used; the text says why and holds no secret."""


class SessionLostError(Exception):
    """The session cannot go on; the text says why, perhaps in the server's own words.

    It passes through `FeedAddress.describe` before anyone sees it.
    """


class FeedAddress:
    """Where the feed is read. Its repr and `shown` hold no secret; `secret_url` does.

    Args:
        uri: `ws://` or `wss://`, a host, and optionally port, path and query.
        api_key: added to the query as `api-key`; None leaves the query as it is.

    Raises:
        AddressError: the address is not one of a WebSocket.
    """

    def __init__(self, uri: str, api_key: str | None) -> None:
        try:
            parts = urlsplit(uri)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise AddressError(_expected("it cannot be read as an address")) from None
        if parts.scheme not in ("ws", "wss"):
            raise AddressError(_expected(f"it begins with {parts.scheme[:20]!r}"))
        if not host or port == 0 or any(c.isspace() for c in uri):
            raise AddressError(_expected("it names no host, has port 0 or holds a blank"))
        query = parse_qsl(parts.query, keep_blank_values=True)
        if api_key is not None:
            query = [(name, value) for name, value in query if name != _KEY_PARAMETER]
            query.append((_KEY_PARAMETER, api_key))
        netloc = parts.netloc.rpartition("@")[2]
        path = parts.path or "/"
        self.secret_url = urlunsplit(
            (parts.scheme, netloc, path, urlencode(query, quote_via=quote), "")
        )
        self.is_tls = parts.scheme == "wss"
        self.shown = mask_url(urlunsplit((parts.scheme, netloc, path, "", "")))
        secrets = texts_of_url(uri) | texts_of_url(self.secret_url) | {parts.username or ""}
        self._secrets = spelled(secrets)

    def __repr__(self) -> str:
        return f"FeedAddress({self.shown!r})"

    def redact(self, text: str) -> str:
        """Mask every value of the query wherever it stands in a text, even where that was cut."""
        return hide_cut(text, self._secrets)

    def describe(self, error: BaseException) -> str:
        """Say what went wrong in one bounded line without a secret.

        Texts of the library are not used as they are: they hold the answer's headers, and
        addresses.
        """
        return _describe(error, self.redact)[:_TEXT_LIMIT]


def _expected(found: str) -> str:
    return (
        f"WS_URI is not the address of a WebSocket: {found}; "
        "expected wss://host/path or ws://host/path"
    )


_FIXED_TEXTS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (websocket.WebSocketAddressException, "the host name of the feed cannot be looked up"),
    (socket.gaierror, "the host name of the feed cannot be looked up"),
    (websocket.WebSocketTimeoutException, "the server did not answer in time"),
    (TimeoutError, "the server did not answer in time"),
    (
        websocket.WebSocketConnectionClosedException,
        "the server closed the connection without a word",
    ),
    (websocket.WebSocketProxyException, "the proxy did not open the connection"),
    (websocket.WebSocketProtocolException, "the server broke the WebSocket protocol"),
    (websocket.WebSocketException, "the server did not complete the WebSocket handshake"),
)
"""The first line that fits an error describes it."""


def _describe(error: BaseException, redact: Callable[[str], str]) -> str:
    match error:
        case SessionLostError():
            return redact(str(error))
        case websocket.WebSocketBadStatusException():
            answer = _answer(error, redact)
            return f"the server answered the upgrade with HTTP {error.status_code}{answer}"
        case ssl.SSLError():
            detail = getattr(error, "verify_message", "") or error.reason or type(error).__name__
            return redact(f"TLS failed: {detail}")
    for kind, text in _FIXED_TEXTS:
        if isinstance(error, kind):
            return text
    number = getattr(error, "errno", None)
    if isinstance(number, int):
        name = errno.errorcode.get(number, str(number))
        return f"the connection failed: {os.strerror(number)} ({name})"
    return f"the connection failed: {type(error).__name__}"


def _answer(error: websocket.WebSocketBadStatusException, redact: Callable[[str], str]) -> str:
    # Masked before it is cut, and before blanks are folded, which a secret may hold.
    body = (
        (error.resp_body or b"")[:_BODY_LIMIT]
        .decode("utf-8", "replace")
        .rstrip("\N{REPLACEMENT CHARACTER}")
    )
    text = " ".join(redact(body).split())[:_TEXT_LIMIT]
    return f": {text}" if text.isprintable() and text else ""
