"""The end: reading, discovery, trackers, writers; whoever is late is left behind, and said so."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from actors.protocol.connection import RouteMint, StartReading, StopReading
from actors.protocol.discovery import RouteClosed
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    N8N_WRITER,
    Drain,
    Drained,
    FeedEnded,
    GetHealth,
    ReadingStopped,
    StreamsLoaded,
)
from actors.runtime import ChildFailed, Flush
from tests.supervisor.scene import WRITERS, A, B, C, Scene, track

FLUSHED = (*WRITERS, N8N_WRITER)


def failed(name: str, decision: str) -> ChildFailed:
    return ChildFailed(name=name, kind=name.partition(":")[0], error="boom", decision=decision)


def flushed(scene: Scene) -> list[str]:
    return [name for name in FLUSHED if Flush() in scene.told(name)]


def drained(scene: Scene, *names: str, undelivered: int = 0) -> None:
    for name in names:
        scene.tell(Drained(name, undelivered))


@pytest.fixture
def scene() -> Scene:
    """A supervisor that has two trackers."""
    made = Scene()
    made.tracker(A)
    made.tracker(B)
    made.probes[CONNECTION].clear()
    return made


# In order.


def test_each_stage_waits_for_the_one_before(scene: Scene) -> None:
    scene.tell(Drain("SIGTERM"))
    assert scene.told(CONNECTION) == [StopReading()]
    assert flushed(scene) == []
    scene.tell(ReadingStopped(0))
    scene.ends(A)
    assert flushed(scene) == []
    scene.ends(B)
    assert flushed(scene) == list(FLUSHED)
    drained(scene, *WRITERS)
    assert scene.exit_codes == []
    drained(scene, N8N_WRITER)
    assert scene.exit_codes == [0]


def test_trackers_that_end_while_reading_stops_are_not_waited_for(scene: Scene) -> None:
    scene.tell(Drain("SIGTERM"))
    scene.ends(A)
    scene.ends(B)
    assert flushed(scene) == []
    scene.tell(ReadingStopped(0))
    assert flushed(scene) == list(FLUSHED)


def test_without_trackers_the_writers_come_at_once() -> None:
    scene = Scene()
    scene.tell(Drain("SIGTERM"), ReadingStopped(0))
    assert flushed(scene) == list(FLUSHED)


def test_the_end_of_a_recording_drains_with_exit_code_0(scene: Scene) -> None:
    scene.tell(FeedEnded(1_291))
    assert scene.told(CONNECTION) == [StopReading()]
    assert scene.state.drain.reason == "the recording has ended after 1291 frames"
    assert scene.state.drain.exit_code == 0


def test_what_stays_on_disk_is_added_up(scene: Scene) -> None:
    scene.tell(Drain("SIGTERM"), ReadingStopped(0))
    scene.ends(A)
    scene.ends(B)
    with structlog.testing.capture_logs() as logs:
        drained(scene, *WRITERS, undelivered=3)
        drained(scene, N8N_WRITER, undelivered=1)
    [said] = [log for log in logs if log["event"] == "drained"]
    assert (said["on_disk"], said["exit_code"], said["cause"]) == (7, 0, "SIGTERM")


def test_health_says_that_it_drains(scene: Scene) -> None:
    scene.tell(Drain("SIGTERM"))
    assert scene.ask(GetHealth()).draining


def test_a_second_drain_changes_nothing(scene: Scene) -> None:
    scene.tell(Drain("SIGTERM"), Drain("api"))
    assert scene.told(CONNECTION) == [StopReading()]
    assert scene.state.drain.reason == "SIGTERM"


def test_coins_that_discovery_activates_meanwhile_are_still_tracked(scene: Scene) -> None:
    scene.discovery_decides = False
    scene.tell(Drain("SIGTERM"), ReadingStopped(0))
    assert scene.told(DISCOVERY)[-1] == Flush()
    scene.tell(track(C), Drained(DISCOVERY, 0))
    assert scene.tree.started == ["tracker:A", "tracker:B", "tracker:C"]
    assert RouteMint(C) in scene.told(CONNECTION)
    for mint in (A, B):
        scene.ends(mint)
    assert flushed(scene) == []
    scene.ends(C)
    assert flushed(scene) == list(FLUSHED)


def test_nobody_is_tracked_any_more_once_discovery_has_decided(scene: Scene) -> None:
    scene.tell(Drain("SIGTERM"), ReadingStopped(0), track(C))
    assert scene.tree.started == ["tracker:A", "tracker:B"]
    assert RouteMint(C) not in scene.told(CONNECTION)


def test_nobody_is_tracked_when_nobody_can_route(scene: Scene) -> None:
    scene.quarantine(CONNECTION)
    scene.discovery_decides = False
    scene.tell(failed(CONNECTION, "escalate"), track(C))
    assert scene.tree.started == ["tracker:A", "tracker:B"]


def test_discovery_that_is_late_or_gone_holds_nothing_up(scene: Scene) -> None:
    scene.discovery_decides = False
    scene.tell(Drain("SIGTERM"), ReadingStopped(0))
    scene.ends(A)
    scene.ends(B)
    # Its own share, and what reading has left of its own
    scene.system.advance(7.9)
    assert flushed(scene) == []
    scene.system.advance(0.1)
    assert flushed(scene) == list(FLUSHED)


def test_a_waiting_mint_does_not_get_the_place_of_one_that_ends() -> None:
    scene = Scene(limit=1)
    scene.tell(track(A), track(B), Drain("SIGTERM"), ReadingStopped(0))
    scene.ends(A)
    assert scene.tree.started == ["tracker:A"]


def test_streams_that_load_during_the_drain_start_no_reading(scene: Scene) -> None:
    scene.tell(Drain("SIGTERM"), StreamsLoaded(2))
    assert StartReading() not in scene.told(CONNECTION)


# Late.


def test_a_connection_that_is_late_is_left_behind_and_its_routes_are_closed(scene: Scene) -> None:
    scene.system.advance_feed(42)
    scene.tell(Drain("SIGTERM"))
    scene.system.advance(3.9)
    assert scene.told("tracker:A") == []
    scene.system.advance(0.1)
    assert scene.told("tracker:A") == [RouteClosed(A, 42)]
    assert scene.told("tracker:B") == [RouteClosed(B, 42)]
    scene.ends(A)
    scene.ends(B)
    drained(scene, *FLUSHED)
    assert scene.exit_codes == [1]


def test_trackers_that_are_late_are_left_behind(scene: Scene) -> None:
    scene.tell(Drain("SIGTERM"), ReadingStopped(0))
    scene.ends(A)
    with structlog.testing.capture_logs() as logs:
        scene.system.advance(12.0)
    assert flushed(scene) == list(FLUSHED)
    [said] = [log for log in logs if log["event"] == "drain_overdue"]
    assert (said["stage"], said["late"]) == ("trackers", ["tracker:B"])
    drained(scene, *FLUSHED)
    assert scene.exit_codes == [1]


def test_writers_that_are_late_are_left_behind(scene: Scene) -> None:
    scene.tell(Drain("SIGTERM"), ReadingStopped(0))
    scene.ends(A)
    scene.ends(B)
    drained(scene, *WRITERS)
    scene.system.advance(19.9)
    assert scene.exit_codes == []
    scene.system.advance(0.1)
    assert scene.exit_codes == [1]


def test_when_everybody_is_late_it_ends_within_the_deadline(scene: Scene) -> None:
    scene.discovery_decides = False
    scene.tell(Drain("SIGTERM"))
    for seconds in (4.0, 4.0, 4.0, 7.9):
        scene.system.advance(seconds)
    assert scene.exit_codes == []
    scene.system.advance(0.1)
    assert scene.exit_codes == [1]


def test_a_stage_that_is_over_is_not_overdue_later(scene: Scene) -> None:
    scene.tell(Drain("SIGTERM"))
    scene.system.advance(3.9)
    scene.tell(ReadingStopped(0))
    scene.system.advance(3.9)
    assert flushed(scene) == []
    scene.ends(A)
    scene.ends(B)
    drained(scene, *FLUSHED)
    scene.system.advance(100.0)
    assert scene.exit_codes == [0]


def test_a_late_answer_to_an_earlier_stage_is_no_answer_to_this_one(scene: Scene) -> None:
    scene.discovery_decides = False
    scene.tell(Drain("SIGTERM"))
    scene.system.advance(4.0)
    scene.tell(ReadingStopped(0))
    assert flushed(scene) == []


@pytest.mark.parametrize("answers", [[], [Drained(N8N_WRITER, 0)], [ReadingStopped(0)]])
def test_the_end_is_told_once(scene: Scene, answers: list[Any]) -> None:
    scene.tell(Drain("SIGTERM"), ReadingStopped(0))
    scene.ends(A)
    scene.ends(B)
    drained(scene, *FLUSHED)
    scene.tell(*answers)
    assert scene.exit_codes == [0]


# Whoever is not there.


def test_a_writer_that_is_gone_is_not_waited_for(scene: Scene) -> None:
    scene.system.stop(WRITERS[0])
    scene.tell(Drain("SIGTERM"), ReadingStopped(0))
    scene.ends(A)
    scene.ends(B)
    drained(scene, WRITERS[1], N8N_WRITER)
    assert scene.exit_codes == [0]


def test_a_writer_in_quarantine_is_not_waited_for(scene: Scene) -> None:
    scene.quarantine(N8N_WRITER)
    scene.tell(failed(N8N_WRITER, "escalate"), ReadingStopped(0))
    scene.ends(A)
    scene.ends(B)
    drained(scene, *WRITERS)
    assert scene.exit_codes == [1]


def test_a_connection_that_is_gone_has_its_routes_closed_at_once(scene: Scene) -> None:
    scene.system.stop(CONNECTION)
    scene.tell(Drain("SIGTERM"))
    assert scene.told("tracker:A") == [RouteClosed(A, 0)]
    scene.ends(A)
    scene.ends(B)
    assert flushed(scene) == list(FLUSHED)


# Failures.


@pytest.mark.parametrize("name", [CONNECTION, DISCOVERY, WRITERS[0], N8N_WRITER])
def test_a_system_actor_beyond_its_budget_ends_the_process_with_exit_code_1(
    scene: Scene, name: str
) -> None:
    scene.tell(failed(name, "escalate"))
    scene.tell(ReadingStopped(0))
    scene.ends(A)
    scene.ends(B)
    drained(scene, *FLUSHED)
    assert scene.exit_codes == [1]
    assert scene.state.drain.reason == f"{name} failed too often: boom"


def test_an_escalation_during_the_drain_makes_its_exit_code_1(scene: Scene) -> None:
    scene.tell(Drain("SIGTERM"), failed(DISCOVERY, "escalate"), ReadingStopped(0))
    scene.ends(A)
    scene.ends(B)
    drained(scene, *FLUSHED)
    assert scene.exit_codes == [1]


def test_a_connection_beyond_its_budget_does_not_keep_the_trackers_from_writing(
    scene: Scene,
) -> None:
    scene.quarantine(CONNECTION)
    scene.tell(failed(CONNECTION, "escalate"))
    assert scene.told("tracker:A") == [RouteClosed(A, 0)]
    assert scene.told("tracker:B") == [RouteClosed(B, 0)]
    scene.ends(A)
    scene.ends(B)
    drained(scene, *FLUSHED)
    assert scene.exit_codes == [1]


def test_a_tracker_in_quarantine_gets_a_chance_to_write_what_it_holds(scene: Scene) -> None:
    scene.quarantine("tracker:A")
    scene.tell(Drain("SIGTERM"))
    assert scene.tree.revived == []
    scene.tell(ReadingStopped(0))
    assert scene.tree.revived == ["tracker:A"]
    assert scene.tree.stopped == []


def test_a_tracker_that_fails_for_good_twice_during_the_drain_is_stopped(scene: Scene) -> None:
    scene.tell(Drain("SIGTERM"), ReadingStopped(0))
    scene.quarantine("tracker:A")
    scene.tell(failed("tracker:A", "quarantine"))
    assert (scene.tree.revived, scene.tree.stopped) == (["tracker:A"], [])
    scene.quarantine("tracker:A")
    scene.tell(failed("tracker:A", "quarantine"))
    assert (scene.tree.revived, scene.tree.stopped) == (["tracker:A"], ["tracker:A"])
    scene.ends(A)
    scene.ends(B)
    drained(scene, *FLUSHED)
    assert scene.exit_codes == [0]
