"""A change of the number of writers, as one of them goes through it: manual clocks, no threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import FeedGap, Mint, Place
from actors.postgres_writer import ParkedMints, WriterState
from actors.postgres_writer.codec import encode
from actors.postgres_writer.spool_recovery import reassign_spool
from actors.postgres_writer.state import Preparation
from actors.protocol.postgres_writer import (
    FinishMove,
    GapRecorded,
    MovePrepared,
    PrepareMove,
    StreamEnded,
)
from actors.runtime.messages import Flush
from actors.spool.store import Spool
from tests.postgres_writer.items import TRADES_PER_CANDLE, closed
from tests.postgres_writer.test_actor import AWAY, WRITER, Rig, cells, full_rig

if TYPE_CHECKING:
    from pathlib import Path

    from actors.postgres_writer.batch import Item


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.start()
    return rig


def prepared(rig: Rig) -> list[tuple[str, int]]:
    """What the supervisor was told, and forget it."""
    told = [(m.name, m.epoch) for m in rig.supervisor.of(MovePrepared)]
    rig.supervisor.clear()
    return told


def test_before_it_moves_a_writer_commits_what_it_was_told(rig: Rig) -> None:
    rig.tell([*cells("A", 3), PrepareMove(8, 1)])

    assert rig.database.cells == [("A", 0), ("A", 1), ("A", 2)]
    assert prepared(rig) == [(WRITER, 1)]
    assert rig.status().prepared_epoch == 1
    assert rig.trades(Place.COMMITTED) == 3 * TRADES_PER_CANDLE


def test_what_is_told_during_a_move_waits_for_its_end(rig: Rig) -> None:
    rig.tell([PrepareMove(8, 1), *cells("A", 12)])
    rig.system.advance(60.0)
    assert rig.database.cells == []

    rig.tell([FinishMove(1)])
    rig.system.advance(0.2)

    assert rig.database.cells == [("A", number) for number in range(12)]
    assert rig.status().prepared_epoch == 0


def test_a_flush_during_a_move_acts_at_its_end(rig: Rig) -> None:
    rig.tell([PrepareMove(8, 1), *cells("A", 2), Flush()])
    rig.supervisor.clear()

    rig.tell([FinishMove(1)])

    assert rig.database.cells == [("A", 0), ("A", 1)]
    assert [message.undelivered for message in rig.supervisor.messages] == [0]


def test_with_the_database_away_a_move_stores_everything(rig: Rig) -> None:
    rig.database.away = AWAY
    rig.tell([*cells("A", 12), PrepareMove(8, 1)])

    assert rig.spooled() == ["CandleClosed"] * 12
    assert prepared(rig) == [(WRITER, 1)]
    assert rig.trades(Place.SPOOLED) == 12 * TRADES_PER_CANDLE


def test_after_a_move_a_writer_delivers_what_the_spool_has_for_it_now(rig: Rig) -> None:
    rig.database.away = AWAY
    rig.tell([*cells("A", 12), PrepareMove(8, 1)])
    spool = Spool(rig.spool_path, rig.spool_bytes)
    spool.open()
    spool.reassign(WRITER, lambda _: "postgres-writer:5")
    # Another writer has spooled this before, and its trades stand in the ledger already.
    spool.put(WRITER, [encode(closed("B", 0))], 0)
    spool.close()
    rig.system.ledger.receive(Place.SPOOLED, TRADES_PER_CANDLE)

    rig.database.away = None
    rig.tell([FinishMove(1), closed("B", 1)])
    rig.system.advance(60.0)
    rig.system.advance(0.2)

    assert rig.database.cells == [("B", 0), ("B", 1)]
    assert rig.trades(Place.SPOOLED) == 12 * TRADES_PER_CANDLE
    assert rig.trades(Place.COMMITTED) == 2 * TRADES_PER_CANDLE
    assert rig.trades(Place.DEAD) == 0
    assert rig.system.ledger.balanced


def test_a_new_writer_takes_nothing_before_the_end_of_the_move_that_adds_it(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path)
    rig.state = WriterState(awaiting_epoch=3)
    rig.start()
    rig.tell(cells("A", 12))
    rig.system.advance(60.0)
    assert rig.database.tries == 0

    rig.tell([FinishMove(2)])
    assert rig.database.tries == 0

    rig.tell([FinishMove(3)])
    rig.system.advance(0.2)
    assert rig.database.cells == [("A", number) for number in range(12)]


def test_a_new_writer_delivers_what_others_have_spooled_and_enters_nothing(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path)
    rig.system.ledger.receive(Place.SPOOLED, 2 * TRADES_PER_CANDLE)
    rig.state = WriterState(awaiting_epoch=3)
    rig.start()
    spool = Spool(rig.spool_path, rig.spool_bytes)
    spool.put(WRITER, [encode(item) for item in cells("A", 2)], 0)
    spool.close()

    rig.tell([FinishMove(3), closed("A", 2)])
    rig.system.advance(0.2)

    assert rig.database.cells == [("A", 0), ("A", 1), ("A", 2)]
    assert rig.trades(Place.COMMITTED) == 3 * TRADES_PER_CANDLE
    assert rig.system.ledger.balanced


def test_repeated_announcements_and_ends_change_nothing(rig: Rig) -> None:
    rig.tell([PrepareMove(8, 1), PrepareMove(8, 1)])
    rig.tell([FinishMove(1), FinishMove(1), PrepareMove(8, 1), FinishMove(0), PrepareMove(8, 0)])
    rig.tell(cells("A", 10))

    assert prepared(rig) == [(WRITER, 1)]
    assert len(rig.database.rows) == 10


def test_one_move_follows_another(rig: Rig) -> None:
    rig.tell([PrepareMove(8, 1)])
    rig.tell([FinishMove(1)])
    rig.tell([PrepareMove(1, 2), *cells("A", 10)])
    assert prepared(rig) == [(WRITER, 1), (WRITER, 2)]
    assert rig.database.cells == []

    rig.tell([FinishMove(2)])
    assert len(rig.database.rows) == 10


def test_an_end_that_nobody_waited_for_is_not_prepared_for_afterwards(rig: Rig) -> None:
    rig.system.tell(WRITER, PrepareMove(8, 1))
    rig.system.tell(WRITER, FinishMove(1))
    rig.system.run()
    rig.tell(cells("A", 10))

    assert prepared(rig) == []
    assert len(rig.database.rows) == 10


@pytest.mark.parametrize("breaks_in", ["write", "put"])
def test_an_instance_that_fails_while_it_prepares_leaves_that_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks_in: str
) -> None:
    rig = Rig(tmp_path)
    rig.start()
    rig.tell(cells("A", 5))

    def breaks(*_: Any) -> int:
        raise MemoryError

    with monkeypatch.context() as broken:
        if breaks_in == "write":
            broken.setattr(rig.database, "write", breaks)
        else:
            rig.database.away = AWAY
            broken.setattr(Spool, "put", breaks)
        rig.tell([PrepareMove(8, 1), *cells("A", 5, first=5)])
    assert rig.system.letters()[0].reason == "failed"
    assert prepared(rig) == []

    rig.database.away = None
    rig.system.advance(1.0)
    assert prepared(rig) == [(WRITER, 1)]

    rig.tell([FinishMove(1)])
    rig.system.advance(0.2)
    assert rig.database.cells == [("A", number) for number in range(10)]
    assert rig.trades(Place.COMMITTED) == 10 * TRADES_PER_CANDLE
    assert rig.system.ledger.balanced


def test_an_instance_that_is_replaced_while_it_waits_goes_on_waiting(rig: Rig) -> None:
    rig.tell([PrepareMove(8, 1), *cells("A", 10)])
    rig.system.restart(WRITER)
    rig.system.run()
    assert rig.database.cells == []

    rig.tell([FinishMove(1)])
    assert len(rig.database.rows) == 10


def test_a_spool_that_refuses_is_asked_again_before_a_move_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = full_rig(tmp_path, monkeypatch)
    rig.tell(cells("A", 400))
    kept = rig.status().rows_waiting + rig.status().rows_spooled
    rig.tell([PrepareMove(8, 1)])
    rig.system.advance(5.0)
    assert prepared(rig) == []

    actor: Any = rig.system._cells[WRITER].actor
    actor._outbox.resize(10_000_000)
    rig.system.advance(1.0)

    assert prepared(rig) == [(WRITER, 1)]
    assert len(rig.spooled()) == kept


def test_with_neither_database_nor_spool_a_move_leaves_rows_to_the_journal_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = full_rig(tmp_path, monkeypatch)
    rig.tell(cells("A", 400))
    parked = rig.trades(Place.PARKED)
    rig.tell([PrepareMove(8, 1)])
    for _ in range(14):
        rig.system.advance(1.0)
    assert prepared(rig) == []
    in_memory = rig.trades(Place.QUEUED)
    assert in_memory > 0

    rig.system.advance(1.0)

    assert prepared(rig) == [(WRITER, 1)]
    assert rig.status().rows_waiting == 0
    assert rig.trades(Place.PARKED) == parked + in_memory
    assert rig.system.ledger.balanced


def test_what_one_writer_has_parked_no_other_writes_past(tmp_path: Path) -> None:
    parking = ParkedMints()
    parking.add(Mint("A"), 7)
    rig = Rig(tmp_path)
    rig.state = WriterState(parking=parking)
    rig.start()
    rig.tell(cells("A", 10))

    assert rig.database.cells == []
    assert rig.trades(Place.PARKED) == 10 * TRADES_PER_CANDLE
    assert rig.status().oldest_waiting_us == 7


def test_moving_knows_which_epochs_are_over() -> None:
    moving = Preparation()

    assert moving.begin(2, 0.0)
    assert not moving.begin(2, 0.0)
    assert not moving.begin(1, 0.0)
    assert moving.begin(3, 0.0)
    assert not moving.finish(2)
    assert moving.finish(3)
    assert not moving.finish(3)
    assert not moving.begin(3, 0.0)


def test_moved_to_fewer_or_more_writers_each_mint_keeps_its_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", 1 << 24)
    spool.open()
    # CRC-32 gives A to writer 3, B to writer 1, C to writer 7 of eight.
    for cell in range(3):
        for mint, index in (("A", 3), ("B", 1), ("C", 7)):
            spool.put(f"postgres-writer:{index}", [encode(closed(mint, cell))], cell)
    end: Item = StreamEnded(Mint("C"), 99, graduated=False, at_us=1)
    spool.put("postgres-writer:7", [encode(end)], 9)

    assert reassign_spool(spool, 8) == 0
    assert reassign_spool(spool, 1) == 10
    assert [entry.key for entry in spool.oldest(WRITER, 99)] == [*"ABCABCABC", "C"]
    assert spool.stats("postgres-writer:7").entries == 0

    assert reassign_spool(spool, 8) == 10
    assert [entry.kind for entry in spool.oldest("postgres-writer:7", 99)] == [
        *["CandleClosed"] * 3,
        "StreamEnded",
    ]
    spool.close()


def test_what_belongs_to_no_mint_goes_to_the_first_writer(tmp_path: Path) -> None:
    gap = GapRecorded(FeedGap(mint=None, started_us=1, ended_us=2, reason="drop"))
    spool = Spool(tmp_path / "spool.sqlite", 1 << 24)
    spool.put("postgres-writer:7", [encode(gap)], 0)

    assert reassign_spool(spool, 4) == 1
    assert spool.stats(WRITER).entries == 1
    spool.close()
