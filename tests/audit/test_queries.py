"""What the auditor reads of the tables, from a real database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from db.audit import AuditQueries
from db.values import to_datetime

if TYPE_CHECKING:
    from collections.abc import Iterator

S = 1_000_000
T0 = 1_790_000_000 * S


@pytest.fixture
def conn(dsn: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        yield conn


def keep(
    conn: psycopg.Connection[tuple[object, ...]], table: str, mint: str, start_s: int, end_s: int
) -> None:
    conn.execute(
        f"INSERT INTO {table} (mint, window_start, timestamp, journal_id) VALUES (%s, %s, %s, 7)",
        (mint, to_datetime(T0 + start_s * S), to_datetime(T0 + end_s * S)),
    )


def test_rows_over_an_instant_begin_before_it_and_end_behind_it(
    conn: psycopg.Connection[tuple[object, ...]],
) -> None:
    for mint, start_s, end_s in (("A", 5, 10), ("B", 8, 13), ("C", 10, 15), ("D", -3_000, 11)):
        keep(conn, "coin_metrics", mint, start_s, end_s)

    found = AuditQueries(conn).rows_over(T0 + 10 * S, None)

    assert [(row.mint, row.journal_id) for row in found] == [("D", 7), ("B", 7)]


@pytest.mark.parametrize(("mints", "count"), [(None, 2), (["B"], 1)])
def test_rows_are_counted_by_the_end_of_their_windows(
    conn: psycopg.Connection[tuple[object, ...]], mints: list[str] | None, count: int
) -> None:
    for mint, end_s in (("A", 10), ("A", 15), ("B", 20), ("B", 21)):
        keep(conn, "coin_metrics", mint, end_s - 5, end_s)

    assert AuditQueries(conn).count_rows(T0 + 10 * S, T0 + 20 * S, mints) == count


@pytest.mark.parametrize("table", ["coin_metrics_ahead", "coin_metrics_conflicts"])
def test_candles_set_aside_are_those_of_the_time_and_the_mints_asked_for(
    conn: psycopg.Connection[tuple[object, ...]], table: str
) -> None:
    for mint, start_s in (("A", 0), ("A", 5), ("A", 10), ("A", 4_000), ("B", 5)):
        keep(conn, table, mint, start_s, start_s + 5)
    rows = AuditQueries(conn)

    def spans(to_s: int | None, mints: list[str] | None) -> dict[str, list[int]]:
        to_us = None if to_s is None else T0 + to_s * S
        found = rows.set_aside(T0 + 5 * S, to_us, mints)
        return {mint: [(start - T0) // S for start, _ in spans] for mint, spans in found.items()}

    assert spans(10, ["A"]) == {"A": [5]}
    assert spans(None, ["A"]) == {"A": [5, 10, 4_000]}
    assert spans(11, None) == {"A": [5, 10], "B": [5]}
