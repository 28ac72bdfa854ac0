"""The supervisor by its messages: who is started, who is told, who answers."""

from __future__ import annotations

import msgspec
import pytest

from actors.domain import FeedState, Phase, Place
from actors.protocol.connection import (
    FeedReport,
    RouteMint,
    StartReading,
    UnrouteMint,
)
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    STREAM_WATCH,
    FeedStateChanged,
    GetActor,
    GetActors,
    GetHealth,
    GetLedger,
    GetLiveCoin,
    HealthReport,
    LedgerReport,
    PhasesLoaded,
    StreamsLoaded,
    TrackingEnded,
    UntrackMint,
)
from actors.protocol.tracker import PhasesChanged
from actors.runtime import ChildFailed, Message
from actors.runtime.cell import CellState
from tests.supervisor.scene import PHASES, WRITERS, A, B, C, D, Scene, track


class Nonsense(Message, frozen=True):
    """Nobody takes this."""


def failed(name: str, decision: str, kind: str = "tracker") -> ChildFailed:
    return ChildFailed(name=name, kind=kind, error="ValueError: poison", decision=decision)


@pytest.fixture
def scene() -> Scene:
    return Scene()


# Tracking.


def test_a_wish_starts_a_tracker_and_then_asks_for_its_route(scene: Scene) -> None:
    scene.tell(track(A, by="trades"))
    assert scene.tree.started == ["tracker:A"]
    assert scene.tracker_factory.tracks == [track(A, by="trades")]
    assert scene.tracker_factory.phases == [PHASES]
    assert scene.told(CONNECTION) == [RouteMint(A)]
    assert scene.system.telemetry.value("unified_coins_tracked") == 1


def test_a_second_wish_for_a_tracked_mint_changes_nothing(scene: Scene) -> None:
    scene.tell(track(A), track(A, by="api"))
    assert scene.tree.started == ["tracker:A"]
    assert scene.told(CONNECTION) == [RouteMint(A)]


def test_past_the_limit_a_mint_waits_until_a_tracker_has_ended() -> None:
    scene = Scene(limit=1)
    scene.tell(track(A), track(B))
    assert scene.tree.started == ["tracker:A"]
    scene.tell(UntrackMint(A, "inactive"))
    assert scene.tree.started == ["tracker:A"]
    scene.ends(A)
    assert scene.tree.started == ["tracker:A", "tracker:B"]
    assert scene.told(CONNECTION) == [RouteMint(A), UnrouteMint(A), RouteMint(B)]
    assert scene.system.telemetry.value("unified_coins_tracked") == 1


def test_past_the_limit_all_wait_for_their_turn() -> None:
    scene = Scene(limit=1)
    scene.tell(track(A), track(B), track(C))
    scene.ends(A)
    scene.ends(B)
    assert scene.tree.started == ["tracker:A", "tracker:B", "tracker:C"]


def test_without_phases_nothing_is_tracked_and_the_place_stays_free() -> None:
    scene = Scene(phases=())
    scene.tell(track(A))
    assert scene.tree.started == []
    scene.tell(PhasesLoaded(PHASES), track(A))
    assert scene.tree.started == ["tracker:A"]


@pytest.mark.parametrize(
    ("message", "ended"),
    [(UntrackMint(A, "inactive"), False), (TrackingEnded(A, 99, "finished"), True)],
)
def test_a_mint_that_is_done_loses_its_route_once(
    scene: Scene, message: Message, *, ended: bool
) -> None:
    scene.tell(track(A), message, message)
    assert scene.told(CONNECTION) == [RouteMint(A), UnrouteMint(A, ended)]
    assert scene.tree.stopped == []


def test_untracking_an_unknown_mint_is_ignored(scene: Scene) -> None:
    scene.tell(UntrackMint(A, "inactive"))
    assert scene.told(CONNECTION) == []


def test_the_nursery_hears_of_an_end(scene: Scene) -> None:
    scene.tell(track(A))
    scene.ends(A)
    assert scene.tracker_factory.ends == [A]
    assert scene.system.telemetry.value("unified_coins_tracked") == 0


def test_a_wish_during_the_end_starts_again_after_it(scene: Scene) -> None:
    scene.tell(track(A), UntrackMint(A, "inactive"), track(A, by="api"))
    assert scene.tree.started == ["tracker:A"]
    scene.ends(A)
    assert scene.tree.started == ["tracker:A", "tracker:A"]
    assert scene.tracker_factory.tracks[-1].by == "api"
    assert scene.told(CONNECTION) == [RouteMint(A), UnrouteMint(A), RouteMint(A)]


def test_the_end_of_a_system_actor_frees_no_place() -> None:
    scene = Scene(limit=1)
    scene.tell(track(A), track(B))
    scene.system.stop(STREAM_WATCH)
    assert scene.tree.started == ["tracker:A"]
    assert scene.tracker_factory.ends == []


# Failures.


def test_a_restart_is_counted_by_kind(scene: Scene) -> None:
    scene.tell(failed("tracker:A", "restart"), failed("tracker:B", "restart"))
    scene.tell(failed("discovery", "restart", kind="discovery"))
    value = scene.system.telemetry.value
    assert value("mintwatch_restarts_total", kind="tracker") == 2
    assert value("mintwatch_restarts_total", kind="discovery") == 1


def test_a_quarantined_tracker_keeps_its_place_and_its_route(scene: Scene) -> None:
    scene.tracker(A)
    scene.quarantine("tracker:A")
    scene.tell(failed("tracker:A", "quarantine"))
    assert scene.tree.stopped == []
    assert A in scene.state.admission
    assert scene.told(CONNECTION) == [RouteMint(A)]


def test_a_quarantined_tracker_that_is_to_end_gets_a_chance_to_write_what_it_holds(
    scene: Scene,
) -> None:
    scene.tracker(A)
    scene.quarantine("tracker:A")
    scene.tell(UntrackMint(A, "inactive"))
    assert scene.tree.revived == ["tracker:A"]
    assert scene.told(CONNECTION) == [RouteMint(A), UnrouteMint(A)]


def test_a_tracker_that_fails_for_good_twice_on_its_way_out_is_stopped(scene: Scene) -> None:
    scene.tracker(A)
    scene.tell(UntrackMint(A, "inactive"))
    scene.quarantine("tracker:A")
    scene.tell(failed("tracker:A", "quarantine"))
    assert (scene.tree.revived, scene.tree.stopped) == (["tracker:A"], [])
    scene.quarantine("tracker:A")
    scene.tell(failed("tracker:A", "quarantine"))
    assert scene.tree.stopped == ["tracker:A"]


# News.


def test_phases_go_to_discovery_and_to_every_tracker(scene: Scene) -> None:
    first, second = scene.tracker(A), scene.tracker(B)
    phases = (Phase(1, "Other", 7, 0, 10),)
    scene.tell(PhasesLoaded(phases))
    assert scene.told(DISCOVERY) == [PhasesChanged(phases)]
    assert first.messages == second.messages == [PhasesChanged(phases)]
    scene.tell(track(C))
    assert scene.tracker_factory.phases[-1] == phases


def test_a_table_without_a_regular_phase_is_refused(scene: Scene) -> None:
    tracker = scene.tracker(A)
    scene.tell(PhasesLoaded((Phase(99, "Finished", 0, 1440, 1440),)))
    assert tracker.messages == []
    assert scene.told(DISCOVERY) == []
    assert scene.state.phases == PHASES


def test_reading_starts_once_the_streams_are_loaded(scene: Scene) -> None:
    scene.tell(track(A), StreamsLoaded(1))
    assert scene.told(CONNECTION) == [RouteMint(A), StartReading()]
    assert scene.ask(GetHealth()).streams_loaded


def test_a_change_of_the_feeds_state_needs_no_action(scene: Scene) -> None:
    scene.tell(FeedStateChanged(FeedState.SILENT, "no frame for 60 s", 0))
    assert scene.system.letters() == []
    assert all(not probe.messages for probe in scene.probes.values())


def test_a_message_that_nobody_knows_is_a_dead_letter_and_costs_nothing_else(scene: Scene) -> None:
    scene.tell(track(A), Nonsense())
    [letter] = scene.system.letters()
    assert (letter.actor, letter.reason, letter.message) == ("supervisor", "failed", Nonsense())
    assert letter.error == "TypeError: the supervisor does not take Nonsense"
    scene.system.advance(1.0)
    scene.tell(track(B), track(A))
    assert scene.tree.started == ["tracker:A", "tracker:B"]


# Questions.


def test_a_tracked_coin_answers_for_itself(scene: Scene) -> None:
    tracker = scene.tracker(A)
    assert scene.ask(GetLiveCoin(A)) == "reply of tracker:A"
    assert tracker.messages == [GetLiveCoin(A)]
    assert scene.told(DISCOVERY) == []


def test_discovery_answers_for_coins_that_are_not_tracked(scene: Scene) -> None:
    scene.tracker(A)
    assert scene.ask(GetLiveCoin(B)) == "reply of discovery"


def test_nobody_answers_for_a_coin_in_quarantine(scene: Scene) -> None:
    tracker = scene.tracker(A)
    scene.quarantine("tracker:A")
    assert scene.ask(GetLiveCoin(A)) is None
    assert tracker.messages == []


def test_nobody_is_asked_about_the_actors(scene: Scene) -> None:
    scene.tell(track(A), track(B))
    assert [report.name for report in scene.ask(GetActors())] == ["tracker:A", "tracker:B"]
    assert scene.ask(GetActor("tracker:B")).name == "tracker:B"
    assert scene.ask(GetActor("tracker:C")) is None


def test_the_books_are_shown_with_whether_they_balance(scene: Scene) -> None:
    scene.system.ledger.receive(Place.QUEUED, 5)
    scene.system.ledger.move(Place.QUEUED, Place.OPEN, 3)
    report = scene.ask(GetLedger())
    assert isinstance(report, LedgerReport)
    assert (report.received, report.balanced) == (5, True)
    assert (report.places["queued"], report.places["open"]) == (2, 3)


def test_a_place_that_holds_less_than_nothing_is_no_balance(scene: Scene) -> None:
    scene.system.ledger.receive(Place.QUEUED, 1)
    scene.system.ledger.move(Place.QUEUED, Place.OPEN, 2)
    assert not scene.ask(GetLedger()).balanced


@pytest.mark.parametrize(
    ("state", "is_broken"),
    [
        (CellState.STARTING, False),
        (CellState.RUNNING, False),
        (CellState.RESTARTING, True),
        (CellState.QUARANTINED, True),
        (None, True),
    ],
)
def test_health_names_the_system_actors_that_do_not_run(
    scene: Scene, state: CellState | None, is_broken: bool
) -> None:
    if state is None:
        del scene.tree.states[DISCOVERY]
    else:
        scene.tree.states[DISCOVERY] = state
    assert scene.ask(GetHealth()).broken_actors == ((DISCOVERY,) if is_broken else ())


def test_health_counts_trackers_and_time(scene: Scene) -> None:
    scene.tell(track(A), track(B), track(D))
    scene.system.advance(12.5)
    report = scene.ask(GetHealth())
    assert (report.trackers, report.uptime_seconds, report.draining) == (3, 12.5, False)
    assert report.feed_state == "offline"


FEED = FeedReport(
    FeedState.SILENT, "no frame for 60 s", 0, "", None, None, None, 0, 1, {}, 0, 0.0, 7, None, {}, 0
)


def test_health_reads_what_the_connection_published(scene: Scene) -> None:
    scene.system._cells[CONNECTION].status = FEED
    report = scene.ask(GetHealth())
    assert (report.feed_state, report.reconnect_count) == ("silent", 7)


def test_the_start_is_complete_once_every_coin_has_its_route_and_subscription(
    scene: Scene,
) -> None:
    def publish(routes: int, unsent: int, state: FeedState = FeedState.LIVE) -> None:
        scene.system._cells[CONNECTION].status = msgspec.structs.replace(
            FEED, state=state, routes=routes, unsent_routes=unsent
        )

    def missing() -> int:
        report: HealthReport = scene.ask(GetHealth())
        return report.not_subscribed

    scene.tell(track(A), track(B), track(D), StreamsLoaded(3))
    publish(routes=1, unsent=1)
    assert missing() == 3
    publish(routes=3, unsent=2)
    assert missing() == 2
    # A server that delivers no trades is not waited for
    publish(routes=3, unsent=3, state=FeedState.DISCOVERY_ONLY)
    assert missing() == 0


def test_coins_that_come_after_the_start_are_not_waited_for(scene: Scene) -> None:
    scene.tell(track(A), StreamsLoaded(1))
    scene.system._cells[CONNECTION].status = msgspec.structs.replace(FEED, routes=1)
    assert scene.ask(GetHealth()).not_subscribed == 0
    scene.tell(track(B))
    assert scene.ask(GetHealth()).not_subscribed == 0


def test_every_writer_is_watched(scene: Scene) -> None:
    scene.tree.states[WRITERS[1]] = CellState.QUARANTINED
    assert scene.ask(GetHealth()).broken_actors == ("postgres-writer:1",)
