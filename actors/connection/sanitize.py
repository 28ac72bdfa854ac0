"""Texts of the feed, cleaned and bounded, and the create frame as clean JSON. Pure."""

from __future__ import annotations

import json
import math
from typing import Any, Final

MAX_COIN_FRAME_BYTES: Final = 16 * 1024

_CREATE_FIELDS: Final = (
    "signature",
    "mint",
    "traderPublicKey",
    "txType",
    "initialBuy",
    "solAmount",
    "bondingCurveKey",
    "vTokensInBondingCurve",
    "vSolInBondingCurve",
    "solInPool",
    "tokensInPool",
    "newTokenBalance",
    "marketCapSol",
    "name",
    "symbol",
    "uri",
    "is_mayhem_mode",
    "pool",
    "twitter",
    "telegram",
    "website",
    "discord",
)
_TEXT_LIMITS: Final = (8192, 2048, 512, 128)
_LAST_TEXT_LIMIT: Final = 88
_KEY_CHARACTERS: Final = 64
_NESTING: Final = 6
_INT64: Final = 2**63


def clean_text(text: str, limit: int) -> str:
    """Drop NUL and lone surrogates, which PostgreSQL cannot hold, and cut to `limit` characters."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    if not text.isascii():
        text = text.encode("utf-8", "ignore").decode("utf-8")
    return text[:limit]


def coin_frame(obj: dict[str, Any]) -> bytes:
    """Print a create frame as clean JSON text of at most 16 KiB.

    All fields stay. Past the bound long texts are cut, more and more; a frame that is still too
    large keeps the feed's own fields.
    """
    for limit in _TEXT_LIMITS:
        text = _dump(_clean(obj, limit, _NESTING)).encode()
        if len(text) <= MAX_COIN_FRAME_BYTES:
            return text
    known = {name: obj[name] for name in _CREATE_FIELDS if name in obj}
    return _dump(_clean(known, _LAST_TEXT_LIMIT, 1)).encode()


def printed(value: Any) -> str:
    """Print any JSON value as clean text."""
    return _dump(_clean(value, _TEXT_LIMITS[-1], _NESTING))


def _clean(value: Any, limit: int, nesting: int) -> Any:
    match value:
        case str():
            return clean_text(value, limit)
        case dict() if nesting > 0:
            return {
                clean_text(key, _KEY_CHARACTERS): _clean(item, limit, nesting - 1)
                for key, item in value.items()
            }
        case list() if nesting > 0:
            return [_clean(item, limit, nesting - 1) for item in value]
        case bool() | None:
            return value
        case _:
            return _clean_number(value)


def _clean_number(value: Any) -> int | float | None:
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else None
    return value if isinstance(value, float) and math.isfinite(value) else None


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
