"""How long a trade takes from the end of its window until its row is written.

The service's own histograms have buckets a factor of two and more apart; a bound of 1.2 needs the
exact times. So the database stamps each row, by a column that only the test knows of, at the
insert, a few milliseconds before its commit.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.e2e.rows import query

_STAMP = """
ALTER TABLE coin_metrics ADD COLUMN written_at timestamptz DEFAULT clock_timestamp()
"""
_WAITS = """
SELECT extract(epoch FROM written_at - "timestamp")::float8, num_buys + num_sells
FROM coin_metrics
WHERE "timestamp" >= to_timestamp(%s) AND "timestamp" < to_timestamp(%s)
ORDER BY 1
"""


class Span(NamedTuple):
    """A part of a run. Seconds UTC."""

    from_s: float
    until_s: float


class Waits(NamedTuple):
    """How long trades took, in seconds."""

    trades: int
    median_s: float
    p99_s: float


def stamp_rows(dsn: str) -> None:
    """Have every row say from now on when it was written."""
    query(dsn, _STAMP)


def waits(dsn: str, *spans: Span) -> Waits:
    """Measure the trades whose windows ended in the spans."""
    found = sorted(pair for span in spans for pair in query(dsn, _WAITS, tuple(span)))
    trades = sum(count for _, count in found)
    assert trades, "no trade in these spans"
    return Waits(trades, _quantile(found, trades * 0.5), _quantile(found, trades * 0.99))


def _quantile(found: list[tuple[float, int]], trades: float) -> float:
    """Find how long the trade took that has so many quicker ones."""
    seen = 0
    for wait_s, count in found:
        seen += count
        if seen >= trades:
            return wait_s
    return found[-1][0]
