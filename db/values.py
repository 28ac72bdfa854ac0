"""Between Python's values and PostgreSQL's: times, texts, exact numbers, rows for JSON. Pure."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format

if TYPE_CHECKING:
    from collections.abc import Mapping

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_US: Final = timedelta(microseconds=1)
PG_EPOCH_US: Final = 946_684_800_000_000
"""2000-01-01 UTC, where PostgreSQL's binary timestamps begin, in microseconds since 1970."""
_PG_INFINITIES: Final = frozenset({2**63 - 1, -(2**63)})
_LAMPORT_DIGITS: Final = 9
_TOKEN_DIGITS: Final = 6


class MicrosLoader(Loader):
    """Load a `timestamptz` as integer microseconds since 1970 UTC, and an infinite one as None.

    Register it on a cursor opened with `binary=True`. Unlike datetime it takes every value the type
    has.
    """

    format = Format.BINARY

    def load(self, data: Buffer) -> int | None:
        """Read the eight bytes PostgreSQL sends."""
        value = int.from_bytes(data, "big", signed=True)
        return None if value in _PG_INFINITIES else value + PG_EPOCH_US


def to_datetime(us: int) -> datetime:
    """Turn microseconds since 1970 UTC into an aware datetime, exactly."""
    return _EPOCH + us * _ONE_US


def to_us(at: datetime) -> int:
    """Turn an aware datetime into microseconds since 1970 UTC, exactly."""
    return (at - _EPOCH) // _ONE_US


def clean(text: str, limit: int) -> str:
    """Remove what PostgreSQL cannot store (NUL, lone surrogates) and cut to `limit` characters.

    A text of ASCII without NUL, which nearly all are, is only cut.
    """
    if not text.isascii():
        text = "".join(character for character in text if not "\ud800" <= character <= "\udfff")
    return text.replace("\0", "")[:limit]


def sol(lamports: int | None) -> Decimal | None:
    """Write lamports as SOL, exactly."""
    return None if lamports is None else Decimal(lamports).scaleb(-_LAMPORT_DIGITS)


def tokens(units: int | None) -> Decimal | None:
    """Write base units as tokens, exactly."""
    return None if units is None else Decimal(units).scaleb(-_TOKEN_DIGITS)


def exact(value: float | None) -> Decimal | None:
    """Write a float as the shortest decimal that reads back as the same float.

    Raises:
        ValueError: It is not finite.
    """
    if value is None:
        return None
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, found {value!r}")
    return Decimal(repr(value))


def jsonable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Make a row fit for JSON: numeric as float, times as ISO 8601 UTC, not finite as None."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    match value:
        case bool() | int() | str() | None:
            return value
        case Decimal() | float():
            return float(value) if math.isfinite(value) else None
        case datetime():
            return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
        case list() | dict():
            return json.loads(json.dumps(value, default=str))
        case _:
            return str(value)
