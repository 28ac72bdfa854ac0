"""Rows of both sides as a few numbers, compared as the command compares them.

Times are seconds behind 12:00 UTC. The hour from 12:00 on is asked for, unless said otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from actors.compare.judging import ComparedHour, Rules
from actors.compare.rows import Precision
from actors.compare.run import Known, compare

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from actors.compare.report import CompareReport

S = 1_000_000
NOON_US = 1_759_320_000 * S
"""2025-10-01 12:00 UTC."""
MINT = "A"
SOL = 1_000_000_000
EARLIER_S = -1_000
SIX_DIGITS = Precision(their_row_lamports=500, price_sol=5e-19)


class Found(msgspec.Struct):
    """A row as a table has it."""

    end_us: int
    figures: tuple[int, ...]
    start_us: int | None = None
    mint: str = MINT
    phase_id: int | None = 1
    high_sol: float | None = 3e-8
    low_sol: float | None = 3e-8
    reserves_lamports: int | None = 40 * SOL


def began(theirs: Iterable[Found], ours: Iterable[Found]) -> tuple[list[Found], list[Found]]:
    """Let both sides have a row a quarter of an hour before noon, so that no row is their first."""
    return [their(EARLIER_S, 1), *theirs], [our(EARLIER_S - 5, 1), *ours]


def their(end_s: float, buys: int, sells: int = 0, sol: float = 1.0, **more: Any) -> Found:
    """A row of theirs; each trade moved `sol`."""
    return Found(NOON_US + round(end_s * S), _figures(buys, sells, sol), **more)


def our(start_s: float, buys: int, sells: int = 0, sol: float = 1.0, **more: Any) -> Found:
    """A row of ours, 5 s long; each trade moved `sol`."""
    end_s = more.pop("end_s", start_s + 5)
    more["start_us"] = NOON_US + round(start_s * S)
    return Found(NOON_US + round(end_s * S), _figures(buys, sells, sol), **more)


def _figures(buys: int, sells: int, sol: float) -> tuple[int, ...]:
    one = round(sol * SOL)
    return (buys, sells, (buys + sells) * one, buys * one, sells * one)


def report(
    theirs: Iterable[Found],
    ours: Iterable[Found],
    gaps: Mapping[str | None, Sequence[tuple[float, float]]] | None = None,
    *,
    hours: float = 1,
    since_s: float = 0,
    creators_buys: Mapping[str, int] | None = None,
    precision: Precision = SIX_DIGITS,
    **more: Any,
) -> CompareReport:
    """Compare rows, which may come in any order."""
    rules = Rules(
        since_us=NOON_US + round(since_s * S),
        until_us=NOON_US + round(hours * 3_600 * S),
        intervals={1: 5 * S, 2: 30 * S},
        precision=precision,
    )
    spans = {
        mint: [(NOON_US + round(a * S), NOON_US + round(b * S)) for a, b in each]
        for mint, each in (gaps or {}).items()
    }
    known = Known(spans, creators_buys or {})
    return compare(iter(_sorted(theirs)), iter(_sorted(ours)), known, rules, **more)


def hours_of(*args: Any, **more: Any) -> list[ComparedHour]:
    """Compare rows, and give what is kept in order of coins and hours."""
    found = report(*args, **more).largest()
    return sorted(found, key=lambda hour: (hour.mint, hour.from_us))


def reasons(*args: Any, **more: Any) -> list[str]:
    """Compare rows, and give the reasons of hours that are not the same on both sides."""
    return [hour.reason.value for hour in hours_of(*args, **more)]


def _sorted(rows: Iterable[Found]) -> list[Found]:
    return sorted(rows, key=lambda row: (row.mint, row.end_us))
