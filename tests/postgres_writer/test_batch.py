from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain import AllTimeHigh, FeedGap, Mint
from actors.postgres_writer.batch import (
    Backlog,
    Item,
    halves,
    mint_of,
    pause_s,
    rows_of,
    sort_out,
    trades_of,
)
from actors.postgres_writer.codec import UnreadableEntryError, decode, encode
from actors.protocol.postgres_writer import (
    CandleClosed,
    GapRecorded,
    StoreCoin,
    StoreTrade,
    StreamEnded,
    StreamPhaseChanged,
)
from actors.spool.entries import StoredEntry
from tests.postgres_writer.items import a_candle, a_coin, a_trade, ath, closed, started


def fill(*items: Item, at_s: float = 0.0) -> Backlog:
    backlog = Backlog()
    for item in items:
        backlog.add(item, at_s)
    return backlog


def test_items_leave_in_the_order_they_came() -> None:
    ended = StreamEnded(Mint("B"), 99, graduated=False, at_us=7)
    items = (closed("A", 1), started("B"), closed("A", 2), ended)
    backlog = fill(*items)

    assert backlog.oldest(10) == items


def test_a_batch_holds_no_more_rows_than_asked_for() -> None:
    backlog = fill(*(closed("A", number) for number in range(5)))

    assert backlog.oldest(3) == (closed("A", 0), closed("A", 1), closed("A", 2))


def test_a_candle_with_trades_counts_as_many_rows() -> None:
    heavy = CandleClosed(a_candle("A", 0), trades=(a_trade("A", 1), a_trade("A", 2)))
    backlog = fill(heavy, closed("B", 0))

    assert backlog.rows == 4
    assert backlog.oldest(3) == (heavy,)


def test_one_item_always_leaves_however_many_rows_it_is() -> None:
    heavy = CandleClosed(a_candle("A", 0), trades=(a_trade("A", 1), a_trade("A", 2)))

    assert fill(heavy).oldest(1) == (heavy,)


def test_looking_takes_nothing_away_and_dropping_takes_the_oldest() -> None:
    backlog = fill(closed("A", 0), closed("A", 1), closed("A", 2))

    backlog.oldest(2)
    backlog.drop(2)

    assert backlog.oldest(10) == (closed("A", 2),)
    assert (len(backlog), backlog.rows) == (1, 1)


def test_a_higher_ath_takes_the_place_of_the_one_that_waits() -> None:
    backlog = fill(started("A"), ath("A", 1.0), closed("A", 0), ath("A", 3.0), ath("A", 2.0))

    assert backlog.oldest(10) == (started("A"), ath("A", 3.0), closed("A", 0))
    assert backlog.rows == 3


def test_aths_of_different_mints_wait_beside_each_other() -> None:
    assert len(fill(ath("A", 1.0), ath("B", 2.0))) == 2


def test_an_ath_after_the_waiting_one_left_waits_anew() -> None:
    backlog = fill(ath("A", 1.0))
    backlog.drop(1)

    backlog.add(ath("A", 2.0), 0.0)

    assert backlog.oldest(10) == (ath("A", 2.0),)


def test_nothing_is_due_without_items() -> None:
    assert Backlog().due_in_s(5.0, 100, 0.2) is None


def test_a_batch_is_due_when_its_oldest_item_reaches_its_age() -> None:
    backlog = fill(closed("A", 0), at_s=10.0)
    backlog.add(closed("A", 1), 10.15)

    assert backlog.due_in_s(10.05, 100, 0.2) == pytest.approx(0.15)
    assert backlog.due_in_s(10.2, 100, 0.2) == 0.0
    assert backlog.due_in_s(99.0, 100, 0.2) == 0.0


def test_a_batch_is_due_at_once_when_it_is_full() -> None:
    backlog = fill(closed("A", 0), closed("A", 1))

    assert backlog.due_in_s(0.0, 2, 60.0) == 0.0


def test_the_age_is_that_of_the_oldest_item_left() -> None:
    backlog = fill(closed("A", 0), at_s=0.0)
    backlog.add(closed("A", 1), 7.0)
    backlog.drop(1)

    assert backlog.due_in_s(7.0, 100, 0.5) == 0.5


def test_the_journal_is_needed_from_the_earliest_waiting_window() -> None:
    backlog = fill(closed("A", 9), closed("B", 4), closed("C", 6))

    assert backlog.oldest_window_us == 1_700_000_000_000_000 + 4 * 5_000_000
    assert fill(started("A")).oldest_window_us == started("A").coin.arrived_us
    ended = StreamEnded(Mint("A"), 99, graduated=False, at_us=7)
    assert fill(closed("A", 4), ended).oldest_window_us == 7
    assert fill(ath("A", 1.0)).oldest_window_us is None


def test_a_batch_is_sorted_by_table_in_the_order_of_arrival() -> None:
    with_trades = CandleClosed(a_candle("B", 1), trades=(a_trade("B", 1),))
    gap = FeedGap(mint=None, started_us=1, ended_us=2, reason="drop")
    phase = StreamPhaseChanged(Mint("A"), 2)

    again = StoreTrade(a_trade("C", 2), 3)
    coin = StoreCoin(a_coin("D"))

    contents = sort_out(
        [started("A"), closed("A", 0), GapRecorded(gap), with_trades, phase, again, coin]
    )

    assert contents.candles == (a_candle("A", 0), a_candle("B", 1))
    assert contents.changes == (started("A"), phase)
    assert contents.trades == (StoreTrade(a_trade("B", 1), 1), again)
    assert contents.coins == (a_coin("D"),)
    assert contents.gaps == (gap,)
    assert contents.aths == ()


def test_of_several_aths_of_a_mint_the_highest_is_written() -> None:
    carried = AllTimeHigh(Mint("A"), 5.0, 9)

    contents = sort_out(
        [
            ath("A", 3.0),
            CandleClosed(a_candle("A", 0), ath=carried),
            ath("A", 4.0),
            ath("B", 1.0),
        ]
    )

    assert contents.aths == (carried, AllTimeHigh(Mint("B"), 1.0, 1_700_000_000_000_000))


@pytest.mark.parametrize(
    ("items", "first", "second"),
    [("ab", "a", "b"), ("abc", "a", "bc"), ("abcd", "ab", "cd")],
)
def test_halves_keep_the_order(items: str, first: str, second: str) -> None:
    assert halves(items) == (first, second)


@given(st.lists(st.integers(), min_size=2))
def test_halves_are_never_empty_and_lose_nothing(items: list[int]) -> None:
    first, second = halves(items)

    assert first
    assert second
    assert [*first, *second] == items


@pytest.mark.parametrize(
    ("failures", "longest"),
    [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (8, 30.0), (5_000, 30.0)],
)
def test_pauses_double_up_to_half_a_minute(failures: int, longest: float) -> None:
    assert pause_s(failures, jitter=0.0) == longest
    assert pause_s(failures, jitter=1.0) == longest / 2


ITEMS: list[Item] = [
    CandleClosed(
        a_candle("A", 3), ath=AllTimeHigh(Mint("A"), 4.1e-7, 12), trades=(a_trade("A", 1),)
    ),
    closed("B", 1),
    ath("C", 2.5e-8),
    started("D"),
    StreamPhaseChanged(Mint("E"), 2),
    StreamEnded(Mint("F"), 100, graduated=True, at_us=5),
    GapRecorded(FeedGap(mint=None, started_us=1, ended_us=None, reason="banned")),
    GapRecorded(FeedGap(mint=Mint("G"), started_us=1, ended_us=2, reason="doubt")),
    StoreTrade(a_trade("H", 1), 3),
    StoreCoin(a_coin("I")),
]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(item).__name__)
def test_an_item_comes_back_from_the_spool_as_it_was(item: Item) -> None:
    entry = encode(item)
    stored = StoredEntry(1, entry.kind, entry.key, entry.payload, entry.weight, 0)

    assert decode(stored) == item


@pytest.mark.parametrize(
    ("item", "mint", "trades", "rows"),
    [
        (ITEMS[0], "A", 5, 2),
        (ITEMS[2], "C", 0, 1),
        (ITEMS[3], "D", 0, 1),
        (ITEMS[4], "E", 0, 1),
        (ITEMS[5], "F", 0, 1),
        (ITEMS[6], None, 0, 1),
        (ITEMS[7], "G", 0, 1),
        (ITEMS[8], "H", 0, 1),
        (ITEMS[9], "I", 0, 1),
    ],
)
def test_mint_trades_and_rows_of_an_item(
    item: Item, mint: str | None, trades: int, rows: int
) -> None:
    assert (mint_of(item), trades_of(item), rows_of(item)) == (mint, trades, rows)


def test_an_entry_carries_the_mint_and_the_trades() -> None:
    entry = encode(closed("A", 0))

    assert (entry.kind, entry.key, entry.weight) == ("CandleClosed", "A", 5)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("CandleClosed", b"\xc1"),
        ("CandleClosed", b""),
        ("CandleClosed", b"\x01"),
        ("Nonsense", b""),
    ],
)
def test_an_entry_that_cannot_be_read_is_named(kind: str, payload: bytes) -> None:
    with pytest.raises(UnreadableEntryError, match="spool entry 7"):
        decode(StoredEntry(7, kind, "A", payload, 0, 0))


def test_a_coin_keeps_its_frame_byte_for_byte_in_the_spool() -> None:
    entry = encode(started("A"))
    stored = decode(StoredEntry(1, entry.kind, entry.key, entry.payload, 0, 0))

    assert stored == started("A")
    assert a_coin("A").frame == b'{"mint":"A","x":"\xe2\x82\xac"}'
