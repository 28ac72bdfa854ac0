"""The SQL that the operators' page has for rows that stand aside, run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from actors.domain import Mint
from db.aside import move_ahead
from db.candles import copy_candles, keep_ahead
from db.streams import read_streams, start_stream
from tests.db.rows import NOON_US, a_candle, read

if TYPE_CHECKING:
    from db.pool import Connection

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
SECOND_US = 1_000_000
ENDS = (
    "SELECT mint, ((extract(epoch FROM timestamp) - 1759320000))::int, num_buys, last_seq,"
    " journal_id FROM coin_metrics ORDER BY 1, 2"
)


def section() -> str:
    text = PAGE.read_text(encoding="utf-8").partition("\n## Rows stand aside\n")[2]
    return text.partition("\n## ")[0]


def statements() -> list[str]:
    return re.findall(r"```sql\n(.*?)```", section(), re.DOTALL)


def bring_back() -> str:
    found = re.search(r"<!-- bring back -->\n```sql\n(.*?)```", section(), re.DOTALL)
    assert found is not None
    return found.group(1)


def after(seconds: int) -> int:
    return NOON_US + seconds * SECOND_US


def test_rows_come_back_with_their_numbers_where_no_row_of_now_overlaps(
    conn: Connection, dsn: str
) -> None:
    ahead = [a_candle("A", after(at), last_seq=at) for at in (5, 10, 15, 20)]
    copy_candles(conn, [*ahead, a_candle("B", after(7), last_seq=7)], 7)
    assert move_ahead(conn, NOON_US) == 5
    # Since then, half over one of them and exactly on another.
    copy_candles(conn, [a_candle("A", after(8)), a_candle("A", after(20), num_buys=9)], 8)

    assert conn.execute(bring_back()).rowcount == 2
    assert conn.execute(bring_back()).rowcount == 0

    assert read(dsn, ENDS) == [
        ("A", 8, 2, 9, 8),
        ("A", 15, 2, 15, 7),
        ("A", 20, 9, 9, 8),
        ("B", 7, 2, 7, 7),
    ]
    assert read(dsn, "SELECT count(*) FROM coin_metrics_ahead") == [(5,)]


def test_every_figure_of_a_row_comes_back(conn: Connection, dsn: str) -> None:
    copy_candles(conn, [a_candle("A", after(5), trades_without_amount=1)], 7)
    every = "SELECT * FROM coin_metrics"
    before = read(dsn, every)
    assert move_ahead(conn, NOON_US) == 1
    assert read(dsn, every) == []

    conn.execute(bring_back())

    assert read(dsn, every) == before


def test_of_rows_aside_that_overlap_each_other_one_comes_back(conn: Connection, dsn: str) -> None:
    keep_ahead(conn, [a_candle("A", after(5), last_seq=1)], 7)
    keep_ahead(conn, [a_candle("A", after(5), last_seq=2, num_buys=8)], 7)
    keep_ahead(conn, [a_candle("A", after(7), last_seq=3)], 7)

    assert conn.execute(bring_back()).rowcount == 1
    assert read(dsn, ENDS) == [("A", 5, 2, 1, 7)]


def test_rows_of_a_time_that_has_not_come_yet_stay_aside(conn: Connection, dsn: str) -> None:
    conn.execute(
        "INSERT INTO coin_metrics_ahead (mint, window_start, timestamp)"
        " VALUES ('A', now() + interval '55 s', now() + interval '60 s')"
    )

    assert conn.execute(bring_back()).rowcount == 0


def test_rows_that_came_back_count_as_rows_at_the_next_start(conn: Connection) -> None:
    start_stream(conn, Mint("A"), 1, NOON_US)
    copy_candles(conn, [a_candle("A", after(5), last_seq=41)], 7)
    move_ahead(conn, NOON_US)
    conn.execute(bring_back())

    assert [row.rows_seq for row in read_streams(conn, [Mint("A")], 7)] == [41]
    assert move_ahead(conn, after(6)) == 0


def test_statements_that_look_at_rows_aside_find_them(conn: Connection) -> None:
    copy_candles(conn, [a_candle("A", after(5)), a_candle("B", NOON_US)], 7)
    copy_candles(conn, [a_candle("B", NOON_US, num_buys=8)], 7)
    move_ahead(conn, NOON_US)

    counts, rows, conflicts, back = statements()

    assert [row[0] for row in conn.execute(counts).fetchall()] == [1]
    assert [row[0] for row in conn.execute(rows).fetchall()] == ["A"]
    (found,) = conn.execute(conflicts).fetchall()
    assert (found[0], found[2], found[3]) == ("B", 2, 8)
    assert back == bring_back()
