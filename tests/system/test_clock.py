"""The machine's clock is wrong, put right, and wrong again: every trade counts once all the same.

The clock is bent for the service alone, with libfaketime; the monotonic clock stays true, as it
does when somebody sets a machine's time. A clock that was ahead leaves rows in the future, and a
journal with times in the future.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.recordings import FROM_CREATE
from tests.e2e.rows import check_spans, query, rows, stored_trades, streams
from tests.faults.world import World, eventually, read_journal
from tests.support import independent

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.system

MARKET = ("--coins", "12", "--trades-per-second", "120")
TRADES = 250


@pytest.fixture(scope="module")
def library() -> str:
    """Find libfaketime."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        pytest.fail(
            "libfaketime is missing; `make test-system` installs the Debian package faketime"
        )
    return str(found[0])


class Clock:
    """A wall clock that can be set while the service runs."""

    def __init__(self, library: str, folder: Path) -> None:
        self._file = folder / "clock"
        self.environment = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # Read anew at each look at the clock, so that a change acts at once.
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)

    def set(self, seconds: int) -> None:
        """Let the clock be so many seconds ahead of the true time, or behind it."""
        temporary = self._file.with_suffix(".new")
        temporary.write_text(f"{seconds:+d}\n")
        temporary.rename(self._file)


@pytest.fixture
def clock(library: str, tmp_path: Path) -> Clock:
    return Clock(library, tmp_path)


@pytest.fixture
def world(clock: Clock, dsn: str, tmp_path: Path) -> Iterator[World]:
    settings: dict[str, Any] = {"STORE_TRADES": True, **FROM_CREATE, **clock.environment}
    with World(tmp_path, dsn, MARKET, **settings) as world:
        yield world
        # Shown when the test has failed.
        sys.stdout.write(world.service.log[-12_000:])


def run(world: World, end: str, trades: int = TRADES) -> None:
    """Run the service until it has so many trades, and end it."""
    world.start()
    world.receive(trades)
    if end == "stop":
        world.stop()
    else:
        world.kill()


def finish(world: World) -> None:
    """Let the service take everything in, without a look at its health, and end it."""
    world.market.fault("hold")
    world.rest()
    metrics = world.service.metrics()
    assert metrics["mintwatch_late_trades_total"] == 0
    assert world.places()["dead"] == 0
    world.stop()


def check(world: World) -> None:
    """Check that each trade of a tracked coin that was journalled is in exactly one row."""
    assert "Traceback" not in world.service.log
    frames = [
        line
        for folder in (
            *sorted(world.state_dir.glob("journal-ahead-*")),
            world.state_dir / "journal",
        )
        for line in read_journal(folder)
    ]
    tracked = streams(world.dsn)
    arrived = {
        trade.identity: trade
        for trade in independent.trades(frames)
        if trade.mint in tracked and not tracked[trade.mint].is_graduated
    }
    stored = [t for t in stored_trades(world.dsn) if not tracked[t.mint].is_graduated]
    assert len({trade.identity for trade in stored}) == len(stored)
    assert {trade.identity for trade in stored} == arrived.keys()
    assert totals(world.dsn) == Counter(
        (trade.mint, trade.identity.kind) for trade in stored_trades(world.dsn)
    )
    for mint in tracked:
        check_spans([row for row in rows(world.dsn) if row.mint == mint], world.stops + 1)


def totals(dsn: str) -> Counter[Any]:
    """Count the trades in rows, and in rows that stand aside, by mint and side."""
    found: Counter[Any] = Counter()
    for table in ("coin_metrics", "coin_metrics_ahead"):
        for mint, buys, sells in query(dsn, f"SELECT mint, num_buys, num_sells FROM {table}"):
            found[mint, "buy"] += buys
            found[mint, "sell"] += sells
    return +found


def problems(world: World) -> dict[str, str]:
    """Give what the service says is wrong, by kind."""
    return {each["kind"]: each["says"] for each in world.service.json("/health")["problems"]}


def count_ahead(dsn: str) -> int:
    (row,) = query(dsn, "SELECT count(*) FROM coin_metrics_ahead")
    return int(row[0])


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize(("first", "second"), [(3600, 0), (60, 0), (0, -3600)])
def test_a_clock_that_goes_back_over_a_restart_costs_no_trade(
    first: int, second: int, end: str, world: World, clock: Clock
) -> None:
    clock.set(first)
    run(world, end)
    clock.set(second)
    world.start()
    world.receive(TRADES)
    eventually(lambda: "clock" in problems(world), what="the clock among the problems")
    finish(world)

    check(world)
    assert count_ahead(world.dsn) > 0
    assert world.service.log.count("journal_set_back") == 1


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_rows_that_a_clock_ahead_has_left_on_disk_cost_no_trade(
    end: str, world: World, clock: Clock
) -> None:
    clock.set(3600)
    world.start()
    world.receive(TRADES)
    query(world.dsn, "ALTER TABLE coin_metrics RENAME TO elsewhere")
    world.receive(TRADES)
    if end == "stop":
        world.stop()
    else:
        world.kill()
    query(world.dsn, "ALTER TABLE elsewhere RENAME TO coin_metrics")
    clock.set(0)
    world.start()
    world.receive(TRADES)
    world.kill()
    world.start()
    world.receive(TRADES)
    finish(world)

    check(world)
    assert count_ahead(world.dsn) > 0


def test_a_clock_that_was_never_set_is_refused(world: World, clock: Clock) -> None:
    clock.set(-1_700_000_000)
    service = world.start()

    assert service.wait(20) == 1
    assert "which is before mintwatch was written: set the clock" in service.log


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_clock_that_was_behind_costs_no_trade(end: str, world: World, clock: Clock) -> None:
    clock.set(-3600)
    run(world, end)
    clock.set(0)
    world.start()
    world.receive(TRADES)
    finish(world)

    check(world)
    assert count_ahead(world.dsn) == 0


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("step", [-3600, 60])
def test_a_clock_that_steps_while_the_service_runs_costs_no_trade(
    step: int, end: str, world: World, clock: Clock
) -> None:
    world.start()
    world.receive(TRADES)
    clock.set(step)
    eventually(lambda: "clock" in problems(world), what="the clock among the problems")
    world.receive(TRADES)
    if end == "stop":
        world.stop()
    else:
        world.kill()
    world.start()
    world.receive(TRADES)
    finish(world)

    check(world)


def test_rows_in_the_future_of_any_origin_cost_no_trade(world: World) -> None:
    run(world, "stop")
    mints = sorted(streams(world.dsn))
    for number, mint in enumerate(mints):
        query(
            world.dsn,
            "INSERT INTO coin_metrics (mint, timestamp, window_start, interval_seconds, num_buys,"
            " num_sells, buy_volume_sol, sell_volume_sol, volume_sol) VALUES (%s,"
            " now() + interval '1 hour', now() + %s * interval '1 minute', 5, 0, 0, 0, 0, 0)",
            # The original's rows have no window: they stay where they are, and decide nothing.
            (mint, None if number % 2 else 59),
        )
    world.start()
    world.receive(TRADES)
    finish(world)

    (theirs,) = query(world.dsn, "SELECT count(*) FROM coin_metrics WHERE window_start IS NULL")
    query(world.dsn, "DELETE FROM coin_metrics WHERE window_start IS NULL")
    check(world)
    assert theirs[0] == len(mints) // 2
    assert count_ahead(world.dsn) == len(mints) - len(mints) // 2


def test_a_row_that_appears_in_the_future_while_the_service_runs_costs_no_trade(
    world: World,
) -> None:
    world.start()
    world.receive(TRADES)
    mint = min(streams(world.dsn))
    query(
        world.dsn,
        "INSERT INTO coin_metrics (mint, timestamp, window_start, interval_seconds, num_buys,"
        " num_sells, buy_volume_sol, sell_volume_sol, volume_sol)"
        " VALUES (%s, now() + interval '1 hour', now(), 5, 0, 0, 0, 0, 0)",
        (mint,),
    )
    assert world.service.ask("DELETE", f"/trackers/{mint}").status_code == 202
    eventually(lambda: not streams(world.dsn)[mint].is_active, what="the end of the stream")
    assert world.service.ask("POST", "/trackers", {"mint": mint}).status_code == 202
    eventually(lambda: count_ahead(world.dsn) == 1, what="the row that stands aside")
    world.receive(TRADES)
    finish(world)

    (late,) = query(
        world.dsn,
        "SELECT count(*) FROM coin_metrics WHERE mint = %s AND timestamp > now()",
        (mint,),
    )
    assert late[0] == 0
