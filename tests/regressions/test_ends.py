"""Trackers and the whole tree end in order, also when something is full or fails on the way."""

from __future__ import annotations

from actors.domain import Candle, Phase
from actors.protocol.discovery import RouteClosed
from actors.protocol.partitioner import WriterRoutes
from actors.protocol.postgres_writer import CandleClosed
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    STREAM_WATCH,
    SUPERVISOR,
    Drain,
    PhasesLoaded,
    UntrackMint,
    writer_name,
)
from actors.protocol.tracker import CoverageChanged, HandOver, HandOverDone, TradesArrived
from actors.runtime import Exceeded, RestartBudget
from actors.runtime.simulation import SeededSystem
from actors.tracker import TrackerActor, TrackerState
from settings import Settings
from tests.supervisor.scene import PHASES, A, B, Scene, track
from tests.tracker import builders
from tests.tracker.builders import MINT, RULES, at, trade

NAME = f"tracker:{MINT}"


class Tracked:
    """A real tracker among probes, with room for `capacity` events."""

    def __init__(self, capacity: int) -> None:
        self.system = SeededSystem(settings=Settings())
        for name in (SUPERVISOR, CONNECTION, DISCOVERY, STREAM_WATCH):
            self.system.probe(name)
        self.writer = self.system.probe(writer_name(0))
        self.state = TrackerState(
            mint=MINT, phases=builders.PHASES, phase_id=1, started_us=at(0), rules=RULES
        )
        self.system.start(
            NAME,
            lambda context: TrackerActor(context, self.state, WriterRoutes(1)),
            exceeded=Exceeded.QUARANTINE,
            budget=RestartBudget(intensity=0),
            capacity=capacity,
        )
        self.system.tell(NAME, HandOver((HandOverDone(MINT, None),)))
        self.system.run()

    def candles(self) -> list[Candle]:
        return [told.candle for told in self.writer.messages if isinstance(told, CandleClosed)]

    def fill(self, events: int) -> None:
        for second in range(1, events + 1):
            assert self.system.tell(NAME, TradesArrived((trade(second / 10),)))
        assert not self.system.offer(NAME, TradesArrived((trade(99.0),)))


def test_a_tracker_whose_mailbox_is_full_hears_that_its_route_is_closed() -> None:
    tracked = Tracked(capacity=3)
    tracked.fill(3)
    assert tracked.system.tell(NAME, RouteClosed(MINT, at(1)))
    tracked.system.run()
    assert not tracked.system.running(NAME)
    assert [candle.num_trades for candle in tracked.candles()] == [3]


def test_a_quarantined_tracker_whose_mailbox_is_full_ends_once_it_is_revived() -> None:
    tracked = Tracked(capacity=3)
    tracked.system.tell(NAME, TradesArrived((trade(0.0, price=-1.0),)))
    tracked.system.run()
    assert tracked.system.state_of(NAME) == "quarantined"
    tracked.fill(3)
    assert tracked.system.tell(NAME, RouteClosed(MINT, at(1)))
    tracked.system.revive(NAME)
    tracked.system.run()
    assert not tracked.system.running(NAME)
    assert [candle.num_trades for candle in tracked.candles()] == [3]


def test_a_full_mailbox_does_not_make_a_gap_look_covered() -> None:
    tracked = Tracked(capacity=3)
    tracked.system.tell(NAME, CoverageChanged(covered=True, at_us=at(0)))
    tracked.system.run()
    tracked.fill(3)
    assert tracked.system.offer(NAME, CoverageChanged(covered=False, at_us=at(1)))
    tracked.system.advance_feed(at(5))
    assert [candle.covered_us for candle in tracked.candles()] == [1_000_000]


def test_a_supervisor_that_fails_during_the_drain_still_ends_within_the_deadline() -> None:
    scene = Scene()
    scene.tell(Drain("test"))
    scene.tell(CandleClosed)  # a type is no message that it takes
    for _ in range(25):
        scene.system.advance(1.0)
    assert scene.exit_codes == [1]


def test_phases_without_a_usable_interval_are_refused() -> None:
    scene = Scene(phases=())
    scene.tell(PhasesLoaded((Phase(1, "Broken", 0, 0, 10),)))
    scene.tell(track(A))
    assert scene.tree.started == []
    assert scene.system.letters() == []
    assert scene.state.phases == ()


def test_what_was_wished_before_there_were_phases_is_tracked_once_there_are() -> None:
    scene = Scene(phases=())
    scene.tell(track(A))
    scene.tell(track(B))
    assert scene.tree.started == []
    scene.tell(PhasesLoaded(PHASES))
    assert scene.tree.started == ["tracker:A", "tracker:B"]


def test_a_wish_that_was_taken_back_before_there_were_phases_stays_taken_back() -> None:
    scene = Scene(phases=())
    scene.tell(track(A))
    scene.tell(UntrackMint(A, "inactive"))
    scene.tell(PhasesLoaded(PHASES))
    assert scene.tree.started == []
