"""Times as commands take and print them: a duration before now, or an ISO time."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from db.values import to_us

if TYPE_CHECKING:
    from click import Context, Parameter

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
US_PER_SECOND: Final = 1_000_000


def instant(_context: Context, _option: Parameter, given: str | None) -> int | None:
    """Read a duration before now, or an ISO time (UTC unless it says), as microseconds UTC.

    What is before 1970 is 1970, when no row was there yet.
    """
    if given is None:
        return None
    match = re.fullmatch(r"(\d{1,9})([smhd])", given.strip())
    if match:
        return max(0, now_us() - int(match[1]) * _UNITS_S[match[2]] * US_PER_SECOND)
    try:
        at = datetime.fromisoformat(given.strip())
    except ValueError:
        text = f"{given!r} is neither a duration such as 10m nor a time in ISO 8601."
        raise click.BadParameter(text) from None
    return max(0, to_us(at if at.tzinfo else at.replace(tzinfo=UTC)))


def now_us() -> int:
    """Tell what time it is, microseconds UTC."""
    return time.time_ns() // 1_000


def iso(us: int) -> str:
    """Write a time in ISO 8601, to the microsecond."""
    at = datetime.fromtimestamp(us // US_PER_SECOND, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{us % US_PER_SECOND:06d}Z"
