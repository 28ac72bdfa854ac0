"""A comparison: two streams of rows in the same order, merged coin by coin. Pure.

Bounds: in memory are the rows of one coin, `MOST_ROWS` of a side at most, and what a report keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from actors.compare.excuses import CoinRows, merged
from actors.compare.judging import ComparedHour, Rules, compared_hours
from actors.compare.reasons import Reason
from actors.compare.report import CompareReport
from actors.compare.rows import Figures, Row, Sums, added, sum_of
from actors.compare.windows import Span, placed

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_ROWS: Final = 100_000
"""Of one coin on one side: a row each 5 s for nearly six days. Some 60 MB."""


class OutOfOrderError(Exception):
    """A stream does not give its coins in the order of their addresses."""


class Known(msgspec.Struct, frozen=True):
    """What we know beside our rows."""

    gaps: Mapping[str | None, Sequence[Span]] = {}
    """When we observed nothing, by mint; None: the whole feed."""
    creators_buys: Mapping[str, int] = {}
    """What creators bought inside their creates, lamports by mint."""


class FoundRow(Protocol):
    """A row as it was read. Rows come in order of mint, by code points, then of `end_us`."""

    @property
    def mint(self) -> str:
        """The coin."""

    @property
    def start_us(self) -> int | None:
        """When its window begins, microseconds UTC; None: a row of the original."""

    @property
    def end_us(self) -> int:
        """When its window ends, microseconds UTC."""

    @property
    def phase_id(self) -> int | None:
        """The phase it was written in."""

    @property
    def figures(self) -> Figures:
        """Buys, sells, and the volume of all, of buys and of sells in lamports."""

    @property
    def high_sol(self) -> float | None:
        """The highest price; None: none."""

    @property
    def low_sol(self) -> float | None:
        """The lowest price; None: none."""

    @property
    def reserves_lamports(self) -> int | None:
        """Virtual reserves."""


def compare(
    theirs: Iterator[FoundRow],
    ours: Iterator[FoundRow],
    known: Known,
    rules: Rules,
    *,
    most_rows: int = MOST_ROWS,
) -> CompareReport:
    """Compare every coin that one side has a row of.

    Args:
        theirs: Rows of the original, those of an hour before and behind the time asked for as well.
        ours: The same of ours.
        known: What we know beside our rows.
        rules: What is compared.
        most_rows: A coin with more rows on a side is not compared hour by hour.

    Raises:
        OutOfOrderError: The coins of a side do not come in order.
        Exception: What the streams raise.
    """
    report = CompareReport()
    left, right = _Coins(theirs, rules, most_rows), _Coins(ours, rules, most_rows)
    while (mint := _next_of(left.mint, right.mint)) is not None:
        their_rows, their_more = left.take(mint)
        our_rows, our_more = right.take(mint)
        coin = CoinRows(
            mint,
            placed(their_rows, rules.intervals),
            our_rows,
            merged(chain(known.gaps.get(None, ()), known.gaps.get(mint, ()))),
            known.creators_buys.get(mint, 0),
        )
        if their_more.rows or our_more.rows:
            report.add_coin([_whole(coin, their_more, our_more, rules)])
        else:
            report.add_coin(compared_hours(coin, rules))
    return report


def _next_of(one: str | None, other: str | None) -> str | None:
    return min((mint for mint in (one, other) if mint is not None), default=None)


class _Coins:
    """A stream of rows, taken a coin at a time."""

    def __init__(self, rows: Iterator[FoundRow], rules: Rules, most_rows: int) -> None:
        self._rows = rows
        self._rules = rules
        self._most_rows = most_rows
        self._waiting = next(rows, None)

    @property
    def mint(self) -> str | None:
        """The coin that comes next; None: there is none."""
        return None if self._waiting is None else self._waiting.mint

    def take(self, mint: str) -> tuple[list[Row], Sums]:
        """Take the rows of a coin, and the sums of those beyond the most that are kept."""
        kept: list[Row] = []
        more = Sums()
        while self._waiting is not None and self._waiting.mint == mint:
            row = _row(self._waiting)
            if len(kept) < self._most_rows:
                kept.append(row)
            elif self._rules.since_us < row.end_us <= self._rules.until_us:
                more = _with(more, row)
            self._waiting = next(self._rows, None)
        if self._waiting is not None and self._waiting.mint < mint:
            raise OutOfOrderError(f"{self._waiting.mint!r} came behind {mint!r}")
        return kept, more


def _row(found: FoundRow) -> Row:
    end_us = found.end_us
    return Row(
        end_us if found.start_us is None else found.start_us,
        end_us,
        found.figures,
        found.high_sol,
        found.low_sol,
        found.phase_id,
        found.reserves_lamports,
    )


def _with(sums: Sums, row: Row) -> Sums:
    return msgspec.structs.replace(
        sums, rows=sums.rows + 1, figures=added(sums.figures, row.figures), last_us=row.end_us
    )


def _whole(coin: CoinRows, their_more: Sums, our_more: Sums, rules: Rules) -> ComparedHour:
    """Give a coin of too many rows as one finding over the whole time."""
    return ComparedHour(
        coin.mint,
        rules.since_us,
        rules.until_us,
        Reason.OTHER,
        "it has too many rows to look at hour by hour: ask for less time",
        _all(coin.theirs, their_more, rules),
        _all(coin.ours, our_more, rules),
    )


def _all(rows: Sequence[Row], more: Sums, rules: Rules) -> Sums:
    within = sum_of([row for row in rows if rules.since_us < row.end_us <= rules.until_us])
    return msgspec.structs.replace(
        within,
        rows=within.rows + more.rows,
        figures=added(within.figures, more.figures),
        last_us=more.last_us or within.last_us,
    )
