"""Routes that are closed and opened while trades of their mint are parked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import structlog

from actors.connection import (
    ConnectionActor,
    ConnectionState,
    FeedReport,
    RouteMint,
    StartReading,
    StopReading,
    UnrouteMint,
)
from actors.connection.partition import RawFrame
from actors.connection.router import GONE_S
from actors.domain import US_PER_SECOND, Mint, Trade
from actors.journal.records import FactRecord
from actors.protocol.discovery import RouteClosed, RouteSwitched
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    SUPERVISOR,
    ReadingStopped,
    tracker_name,
)
from actors.protocol.tracker import TradesParked, TradesUnparked
from actors.runtime import Message
from actors.runtime.simulation import SeededSystem
from settings import Settings
from tests.connection.system import KeptHistory, KeptJournal
from tests.supervisor.scripted import T0_US, trade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.runtime import Actor, Context

A, B = Mint("A"), Mint("B")
SOL = 1_000_000_000


def s(seconds: float) -> int:
    return T0_US + round(seconds * US_PER_SECOND)


class Quiet:
    """A reader of a feed that says nothing by itself."""

    def start(self) -> None:
        pass

    resume = turn = stop = release = start

    def cover(self, mint: Mint) -> None:
        pass


class _Heard(Message, frozen=True):
    """These frames arrive."""

    frames: tuple[RawFrame, ...]


class WiredConnection(ConnectionActor):
    """The connection without a socket: the test says what arrives."""

    def _make_reader(self) -> Any:
        return Quiet()

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, _Heard):
            return self.hear(message.frames)
        return super().on_receive(message)

    def hear(self, frames: tuple[RawFrame, ...]) -> None:
        stamped = [RawFrame(self._pipeline.stamp_as(each.at_us), each.frame) for each in frames]
        batch = self._pipeline.partition(stamped)
        self._pipeline.journal(batch)
        self._pipeline.route(batch)
        self._pipeline.advance(stamped[-1].at_us + 1)


class Wire:
    """A connection, and trackers that can be paused."""

    def __init__(self) -> None:
        self.system = SeededSystem(settings=Settings(), now_us=T0_US)
        self.journal = KeptJournal()
        self.history = KeptHistory(self.journal)
        self.state = ConnectionState(self.system.settings)
        self.supervisor = self.system.probe(SUPERVISOR)
        self.discovery = self.system.probe(DISCOVERY)
        self.tracker = self.system.probe(tracker_name(A))
        self.actor: WiredConnection | None = None
        self.system.start(CONNECTION, self._make)
        self.tell(RouteMint(A), StartReading())

    def _make(self, context: Context) -> Actor:
        self.actor = WiredConnection(context, self.state, self.journal, self.history)
        return self.actor

    def tell(self, *messages: Any) -> None:
        for message in messages:
            assert self.system.tell(CONNECTION, message)
        self.system.run()

    def hear(self, *seconds: float, mint: str = "A") -> None:
        """Let trades arrive at these seconds, one slice each."""
        assert self.actor is not None
        for at in seconds:
            self.actor.hear((trade(mint, s(at), round(at * 1000), SOL),))
            self.system.run()

    def polls(self, seconds: float = 1.0) -> None:
        """Let the connection look around, every 50 ms."""
        for _ in range(round(seconds * 20)):
            self.system.advance(0.05)
            self.system.poll(CONNECTION)

    def pause(self, mint: Mint = A) -> None:
        """Let the tracker of a mint take nothing."""
        self.system._cells[tracker_name(mint)].mailbox.pause()

    def resume(self) -> None:
        self.system._cells[tracker_name(A)].mailbox.resume()
        self.system.run()

    def places(self) -> dict[str, int]:
        assert self.system.ledger.balanced
        return {place: trades for place, trades in self.system.ledger.read()[1].items() if trades}

    def trades(self) -> list[float]:
        """Seconds at which the trades arrived that the tracker was told."""
        return [(each.arrived_us - T0_US) / US_PER_SECOND for each in self.tracker.of(Trade)]

    def needed_from_us(self) -> int | None:
        self.polls(0.2)
        report = self.system.status_of(CONNECTION)
        assert isinstance(report, FeedReport)
        return report.parked_from_us

    def stops(self) -> list[dict[str, Any]]:
        facts = [each for each in self.journal.records if isinstance(each, FactRecord)]
        return [fact.details for fact in facts if fact.name == "tracker_stopped"]


@pytest.fixture
def wire() -> Wire:
    """Given a tracker that was told one trade and is paused before the next three."""
    wire = Wire()
    wire.hear(1)
    wire.pause()
    wire.hear(2, 3, 4)
    assert wire.places() == {"queued": 1, "parked": 3}
    return wire


def test_route_that_is_closed_hands_on_what_is_parked_before_it_ends(wire: Wire) -> None:
    # When the route is closed, nothing is let go of
    wire.tell(UnrouteMint(A))
    assert [each.at_us for each in wire.discovery.of(RouteClosed)] == [s(4) + 1]
    assert wire.needed_from_us() == s(2)
    wire.polls(60)
    assert wire.tracker.of(RouteClosed) == []

    # Then, once the tracker takes something again, it gets everything, and its end behind that
    wire.resume()
    wire.polls()
    assert wire.trades() == [1, 2, 3, 4]
    assert [type(each) for each in wire.tracker.messages[-2:]] == [TradesUnparked, RouteClosed]
    assert wire.tracker.messages[-1] == RouteClosed(A, s(4) + 1)
    assert wire.places() == {"queued": 4}
    assert wire.needed_from_us() is None
    assert wire.stops() == [{"ended": False, "through_seq": 1}, {"ended": False}]


def test_timeline_says_what_became_of_the_route(wire: Wire) -> None:
    wire.tell(UnrouteMint(A))
    wire.resume()
    wire.polls()

    notes = wire.system.timelines.of(A) or ()
    assert [(note.what, note.details) for note in notes] == [
        ("routed", {"rows_end_us": None}),
        ("parked", {"trades": 1}),
        ("unrouted", {"ended": False, "waits": True}),
        ("unparked", {"trades": 3}),
    ]


def test_what_arrives_after_the_close_goes_nowhere(wire: Wire) -> None:
    wire.tell(UnrouteMint(A))
    wire.hear(5)
    wire.resume()
    wire.polls()

    assert wire.trades() == [1, 2, 3, 4]
    assert wire.places() == {"queued": 4, "orphan": 1}


def test_next_tracker_of_a_mint_begins_with_what_the_last_one_did_not_take(wire: Wire) -> None:
    # Given a tracker that is gone for good while its route is closed
    wire.tell(UnrouteMint(A))
    wire.hear(5)
    wire.system.stop(tracker_name(A))
    wire.polls(GONE_S / 2)

    # When the mint is tracked anew, and further trades come
    wire.tracker = wire.system.probe(tracker_name(A))
    wire.tell(RouteMint(A))
    wire.hear(6, 7)
    wire.polls()

    # Then the new tracker is told that trades were parked, and gets them in their order
    parked = wire.tracker.messages[0]
    assert isinstance(parked, TradesParked)
    assert parked.from_us == s(2)
    assert wire.trades() == [2, 3, 4, 6, 7]
    assert wire.tracker.messages[-1] == TradesUnparked(parked.number)
    assert wire.tracker.of(RouteClosed) == []
    assert wire.places() == {"queued": 6, "orphan": 1}
    assert len(wire.discovery.of(RouteSwitched)) == 2


def test_what_is_parked_of_a_mint_that_nobody_tracks_any_more_is_given_up_and_said() -> None:
    with structlog.testing.capture_logs() as logs:
        wire = Wire()
        wire.pause()
        wire.hear(2, 3)
        wire.tell(UnrouteMint(A))
        wire.system.stop(tracker_name(A))
        wire.polls(GONE_S - 1)
        assert wire.places() == {"parked": 2}
        wire.polls(2)

    assert wire.places() == {"dead": 2}
    assert wire.needed_from_us() is None
    (lost,) = [log for log in logs if log["event"] == "parked_trades_lost"]
    assert (lost["log_level"], lost["mint"], lost["trades"]) == ("error", "A", 2)


def test_stop_hands_on_what_is_parked_before_it_is_told(wire: Wire) -> None:
    wire.system._cells[tracker_name(A)].mailbox.resume()
    wire.tell(StopReading())
    wire.polls()

    assert wire.trades() == [1, 2, 3, 4]
    assert wire.tracker.messages[-1] == RouteClosed(A, s(4) + 1)
    assert wire.supervisor.of(ReadingStopped) == [ReadingStopped(s(4))]
    assert wire.places() == {"queued": 4}


def test_stop_says_in_the_journal_of_no_mint_that_it_is_done_with(wire: Wire) -> None:
    wire.system._cells[tracker_name(A)].mailbox.resume()
    wire.tell(RouteMint(B))
    wire.tell(StopReading())
    wire.polls()

    # Rows that the writers do not get to are replayed, then.
    facts = [each.name for each in wire.journal.records if isinstance(each, FactRecord)]
    assert "tracker_started" in facts
    assert "tracker_stopped" not in facts


def test_stop_leaves_what_nobody_takes_to_the_next_start(wire: Wire) -> None:
    # Given another tracker that has nothing parked
    other = wire.system.probe(tracker_name(B))
    wire.tell(RouteMint(B))

    # When reading is stopped, the others end at once
    wire.tell(StopReading())
    assert other.of(RouteClosed) == [RouteClosed(B, s(4) + 1)]
    assert wire.supervisor.of(ReadingStopped) == []

    # Then after a second the rest is left where it is
    wire.polls(1.2)
    assert wire.supervisor.of(ReadingStopped) == [ReadingStopped(s(4))]
    assert wire.places() == {"queued": 1, "parked": 3}
    wire.resume()
    wire.polls()
    assert wire.tracker.messages[-1] == RouteClosed(A, s(2))
    assert wire.trades() == [1]


def test_stop_waits_for_no_tracker_that_is_gone(wire: Wire) -> None:
    wire.system.stop(tracker_name(A))
    wire.tell(StopReading())

    assert wire.supervisor.of(ReadingStopped) == [ReadingStopped(s(4))]
    assert wire.places()["parked"] == 3


def test_a_failed_connection_goes_on_with_the_stop(wire: Wire) -> None:
    wire.tell(StopReading())
    wire.tell("nonsense")
    wire.polls(2)

    assert wire.supervisor.of(ReadingStopped) == [ReadingStopped(s(4))]


class SlowHistory(KeptHistory):
    """Each record takes as long to find as a look may last."""

    def __init__(self, journal: KeptJournal, system: SeededSystem) -> None:
        super().__init__(journal)
        self._system = system
        self.given = 0

    def steps(self, **criteria: Any) -> Iterator[Any]:
        for record in super().steps(**criteria):
            self._system.manual_clock.advance(0.01)
            self.given += 1
            yield record


def test_the_journal_is_read_a_little_at_a_time() -> None:
    wire = Wire()
    slow = wire.history = SlowHistory(wire.journal, wire.system)
    wire.actor._pipeline.parking._history = slow  # type: ignore[union-attr]  # it is started
    wire.pause()
    wire.hear(*range(1, 6))
    wire.resume()
    wire.system.advance(1.0)
    given = []
    while wire.places() != {"queued": 5}:
        wire.system.poll(CONNECTION)
        given.append(slow.given)

    assert given[:3] == [1, 2, 3]
    assert wire.trades() == [1, 2, 3, 4, 5]


# A slice that an instance fails in.


def fail_once_for(wire: Wire, patch: pytest.MonkeyPatch, mint: Mint) -> None:
    pipeline: Any = wire.actor._pipeline  # type: ignore[union-attr]  # it is started
    deliver, failed = pipeline.shard.deliver, iter((True,))

    def deliver_or_fail(each: Mint, events: list[Any]) -> Any:
        if each == mint and next(failed, False):
            raise RuntimeError("as told")
        return deliver(each, events)

    patch.setattr(pipeline.shard, "deliver", deliver_or_fail)


def test_live_slice_that_an_instance_fails_in_is_told_whole_by_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wire = Wire()
    other = wire.system.probe(tracker_name(B))
    wire.tell(RouteMint(B))
    fail_once_for(wire, monkeypatch, B)

    # When the slice has been told to one tracker and not to the other
    frames = (trade("A", s(1), 1, SOL), trade("B", s(1.01), 2, SOL))
    wire.system.tell(CONNECTION, _Heard(frames))
    wire.system.run()
    assert (len(wire.tracker.of(Trade)), len(other.of(Trade))) == (1, 0)
    wire.system.advance(1.0)
    wire.hear(2)
    assert wire.system.wheel.feed_us <= s(1) + 1
    wire.polls()

    # Then the next instance tells it again, in front of what has come since
    assert wire.trades() == [1, 1, 2]
    assert len(other.of(Trade)) == 1
    assert wire.places() == {"queued": 4}
    assert wire.system.wheel.feed_us > s(2)
