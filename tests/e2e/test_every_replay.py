"""Every recording gives the same rows each time, and all of them, whatever its clock does.

`SHORT` replays of most recordings, `LONG` of the quiet ones; `make soak` plays each of them `LONG`
times.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.recordings import FROM_CREATE, NO_FILTER, recording
from tests.e2e.rows import check_candles, check_totals, insert_streams, rows
from tests.support import independent, made
from tests.support.replays import Replayed, contents, run_in_process
from tests.support.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.postgres import PostgresServer

SHORT = 3
LONG = 10
MADE: dict[str, Callable[[Path], Path]] = {
    "3 creates in 45 minutes": lambda path: made.creates(path, 3, 1_350),
    "50 creates a minute apart": lambda path: made.creates(path, 50, 60),
    "816 trades in 104 minutes": made.quiet,
    "1,000 events a second": made.dense,
    "the simulator's market": made.simulated,
    "frames of 2024": made.of_2024,
    "creates and migrations": lambda _: recording("session"),
}
QUIET = ("3 creates in 45 minutes", "50 creates a minute apart")


def play(name: str, times: int, server: PostgresServer, folder: Path) -> None:
    """Replay a recording into fresh databases; each must hold what the independent count says."""
    path = MADE[name](folder / "recording.jsonl")
    lines = independent.read(path)
    expected = independent.outcome(lines)
    first = None
    for number in range(times):
        database = server.make_database("migrated")
        dsn = server.dsn(database)
        feed = f"replay:{path}"
        run = run_in_process(dsn, folder / str(number), FEED=feed, **FROM_CREATE, **NO_FILTER)
        found = contents(dsn)
        if first is None:
            check_candles(rows(dsn), expected.kept, independent.creators(lines))
            first = found
        server.drop_database(database)
        assert run == _books(expected)
        assert found == first


def _books(expected: independent.Outcome) -> Replayed:
    places = {
        "committed": len(expected.kept),
        "duplicate": expected.duplicates,
        "orphan": expected.orphans,
        "filtered": expected.filtered,
    }
    return Replayed(0, expected.received, {place: n for place, n in places.items() if n})


@pytest.mark.parametrize("name", QUIET)
def test_quiet_recording_gives_all_its_rows_ten_times(
    name: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    play(name, LONG, postgres_server, tmp_path)


@pytest.mark.parametrize("name", [name for name in MADE if name not in QUIET])
def test_recording_gives_all_its_rows_each_time(
    name: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    play(name, SHORT, postgres_server, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("name", MADE)
def test_recording_gives_all_its_rows_ten_times(
    name: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    play(name, LONG, postgres_server, tmp_path)
