"""One coin under the lens: paused, pinned, traced, looked at, tried again after a while."""

from __future__ import annotations

import pytest

from actors.domain import Drop, Mint, Place
from actors.operator.inspection import Inspection
from actors.protocol.operator import (
    GetDossiers,
    GetRecent,
    GetTimeline,
    OpenTap,
    Outcome,
    PauseTracker,
    PinTracker,
    ResumeTracker,
    TraceTracker,
)
from actors.protocol.supervisor import (
    CONNECTION,
    SUPERVISOR,
    Drain,
    PhasesLoaded,
    StreamsLoaded,
    TrackingEnded,
    UntrackMint,
)
from actors.protocol.tracker import SetPinned
from actors.runtime import ChildFailed, Message
from actors.runtime.cell import CellState
from tests.supervisor.scene import PHASES, A, B, Scene
from tests.supervisor.scripted import PHASES as SCRIPT_PHASES
from tests.supervisor.scripted import T0_US, House, create, trade
from tests.support.drops import dropped

NAME = "tracker:A"


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    made.tracker(A)
    return made


def fail(scene: Scene, decision: str = "quarantine") -> None:
    if decision == "quarantine":
        scene.quarantine(NAME)
    scene.tell(ChildFailed(NAME, "tracker", "ValueError: bad", decision))


def noted(scene: Scene, mint: Mint = A) -> list[str]:
    return [note.what for note in scene.ask(GetTimeline(mint)) or ()]


# Pauses.


def test_tracker_is_paused_and_goes_on(scene: Scene) -> None:
    assert scene.ask(PauseTracker(A)) == Outcome(found=True)
    assert scene.tree.paused == {NAME}
    assert scene.ask(ResumeTracker(A)) == Outcome(found=True)
    assert scene.tree.paused == set()
    assert noted(scene)[-2:] == ["paused", "resumed"]


@pytest.mark.parametrize(
    "command", [PauseTracker(B), ResumeTracker(B), PinTracker(B, pinned=True), TraceTracker(B, 5)]
)
def test_unknown_mint_is_not_found(scene: Scene, command: Message) -> None:
    assert scene.ask(command) == Outcome(found=False)


def test_tracker_that_is_not_paused_does_not_go_on(scene: Scene) -> None:
    outcome = scene.ask(ResumeTracker(A))
    assert outcome.found
    assert "is not paused" in outcome.refusal


def test_nothing_is_paused_during_the_drain(scene: Scene) -> None:
    scene.tell(Drain("test"))
    assert "draining" in scene.ask(PauseTracker(A)).refusal
    assert scene.tree.paused == set()


def test_drain_ends_every_pause_so_that_trackers_can_end(scene: Scene) -> None:
    scene.ask(PauseTracker(A))
    scene.tell(Drain("test"))
    assert scene.tree.paused == set()


def test_paused_tracker_that_is_to_end_hears_of_it(scene: Scene) -> None:
    scene.ask(PauseTracker(A))
    scene.tell(UntrackMint(A, "inactive"))
    assert scene.tree.paused == set()


def test_journal_is_kept_for_a_paused_tracker() -> None:
    house = House(0, [(create("A", T0_US),), (trade("A", T0_US + 1, 1, 10),)], rests=True,
                  activation="trades", activation_min_trades=0)  # fmt: skip
    house.system.tell(SUPERVISOR, PhasesLoaded(SCRIPT_PHASES))
    house.system.tell(SUPERVISOR, StreamsLoaded(0))
    house.system.run()
    assert house.system.ask(SUPERVISOR, PauseTracker(A)) == Outcome(found=True)
    house.system.advance_feed(T0_US + 600_000_000)
    house.system.advance(30.0)
    assert house.supervisor.released_us <= T0_US


# Pins.


def test_pinned_mint_is_told_and_kept_over_restarts(scene: Scene) -> None:
    assert scene.ask(PinTracker(A, pinned=True)) == Outcome(found=True)
    assert scene.told(NAME)[-1] == SetPinned(pinned=True)
    assert scene.book.pinned == {A}
    assert scene.ask(PinTracker(A, pinned=False)) == Outcome(found=True)
    assert scene.book.pinned == frozenset()


def test_mint_that_is_tracked_again_is_still_pinned(scene: Scene) -> None:
    scene.ask(PinTracker(A, pinned=True))
    scene.tell(UntrackMint(A, "inactive"))
    scene.ends(A)
    scene.tracker(A)
    assert scene.tracker_factory.pinned == [False, True]


def test_pin_that_cannot_be_kept_is_refused(scene: Scene) -> None:
    scene.book.broken = True
    assert "No space left" in scene.ask(PinTracker(A, pinned=True)).refusal
    assert scene.state.pins == set()


def test_mint_that_is_not_pinned_cannot_be_let_go(scene: Scene) -> None:
    assert scene.ask(PinTracker(A, pinned=False)) == Outcome(found=False)


# Quarantine.


def test_quarantined_tracker_is_tried_again_after_a_while(scene: Scene) -> None:
    fail(scene)
    scene.system.advance(599.0)
    assert scene.tree.revived == []
    scene.system.advance(1.0)
    assert scene.tree.revived == [NAME]
    assert noted(scene)[-2:] == ["quarantined", "revived"]


def test_pause_doubles_with_each_quarantine(scene: Scene) -> None:
    for wait_s in (600.0, 1200.0, 2400.0):
        fail(scene)
        scene.system.advance(wait_s - 1.0)
        before = len(scene.tree.revived)
        scene.system.advance(1.0)
        assert len(scene.tree.revived) == before + 1


def test_quarantine_seconds_0_leaves_it_to_the_operator() -> None:
    scene = Scene(quarantine_seconds=0.0)
    scene.tracker(A)
    fail(scene)
    scene.system.advance(100_000.0)
    assert scene.tree.revived == []


def test_timer_goes_with_the_tracker(scene: Scene) -> None:
    fail(scene)
    scene.tree.states[NAME] = CellState.RUNNING
    scene.tell(TrackingEnded(A, 99, "finished"))
    scene.ends(A)
    scene.tracker(A)
    scene.quarantine(NAME)
    scene.system.advance(700.0)
    assert scene.tree.revived == []


def test_window_that_a_tracker_could_not_write_is_entered_as_dead(scene: Scene) -> None:
    scene.system.ledger.receive(Place.OPEN, 3)
    scene.tracker_factory.open_trades = 3
    scene.tell(UntrackMint(A, "inactive"))
    scene.ends(A)
    assert scene.system.ledger.read()[1][Place.DEAD] == 3
    assert dropped(scene.system.telemetry, Drop.WINDOW_LOST) == 3
    assert "window_lost" in noted(scene)


# Looking.


def test_timeline_tells_who_had_the_mint_tracked_and_why_it_ended(scene: Scene) -> None:
    fail(scene, "restart")
    scene.tell(UntrackMint(A, "its stream is inactive"))
    assert noted(scene) == ["tracking", "tracker_failed", "tracking_ends"]
    first, *_, last = scene.ask(GetTimeline(A))
    assert first.details["by"] == "stream"
    assert last.details["cause"] == "its stream is inactive"


def test_nothing_is_known_of_a_mint_that_was_never_seen(scene: Scene) -> None:
    assert scene.ask(GetTimeline(B)) is None


def test_timelines_of_mints_that_are_gone_are_forgotten_in_time(scene: Scene) -> None:
    scene.tell(UntrackMint(A, "inactive"))
    scene.ends(A)
    scene.tracker(B)
    scene.system.advance(23 * 3600.0)
    assert scene.ask(GetTimeline(A)) is not None
    scene.system.advance(2 * 3600.0)
    assert scene.ask(GetTimeline(A)) is None
    assert scene.ask(GetTimeline(B)) is not None


def test_last_messages_of_any_actor_can_be_seen(scene: Scene) -> None:
    assert scene.ask(GetRecent(SUPERVISOR))[0].message == "TrackMint"
    assert scene.ask(GetRecent("nobody")) is None


def test_failures_leave_a_dossier() -> None:
    script = [(create("A", T0_US),), (trade("A", T0_US + 1, 1, 10, trader="poisoner"),)]
    house = House(0, script, activation="trades", activation_min_trades=0)
    house.play()
    [dossier] = Inspection(house.system).answer(GetDossiers(10))
    assert dossier.actor == NAME


def test_tap_of_a_mint_without_a_tracker_is_none(scene: Scene) -> None:
    assert scene.ask(OpenTap(B)) is None


def test_tap_hears_what_the_tracker_handles(scene: Scene) -> None:
    tap = scene.ask(OpenTap(A))
    scene.tell(PhasesLoaded(PHASES))
    heard = tap.get(0.0)
    assert heard.message == "PhasesChanged"
    tap.close()


def test_tracker_is_traced_for_a_while(scene: Scene) -> None:
    assert scene.ask(TraceTracker(A, 60.0)) == Outcome(found=True)
    assert scene.tree.traced == [(NAME, 60.0)]


def test_connection_is_asked_only_about_its_own(scene: Scene) -> None:
    before = len(scene.told(CONNECTION))
    scene.ask(GetTimeline(A))
    assert len(scene.told(CONNECTION)) == before
