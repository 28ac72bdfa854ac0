"""What an earlier process has left in the spool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.domain import Mint
from actors.postgres_writer.codec import encode
from actors.postgres_writer.spool_recovery import read_leftovers
from actors.protocol.postgres_writer import (
    StreamEnded,
    StreamPhaseChanged,
    StreamStarted,
)
from actors.spool.entries import Entry
from actors.spool.store import Spool
from tests.postgres_writer.items import a_coin, closed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from actors.postgres_writer.batch import Item

A, B = Mint("A"), Mint("B")
WRITER = "postgres-writer:0"


LATER_US = 2 * 10**15
"""The year 2033, behind every row here."""


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool.sqlite", 1 << 24)
    spool.open()
    yield spool
    spool.close()


def test_rows_end_where_the_newest_spooled_row_of_each_mint_ends(spool: Spool) -> None:
    rows = [closed("A", 1), closed("B", 2), closed("A", 3)]
    spool.put(WRITER, [encode(row) for row in rows], now_us=1)

    assert read_leftovers(spool, "postgres-writer:", LATER_US).rows_end_us == {
        A: rows[2].candle.timestamp_us,
        B: rows[1].candle.timestamp_us,
    }


def test_streams_that_ended_are_named_once_a_change_and_restarted_ones_are_not(
    spool: Spool,
) -> None:
    changes: list[Item] = [
        StreamPhaseChanged(A, 2),
        StreamEnded(A, 99, graduated=False, at_us=5),
        StreamEnded(B, 99, graduated=False, at_us=5),
        StreamStarted(a_coin("B"), 1, 6),
    ]
    spool.put(WRITER, [encode(change) for change in changes], now_us=1)

    assert read_leftovers(spool, "postgres-writer:", LATER_US).ended == (A, A)


def test_an_unreadable_entry_hides_nothing_else(spool: Spool) -> None:
    broken = Entry(kind="CandleClosed", payload=b"\xc1", key="B", weight=0)
    spool.put(WRITER, [encode(closed("A", 1)), broken], now_us=1)

    assert read_leftovers(spool, "postgres-writer:", LATER_US).rows_end_us.keys() == {A}


def test_other_owners_and_an_empty_spool_say_nothing(spool: Spool) -> None:
    spool.put("n8n-writer", [encode(closed("A", 1))], now_us=1)

    found = read_leftovers(spool, "postgres-writer:", LATER_US)
    assert (found.rows_end_us, found.ended) == ({}, ())


def test_a_mark_outlives_entries_and_never_falls(spool: Spool) -> None:
    assert spool.mark("n8n-writer") == 0
    spool.put("n8n-writer", [Entry(kind="n8n", payload=b"x", key="1", weight=0)], 1, mark=7)
    spool.put("n8n-writer", [Entry(kind="n8n", payload=b"y", key="2", weight=0)], 1, mark=3)
    spool.remove_key("n8n-writer", "1")
    spool.remove_key("n8n-writer", "2")

    assert spool.mark("n8n-writer") == 7


def test_the_greatest_number_of_each_mint_is_found_whatever_was_spooled_last(spool: Spool) -> None:
    """A dead letter that was sent again stands behind newer rows."""
    rows = [closed("A", 5), closed("B", 2), closed("A", 9), closed("A", 3)]
    broken = Entry(kind="CandleClosed", payload=b"\xc1", key="C", weight=0)
    spool.put(WRITER, [*(encode(row) for row in rows), broken], now_us=1)
    spool.put("postgres-writer:1", [encode(closed("D", 7)), encode(StreamPhaseChanged(A, 2))], 1)
    spool.put("n8n-writer", [encode(closed("E", 99))], 1)

    found = read_leftovers(spool, "postgres-writer:", LATER_US)

    assert found.rows_seq == {"A": 9, "B": 2, "D": 7}
    assert found.last_seq == 9


def test_numbers_are_found_on_every_page_of_the_spool(spool: Spool) -> None:
    rows = [closed(f"M{number % 700}", number) for number in range(2_500)]
    spool.put(WRITER, [encode(row) for row in rows], now_us=1)

    found = read_leftovers(spool, "postgres-writer:", LATER_US)

    assert len(found.rows_seq) == 700
    assert found.rows_seq[Mint("M0")] == 2_100
    assert found.last_seq == 2_499


def test_without_spooled_rows_there_is_no_number(spool: Spool) -> None:
    found = read_leftovers(spool, "postgres-writer:", LATER_US)

    assert (found.rows_seq, found.last_seq) == ({}, 0)


def test_rows_that_end_after_the_start_are_ahead_and_end_nothing(spool: Spool) -> None:
    rows = [closed("A", 1), closed("A", 2), closed("B", 2)]
    spool.put(WRITER, [encode(row) for row in rows], now_us=1)

    found = read_leftovers(spool, "postgres-writer:", rows[0].candle.timestamp_us)

    assert found.rows_end_us == {A: rows[0].candle.timestamp_us}
    assert found.ahead == {
        (A, rows[1].candle.timestamp_us),
        (B, rows[2].candle.timestamp_us),
    }
    assert found.rows_seq == {A: 2, B: 2}
