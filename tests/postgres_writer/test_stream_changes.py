"""What becomes of stream changes, as stream-watch hears of it: every one that is announced ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from psycopg import errors

from actors.domain import Mint
from actors.postgres_writer import WriterState
from actors.protocol.postgres_writer import (
    StreamChange,
    StreamEnded,
    StreamPhaseChanged,
)
from actors.spool.entries import Entry
from actors.spool.store import Spool
from actors.stream_watch import (
    StreamChangePending,
    StreamChangesCommitted,
    StreamWatchActor,
    WatchState,
)
from tests.postgres_writer.items import closed, started
from tests.postgres_writer.test_actor import AWAY, WRITER, Rig, full_rig
from tests.stream_watch.test_actor import DictDatabase

if TYPE_CHECKING:
    from pathlib import Path

A, B = Mint("A"), Mint("B")
END = StreamEnded(A, 99, graduated=False, at_us=1)
REFUSED = errors.ForeignKeyViolation("phase 99 is not in table ref_coin_phases")


class Watched:
    """A writer beside a real stream-watch, on two databases made of lists and dicts."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        rig.system.stop("stream-watch")
        self.state = WatchState()
        rig.system.start(
            "stream-watch",
            lambda context: StreamWatchActor(
                context, state=self.state, connector=DictDatabase(), jitter=lambda: 0.0
            ),
        )
        rig.start()

    def announce(self, change: StreamChange) -> None:
        """Tell both of a change, in the order in which its makers do."""
        mint = change.coin.mint if hasattr(change, "coin") else change.mint
        active = not isinstance(change, StreamEnded)
        self.rig.system.tell("stream-watch", StreamChangePending(mint, active=active))
        self.rig.tell([change])

    @property
    def pending(self) -> dict[Mint, bool]:
        return dict(self.state.watch.pending)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(Rig(tmp_path))


@pytest.mark.parametrize("change", [started("A"), StreamPhaseChanged(A, 2), END])
def test_a_change_that_the_database_refuses_is_over_for_stream_watch(
    watched: Watched, change: StreamChange
) -> None:
    watched.rig.database.bad_changes[A] = REFUSED
    watched.announce(change)
    watched.rig.system.advance(0.2)

    assert watched.pending == {}
    assert [letter.message for letter in watched.rig.system.letters()] == [change]
    notes = watched.rig.system.timelines.of(A) or ()
    assert [(note.what, note.details["error"]) for note in notes if note.actor == WRITER] == [
        ("row_dead", "ForeignKeyViolation")
    ]


def test_a_committed_change_is_over_and_in_the_timeline(watched: Watched) -> None:
    watched.announce(StreamPhaseChanged(A, 2))
    watched.announce(END)
    assert watched.pending == {A: False}

    watched.rig.system.advance(0.2)

    assert watched.pending == {}
    notes = watched.rig.system.timelines.of(A) or ()
    assert [(note.what, note.details) for note in notes if note.actor == WRITER] == [
        ("stream_committed", {"phase": 2, "active": True}),
        ("stream_committed", {"phase": 99, "active": False}),
    ]


def test_a_change_that_waits_on_disk_is_over_once_it_is_committed(watched: Watched) -> None:
    watched.rig.database.away = AWAY
    watched.announce(END)
    watched.rig.system.stop(WRITER)
    assert watched.pending == {A: False}

    watched.rig.database.away = None
    watched.rig.start()

    assert watched.pending == {}


def test_a_change_on_disk_that_cannot_be_read_is_over(watched: Watched) -> None:
    watched.rig.system.tell("stream-watch", StreamChangePending(A, active=False))
    watched.rig.system.stop(WRITER)
    spool = Spool(watched.rig.spool_path, watched.rig.spool_bytes)
    spool.put(WRITER, [Entry("StreamEnded", b"\xc1", "A")], 0)
    spool.close()
    watched.rig.state = WriterState()

    watched.rig.start()

    assert watched.pending == {}


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_changes_that_vanish_with_a_damaged_spool_are_over(
    watched: Watched, restarted: bool
) -> None:
    rig = watched.rig
    rig.database.away = AWAY
    for change in (StreamPhaseChanged(A, 2), END, StreamPhaseChanged(B, 2)):
        watched.announce(change)
    actor: Any = rig.system._cells[WRITER].actor
    actor._outbox.store_all()
    if restarted:
        rig.system.stop(WRITER)
        rig.state = WriterState()
        rig.start()
    rig.spool_path.rename(rig.spool_path.with_name("gone"))
    rig.database.away = None
    rig.tell([closed("B", 0)])
    rig.system.advance(1.0)

    assert watched.pending == {}


def test_a_change_that_nothing_can_store_is_over(watched: Watched) -> None:
    watched.rig.database.away = AWAY
    watched.announce(StreamPhaseChanged(Mint("bad\ud800"), 2))
    watched.rig.system.stop(WRITER)

    assert watched.pending == {}


def test_a_change_that_is_parked_stays_pending_like_the_rows_of_its_mint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = full_rig(tmp_path, monkeypatch)
    rig.system.stop(WRITER)
    watched = Watched(rig)
    rig.tell(closed("A", number) for number in range(400))
    watched.announce(END)
    rig.database.away = None
    for _ in range(20):
        rig.system.advance(40.0)

    assert watched.pending == {A: False}


def test_a_refused_change_that_is_sent_again_and_committed_is_told(watched: Watched) -> None:
    watched.rig.database.bad_changes[A] = REFUSED
    watched.announce(END)
    watched.rig.system.advance(0.2)
    probe = watched.rig.system
    probe.stop("stream-watch")
    told = probe.probe("stream-watch")

    watched.rig.database.bad_changes.clear()
    watched.rig.tell([watched.rig.system.letters()[0].message])
    watched.rig.system.advance(0.2)

    assert told.messages == [StreamChangesCommitted((A,))]
