"""The types of settings: what one value must be like, whatever the others are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import re2
from pydantic import AfterValidator, BeforeValidator, Field

from settings.errors import refuse
from settings.masking import MASK, Secret, is_masked_dsn, is_masked_url, read_dsn

_SHORTEST_S: Final = 0.05
REPLAY_PREFIX: Final = "replay:"
OWN_PATHS: Final = frozenset(
    {
        "actor-tree", "actors", "analytics", "config", "database", "dead-letters", "docs",
        "dossiers", "feed", "health", "ledger", "livez", "metrics", "openapi.json", "problems",
        "readyz", "reload-config", "trackers",
    }
)  # fmt: skip
"""What the paths of the API begin with."""
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9_-]{1,64}){1,8}")
FeedKind = Literal["pumpportal", "simulator", "replay"]

_DSN_FORM: Final = (
    "a DSN such as postgresql://user:password@host:5432/database "
    "(special characters of the password percent-encoded)"
)


def _check_feed(value: str) -> str:
    if value in {"pumpportal", "simulator"}:
        return value
    if not value.startswith(REPLAY_PREFIX):
        raise refuse("pumpportal, simulator or replay:FILE")
    if not Path(value.removeprefix(REPLAY_PREFIX)).expanduser().is_file():
        raise refuse("replay: followed by the path of a recording that exists")
    return value


def _check_state_dir(value: Path) -> Path:
    path = value.expanduser()
    if path.exists() and not path.is_dir():
        raise refuse("a folder, existing or not,")
    return path


def _check_ws_uri(value: str) -> str:
    if is_masked_url(value):
        raise refuse("the address without ***")
    parts = _split(value)
    if parts is None or parts[0] not in {"ws", "wss"}:
        raise refuse("an address that begins with wss:// or ws:// and names a host")
    return value


def _check_url(value: Secret) -> Secret:
    url = value.get_secret_value()
    if is_masked_url(url):
        raise refuse("the address with its credentials instead of ***")
    parts = _split(url)
    if parts is None or parts[0] not in {"http", "https"}:
        raise refuse("an address that begins with https:// or http:// and names a host")
    return value


def _split(url: str) -> tuple[str, str] | None:
    """Split an address into scheme and host.

    None without a host, with a bad port, blanks, or characters that no request can carry.
    """
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return None
    if not parts.hostname or not port_is_valid or not url.isprintable():
        return None
    # A backslash is a slash to some readers of addresses, and part of the host to others.
    has_odd = any(c.isspace() or c == "\\" for c in url)
    return None if has_odd else (parts.scheme, parts.hostname)


def _check_dsn(value: Secret) -> Secret:
    dsn = value.get_secret_value()
    if is_masked_dsn(dsn):
        raise refuse("the real password instead of ***")
    if read_dsn(dsn) is None:
        raise refuse(_DSN_FORM)
    return value


def _check_api_key(value: Secret) -> Secret:
    _check_visible(value, "key")
    return value


def _check_token(value: Secret) -> Secret:
    _check_visible(value, "token")
    return value


def _check_visible(value: Secret, noun: str) -> None:
    text = value.get_secret_value()
    if MASK in text:
        raise refuse(f"the real {noun} instead of ***")
    if not _is_visible_ascii(text):
        raise refuse(f"a {noun} of visible ASCII characters without blanks")


def _check_header(value: Secret) -> Secret:
    header = value.get_secret_value()
    if MASK in header:
        raise refuse("the real header instead of ***")
    name, colon, content = header.partition(":")
    if not colon or not _is_visible_ascii(name) or not _is_content(content):
        raise refuse("a header in the form 'Name: value'")
    return value


def _is_content(text: str) -> bool:
    """Say whether HTTP can carry a text as the value of a header: printable, and in Latin-1."""
    return bool(text.strip()) and text.isprintable() and all(ord(c) < 0x100 for c in text)  # noqa: PLR2004


def _is_visible_ascii(text: str) -> bool:
    return bool(text) and all("!" <= c <= "~" for c in text)


def _check_pattern(value: str) -> str:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    try:
        pattern = re2.compile(value, options)
    except (re2.error, UnicodeError):
        raise refuse("a regular expression of RE2 (no look-around, no back-references)") from None
    if pattern.search("") is not None:
        raise refuse("a pattern that does not match every name (is there a bar too many?)")
    return value


def _check_never(value: float) -> float:
    if 0 < value < _SHORTEST_S:
        raise refuse(f"0 for never, or a number from {_SHORTEST_S} to 86400")
    return value


def _check_host(value: str) -> str:
    if not value or any(c.isspace() or c in "/@" for c in value):
        raise refuse("an IP address or a host name, without port or scheme,")
    return value


def _check_prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value) or value.split("/")[1] in OWN_PATHS:
        raise refuse(
            "a path such as /api/find, without a slash at its end, that begins as none of the "
            "service's own paths does,"
        )
    return value


def _split_hosts(value: object) -> object:
    if isinstance(value, str):
        return tuple(host.strip().lower() for host in value.split(",") if host.strip())
    return value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


Seconds = Annotated[float, Field(ge=_SHORTEST_S, le=86_400, allow_inf_nan=False)]
"""A shorter pause or limit would only keep a processor, or somebody else's server, busy."""
WholeSeconds = Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)]
"""For what an ordinary delay of the network or a disk must not set off."""
QuietSeconds = Annotated[float, Field(ge=10, le=86_400, allow_inf_nan=False)]
"""For how long a coin may be silent: each end of it is a call to the feed's server."""
SecondsOrNever = Annotated[
    float, Field(ge=0, le=86_400, allow_inf_nan=False), AfterValidator(_check_never)
]
Sol = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
PositiveSol = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Megabytes = Annotated[int, Field(ge=1, le=10_000_000)]

Feed = Annotated[str, AfterValidator(_check_feed)]
StateDir = Annotated[Path, AfterValidator(_check_state_dir)]
WsUri = Annotated[str, AfterValidator(_check_ws_uri), Field(repr=False)]
"""Not in the repr of the settings: the query of a feed may hold a token."""
ApiKey = Annotated[Secret, AfterValidator(_check_api_key)]
Dsn = Annotated[Secret, AfterValidator(_check_dsn)]
WebhookUrl = Annotated[Secret, AfterValidator(_check_url)]
Header = Annotated[Secret, AfterValidator(_check_header)]
Pattern = Annotated[str, Field(max_length=4096), AfterValidator(_check_pattern)]
Host = Annotated[str, AfterValidator(_check_host)]
Hosts = Annotated[tuple[str, ...], BeforeValidator(_split_hosts)]
PathPrefix = Annotated[str, AfterValidator(_check_prefix)]
Token = Annotated[Secret, AfterValidator(_check_token)]
Method = Annotated[Literal["POST", "GET"], BeforeValidator(_upper)]
Activation = Annotated[Literal["external", "trades"], BeforeValidator(_lower)]
Announcement = Annotated[Literal["off", "row", "commit"], BeforeValidator(_lower)]
Fsync = Annotated[Literal["second", "slice", "never"], BeforeValidator(_lower)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]
LogFormat = Annotated[Literal["console", "json"], BeforeValidator(_lower)]
