"""Every recording gives the same rows each time, and all of them, whatever its clock does.

Through `FEED=replay:FILE` and through the WebSocket player: the quiet ones ten times, the others
three times, in `make soak` all of them ten times.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from actors.connection import FeedReport
from simulator.process import start_simulator
from tests.e2e.recordings import FROM_CREATE, NO_FILTER, recording
from tests.e2e.rows import check_candles, check_totals, insert_streams, rows
from tests.support import independent, made
from tests.support.replays import Replayed, contents, run_in_process
from tests.support.service import Service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from threading import Event

    from actors.runtime import System
    from supervisor import Service as InProcess
    from tests.support.postgres import PostgresServer
    from tests.support.replays import Meanwhile

    Make = Callable[[Path], Path]

QUIET: dict[str, Make] = {
    "3 creates in 45 minutes": lambda path: made.creates(path, 3, 1_350),
    "50 creates a minute apart": lambda path: made.creates(path, 50, 60),
}
BUSY: dict[str, Make] = {
    "816 trades in 104 minutes": made.quiet,
    "1,000 events a second": made.dense,
    "frames of 2024": made.of_2024,
    "creates that come twice": made.creates_twice,
    "creates and migrations": lambda _: recording("session"),
}
ENDING: dict[str, Make] = {"coins that graduate": made.simulated}
LIVING: dict[str, Make] = {"coins that stay": lambda path: made.simulated(path, graduate_share=0.0)}
REPLAYED = QUIET | BUSY | ENDING
SERVED = QUIET | BUSY | LIVING
SHORT, LONG = 3, 10
LIMIT_S = 60.0


@pytest.fixture
def databases(postgres_server: PostgresServer) -> Iterator[Iterator[str]]:
    """Migrated databases, a new one with each `next`."""
    names: list[str] = []

    def made_one_by_one() -> Iterator[str]:
        while True:
            names.append(postgres_server.make_database("migrated"))
            yield postgres_server.dsn(names[-1])

    yield made_one_by_one()
    for name in names:
        postgres_server.drop_database(name)


def play(make: Make, times: int, databases: Iterator[str], folder: Path) -> None:
    """Replay a recording into fresh databases; each must hold what the independent count says."""
    path = make(folder / "recording.jsonl")
    lines = independent.read(path)
    expected = independent.outcome(lines)
    found = []
    for number, dsn in enumerate(itertools.islice(databases, times)):
        run = replay(dsn, folder / str(number), path)
        assert run == books(expected)
        check_candles(rows(dsn), expected.kept, independent.creators(lines))
        found.append(contents(dsn))
    assert all(each == found[0] for each in found)


def replay(
    dsn: str,
    folder: Path,
    path: Path,
    meanwhile: Meanwhile | None = None,
    **more: object,
) -> Replayed:
    settings = FROM_CREATE | NO_FILTER | {"FEED": f"replay:{path}"} | more
    return run_in_process(dsn, folder, meanwhile, **settings)


def books(expected: independent.Outcome) -> Replayed:
    places = {
        "committed": len(expected.kept),
        "duplicate": expected.duplicates,
        "orphan": expected.orphans,
        "filtered": expected.filtered,
    }
    return Replayed(0, expected.received, {place: n for place, n in places.items() if n})


@pytest.mark.parametrize(
    ("name", "times"),
    [*((name, LONG) for name in QUIET), *((name, SHORT) for name in BUSY | ENDING)],
)
def test_recording_gives_all_its_rows_each_time(
    name: str, times: int, databases: Iterator[str], tmp_path: Path
) -> None:
    play(REPLAYED[name], times, databases, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("name", REPLAYED)
def test_recording_gives_all_its_rows_ten_times(
    name: str, databases: Iterator[str], tmp_path: Path
) -> None:
    play(REPLAYED[name], LONG, databases, tmp_path)


def test_quiet_recording_gives_all_its_rows_through_the_command_ten_times(
    databases: Iterator[str], tmp_path: Path
) -> None:
    path = made.creates(tmp_path / "recording.jsonl", 3, 1_350)
    for number, dsn in enumerate(itertools.islice(databases, LONG)):
        settings = {"FEED": f"replay:{path}", "DB_DSN": dsn, **FROM_CREATE}
        with Service(tmp_path / str(number), **settings) as service:
            assert service.wait(30) == 0

        assert [
            (row.mint, row.start_us, row.end_us, row.figures.num_buys, row.figures.buy_lamports)
            for row in rows(dsn)
        ] == [
            # Each window begins with the coin; the last one ends with the recording.
            ("Quiet0pump", 1_700_000_000_000_000, 1_700_000_005_000_000, 1, 500_000_000),
            ("Quiet1pump", 1_700_001_350_000_000, 1_700_001_355_000_000, 1, 500_000_000),
            ("Quiet2pump", 1_700_002_700_000_000, 1_700_002_700_000_001, 1, 500_000_000),
        ]


def test_market_of_streams_that_somebody_else_started_gives_the_same_rows_each_time(
    databases: Iterator[str], tmp_path: Path
) -> None:
    path = recording("market")
    lines = independent.read(path)
    expected = independent.trades(lines)
    found = []
    for number, dsn in enumerate(itertools.islice(databases, SHORT)):
        insert_streams(dsn, {trade.mint for trade in expected}, lines[0].at_us)
        run_in_process(dsn, tmp_path / str(number), FEED=f"replay:{path}")
        check_candles(rows(dsn), expected)
        found.append(contents(dsn))

    assert all(each == found[0] for each in found)


def test_restarts_of_everybody_who_decides_change_no_row(
    databases: Iterator[str], tmp_path: Path
) -> None:
    path = made.simulated(tmp_path / "recording.jsonl")
    expected = books(independent.outcome(independent.read(path)))
    undisturbed, disturbed = itertools.islice(databases, 2)
    restarted: list[str] = []

    def restart(_: InProcess, system: System, ended: Event) -> None:
        while not ended.is_set():
            before_us = system.wheel.feed_us
            trackers = [name for name in system.names() if name.startswith("tracker:")]
            names = ("discovery", "supervisor", "connection", *trackers[:5])
            restarted.extend(name for name in names if system.restart(name))
            wait_until(lambda: ended.is_set() or system.wheel.feed_us > before_us, LIMIT_S)  # noqa: B023

    assert replay(undisturbed, tmp_path / "1", path) == expected
    assert replay(disturbed, tmp_path / "2", path, meanwhile=restart) == expected

    assert len(restarted) > 20
    assert contents(disturbed) == contents(undisturbed)


def test_coins_that_wait_for_a_place_get_it_at_the_same_time_in_each_replay(
    databases: Iterator[str], tmp_path: Path
) -> None:
    path = made.simulated(tmp_path / "recording.jsonl", graduate_share=0.8)
    runs, found = [], []
    for number, dsn in enumerate(itertools.islice(databases, SHORT)):
        runs.append(replay(dsn, tmp_path / str(number), path, MAX_TRACKERS=20))
        found.append(contents(dsn))

    assert all(run == runs[0] for run in runs)
    assert all(each == found[0] for each in found)
    # Some coins have come to an end, and others have got their places; the rest still wait.
    assert len({row["mint"] for row in found[0]["coin_metrics"]}) > 30
    assert runs[0].places["cached"] > 0


@pytest.mark.parametrize("activation", [FROM_CREATE, {"ACTIVATION": "external"}])
def test_recording_replayed_twice_into_one_database_adds_and_changes_nothing(
    activation: dict[str, object], dsn: str, tmp_path: Path
) -> None:
    # Given coins that pass through three phases
    path = made.quiet(tmp_path / "recording.jsonl")
    lines = independent.read(path)
    if activation != FROM_CREATE:
        insert_streams(dsn, independent.creates(lines), lines[0].at_us)
    replay(dsn, tmp_path / "1", path, None, **activation)
    first = contents(dsn)
    assert {row["phase_id_at_time"] for row in first["coin_metrics"]} == {1, 2, 3}

    replay(dsn, tmp_path / "2", path, None, **activation)

    assert contents(dsn) == first


def serve(make: Make, times: int, databases: Iterator[str], folder: Path) -> None:
    """Send a recording over a WebSocket; each coin's totals must be those of what was sent."""
    path = make(folder / "recording.jsonl")
    lines = independent.read(path)
    total = sum("txType" in line.frame for line in lines)
    expected = independent.outcome(lines)

    def drain_at_the_end(service: InProcess, system: System, _: Event) -> None:
        # What arrives before the streams are known waits; a drain leaves it to the next start.
        wait_until(lambda: _frames(system) >= total, LIMIT_S, f"{total} frames")
        service.drain("everything was sent")

    for number, dsn in enumerate(itertools.islice(databases, times)):
        player = ["replay", str(path), "--speed", "0", "--all-trades"]
        with start_simulator(player) as running:
            run = run_in_process(
                dsn,
                folder / str(number),
                meanwhile=drain_at_the_end,
                WS_URI=running.uri,
                PUMPPORTAL_API_KEY="funded",
                **(FROM_CREATE | NO_FILTER),
            )
        assert run == books(expected)
        check_totals(rows(dsn), expected.kept)


def _frames(system: System) -> int:
    report = system.status_of("connection")
    if not isinstance(report, FeedReport) or report.recovering:
        return 0
    return sum(report.frames.get(kind, 0) for kind in ("create", "buy", "sell", "migrate"))


@pytest.mark.parametrize(
    ("name", "times"),
    [*((name, LONG) for name in QUIET), *((name, SHORT) for name in BUSY | LIVING)],
)
def test_recording_over_a_websocket_gives_each_coins_totals_each_time(
    name: str, times: int, databases: Iterator[str], tmp_path: Path
) -> None:
    serve(SERVED[name], times, databases, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("name", SERVED)
def test_recording_over_a_websocket_gives_each_coins_totals_ten_times(
    name: str, databases: Iterator[str], tmp_path: Path
) -> None:
    serve(SERVED[name], LONG, databases, tmp_path)
