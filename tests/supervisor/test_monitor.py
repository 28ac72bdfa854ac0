"""The supervisor looks at counters and statuses, every ten seconds and whenever it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from actors.domain import Drop, FeedState
from actors.protocol.operator import AcknowledgeKept
from actors.protocol.supervisor import CONNECTION, STREAM_WATCH, SUPERVISOR, GetHealth
from actors.runtime.simulation import SeededSystem
from actors.supervisor.monitor import sample
from settings import Settings
from tests.supervisor.scene import A, B, C, Scene, track
from tests.supervisor.test_health import feed
from tests.supervisor.test_problems import watch

if TYPE_CHECKING:
    from actors.protocol.supervisor import HealthReport, Problem


@pytest.fixture
def scene() -> Scene:
    return Scene()


def drop(scene: Scene, reason: Drop, count: int = 1) -> None:
    scene.system.telemetry.dropped.labels(reason=reason.value).inc(count)


def problems(scene: Scene) -> tuple[Problem, ...]:
    report: HealthReport = scene.ask(GetHealth())
    return report.problems


def keys(scene: Scene) -> list[str]:
    return [problem.key for problem in problems(scene)]


def pass_time(scene: Scene, seconds: int) -> None:
    for _ in range(seconds):
        scene.system.advance(1.0)


def gauge(scene: Scene, kind: str) -> float:
    return scene.system.telemetry.value("mintwatch_problems", kind=kind)


def test_nothing_is_wrong_at_first(scene: Scene) -> None:
    assert problems(scene) == ()


def test_what_is_dropped_is_a_problem_to_whoever_asks_then(scene: Scene) -> None:
    drop(scene, Drop.LATE, 2)

    (found,) = problems(scene)

    assert found.says == (
        "Trades that came after their candle was closed in the last minute: 2; they count in the "
        "next one."
    )
    assert gauge(scene, "coins") == 1


def test_what_is_dropped_while_nobody_asks_is_seen_and_over_in_time(scene: Scene) -> None:
    pass_time(scene, 65)
    drop(scene, Drop.LATE)
    pass_time(scene, 300)
    assert keys(scene) == ["late"]
    (found,) = problems(scene)
    assert "in the minute before" in found.says

    pass_time(scene, 360)
    assert problems(scene) == ()
    assert gauge(scene, "coins") == 0


def test_share_is_that_of_the_last_minute_alone(scene: Scene) -> None:
    telemetry = scene.system.telemetry
    telemetry.trades_processed.inc(100_000)
    scene.tracker(A)
    pass_time(scene, 70)
    telemetry.trades_processed.inc(3)
    drop(scene, Drop.DUPLICATE_TRACKED, 97)

    (found,) = problems(scene)

    assert found.says == (
        "97 % of the trades of 1 tracked coins were thrown away as duplicates in the last minute."
    )


def test_another_instance_of_the_supervisor_knows_what_has_lasted(scene: Scene) -> None:
    drop(scene, Drop.LATE)
    (before,) = problems(scene)
    pass_time(scene, 30)

    scene.system.restart(SUPERVISOR)
    scene.system.run()

    (after,) = problems(scene)
    assert after.since_us == before.since_us


def test_statuses_are_those_that_actors_publish(scene: Scene) -> None:
    cells = scene.system._cells
    cells[CONNECTION].status = feed(state=FeedState.BANNED, reason="403 Forbidden")
    cells[STREAM_WATCH].status = watch(rows_ahead=3)
    scene.clock_offset_us = -3_000_000
    assert keys(scene) == ["clock", "row_ahead"]

    pass_time(scene, 60)

    assert keys(scene) == ["clock", "feed", "row_ahead"]
    assert (gauge(scene, "clock"), gauge(scene, "feed")) == (2, 1)


def test_dead_letters_quarantines_and_waiting_coins_are_seen() -> None:
    scene = Scene(limit=1)
    scene.tracker(A)
    scene.state.quarantines["tracker:A"] = 1
    scene.quarantine("tracker:A")
    scene.system.tell("nobody", GetHealth())
    scene.tell(track(B), track(C))

    assert sorted(keys(scene)) == ["dead_letters", "quarantined", "waiting_coins"]


def test_log_has_a_line_when_a_problem_begins_and_one_when_it_is_over(scene: Scene) -> None:
    with structlog.testing.capture_logs() as logs:
        scene.clock_offset_us = 5_000_000
        pass_time(scene, 30)
        scene.clock_offset_us = 0
        pass_time(scene, 20)

    lines = [(log["event"], log["log_level"], log["kind"]) for log in logs if "kind" in log]
    assert lines == [("problem", "warning", "clock"), ("problem_over", "info", "clock")]


@pytest.mark.parametrize(
    ("what", "reason"), [("ahead", Drop.ROW_AHEAD), ("conflicts", Drop.ROW_CONFLICT)]
)
def test_acknowledging_is_handed_to_stream_watch_and_ends_what_was_counted(
    scene: Scene, what: str, reason: Drop
) -> None:
    drop(scene, reason, 2)
    drop(scene, Drop.LATE)
    pass_time(scene, 20)
    assert sorted(keys(scene)) == sorted([reason.value, "late"])

    assert scene.ask(AcknowledgeKept(what)) == f"reply of {STREAM_WATCH}"

    assert scene.told(STREAM_WATCH)[-1] == AcknowledgeKept(what)
    assert keys(scene) == ["late"]
    drop(scene, reason)
    assert sorted(keys(scene)) == sorted([reason.value, "late"])


def test_sample_is_what_the_counters_say() -> None:
    system = SeededSystem(settings=Settings())
    telemetry = system.telemetry
    telemetry.trades_received.inc(9)
    telemetry.trades_processed.inc(7)
    for kind, frames in (("buy", 5), ("create", 2), ("malformed", 1), ("control", 40)):
        telemetry.frames.labels(kind=kind).inc(frames)
    telemetry.follow(telemetry.dropped.labels(reason="journal_lost"), lambda: 4)

    found = sample(telemetry)

    assert (found.received, found.processed, found.data_frames, found.creates) == (9, 7, 8, 2)
    assert found.drops["journal_lost"] == 4
    assert found.drops.keys() == {reason.value for reason in Drop}
