"""What settings say to each other: contradictions, and what is probably not meant. Pure."""

from __future__ import annotations

import ipaddress
import math
import string
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from settings.masking import MASK

if TYPE_CHECKING:
    from collections.abc import Callable

    from settings.model import Settings


_TOKEN_BITS: Final = 128
_TOKEN_CHARACTERS: Final = 8
"""Different ones; a random token of 128 bits practically never has fewer."""
_ALPHABETS: Final = tuple(
    (len(characters), frozenset(characters))
    for characters in (
        "0123456789",
        "0123456789abcdef",
        "0123456789ABCDEF",
        string.ascii_lowercase,
        string.ascii_uppercase,
        string.ascii_lowercase + string.digits,
        string.ascii_uppercase + string.digits,
        string.ascii_letters + string.digits,
        # All that a token may hold.
        "".join(map(chr, range(0x21, 0x7F))),
    )
)


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine alone: `localhost` or a loopback address."""
    if host.lower() in {"localhost", "ip6-localhost"}:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def conflicts(settings: Settings, refused: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Say which settings contradict each other, one sentence each. Empty: none do.

    Checks that involve a setting of `refused`, which holds its default only because of a mistake,
    are left out.
    """
    return tuple(
        sentence
        for names, check in _CONFLICTS
        if not refused.intersection(names) and (sentence := check(settings)) is not None
    )


def doubts(settings: Settings) -> tuple[str, ...]:
    """Say what works but is probably not meant, one sentence each."""
    parts = urlsplit(settings.ws_uri)
    if (
        settings.pumpportal_api_key
        and parts.scheme == "ws"
        and not is_loopback(parts.hostname or "")
    ):
        return (
            "PUMPPORTAL_API_KEY is sent unencrypted, because WS_URI begins with ws://: use wss://.",
        )
    return ()


def _pool_conflict(settings: Settings) -> str | None:
    if settings.db_pool_min <= settings.db_pool_max:
        return None
    return (
        f"DB_POOL_MIN is {settings.db_pool_min}, but at most DB_POOL_MAX, which is "
        f"{settings.db_pool_max}, is expected: lower the first or raise the second."
    )


def _retry_conflict(settings: Settings) -> str | None:
    if settings.ws_retry_delay <= settings.ws_max_retry_delay:
        return None
    return (
        f"WS_RETRY_DELAY is {settings.ws_retry_delay:g}, but at most WS_MAX_RETRY_DELAY, which is "
        f"{settings.ws_max_retry_delay:g}, is expected: lower the first or raise the second."
    )


def _exposure_conflict(settings: Settings) -> str | None:
    if is_loopback(settings.api_host) or settings.api_token is not None:
        return None
    return (
        f"API_HOST is {settings.api_host!r}, which others can reach, but API_TOKEN is not set: "
        "set API_TOKEN to a long random text, or leave API_HOST out for 127.0.0.1."
    )


def _token_conflict(settings: Settings) -> str | None:
    token = settings.api_token
    if token is None or is_loopback(settings.api_host):
        return None
    if _bits_at_most(token.get_secret_value()) >= _TOKEN_BITS:
        return None
    return (
        f"API_HOST is {settings.api_host!r}, which others can reach, and API_TOKEN can be guessed: "
        "set it to at least 22 random letters and digits, such as what `openssl rand -hex 16` "
        "prints."
    )


def _bits_at_most(token: str) -> float:
    """Say how many bits a random token of this length and these characters has at most."""
    if len(set(token)) < _TOKEN_CHARACTERS:
        return 0.0
    alphabet = next(size for size, known in _ALPHABETS if known.issuperset(token))
    return len(token) * math.log2(alphabet)


def _uri_conflict(settings: Settings) -> str | None:
    parts = urlsplit(settings.ws_uri)
    keys = {key.lower() for key, _ in parse_qsl(parts.query, keep_blank_values=True)}
    if "@" not in parts.netloc and "api-key" not in keys:
        return None
    return (
        f"WS_URI holds a secret ({MASK}), but an address without one is expected: "
        "move the key to PUMPPORTAL_API_KEY and take it out of WS_URI."
    )


_CONFLICTS: Final[tuple[tuple[tuple[str, ...], Callable[[Settings], str | None]], ...]] = (
    (("db_pool_min", "db_pool_max"), _pool_conflict),
    (("ws_retry_delay", "ws_max_retry_delay"), _retry_conflict),
    (("api_host", "api_token"), _exposure_conflict),
    (("api_host", "api_token"), _token_conflict),
    (("ws_uri",), _uri_conflict),
)
