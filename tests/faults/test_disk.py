"""The disk under the journal is full or refuses to be written: the service goes on and says so."""

from __future__ import annotations

import subprocess
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg2
import pytest

from simulator.process import start_simulator
from tests.connection.system import KeptJournal, running
from tests.e2e.rows import check_totals, rows, streams
from tests.faults.world import World, eventually
from tests.support import independent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_time_goes_on_while_a_full_journal_keeps_the_feed_from_being_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(KeptJournal, "state", "full")
    with start_simulator(["simulate", "--hold"]) as market, running(market.uri) as run:
        run.wait_for_log("reading_paused")
        paused_us = run.system.wheel.feed_us
        eventually(lambda: run.system.wheel.feed_us > paused_us + 200_000, what="the feed clock")


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    """Put a file system of its own under a folder; needs the right to mount one."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"{options},mode=0700", "mintwatch-test", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode == 0, (
        f"this test mounts a small file system and could not ({done.stderr.strip()}); "
        "run it as root, or in a container that may mount (CAP_SYS_ADMIN)"
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=10)


def journal_state(world: World) -> str:
    return str(world.service.json("/health")["journal_state"])


@pytest.mark.root
@pytest.mark.parametrize("options", ["size=128k", "ro"], ids=["full", "read-only"])
def test_journal_that_cannot_be_written_is_said_and_stops_nothing(
    options: str, dsn: str, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "state" / "journal", options), World(tmp_path, dsn) as world:
        world.start()
        world.receive(100)
        assert eventually(lambda: journal_state(world) in {"failed", "full"}, what="the state")
        eventually(lambda: rows(dsn), what="rows")
        world.receive(200)
        world.finish()
        sent = independent.trades(independent.read(tmp_path / "sent.jsonl"))

    assert not any(stream.is_graduated for stream in streams(dsn).values())
    check_totals(rows(dsn), [trade for trade in sent if trade.mint in streams(dsn)])
    assert "Traceback" not in world.service.log


@pytest.mark.root
def test_state_dir_that_fills_up_and_is_emptied_again_loses_nothing(
    dsn: str, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with small_disk(state, "size=32m"), World(tmp_path, dsn) as world:
        world.start()
        eventually(lambda: rows(dsn), what="rows")
        filler = fill(state)
        eventually(lambda: journal_state(world) in {"failed", "full"}, 40, "a loud state")
        before = len(rows(dsn))
        eventually(lambda: len(rows(dsn)) > before, what="rows, all the same")
        filler.unlink()
        eventually(lambda: journal_state(world) == "ok", 60, "a journal that is written again")
        world.receive(400)
        world.finish()
        sent = independent.trades(independent.read(tmp_path / "sent.jsonl"))

    check_totals(rows(dsn), [trade for trade in sent if trade.mint in streams(dsn)])
    assert "Traceback" not in world.service.log


def fill(folder: Path) -> Path:
    """Leave no byte free on the file system of a folder."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


@pytest.mark.soak
def test_journal_at_its_cap_pauses_the_feed_until_rows_are_written(
    dsn: str, tmp_path: Path
) -> None:
    market = ("--coins", "25", "--trades-per-second", "1500")
    with World(tmp_path, dsn, market, JOURNAL_MAX_MB=1) as world:
        world.start()
        eventually(lambda: rows(dsn), what="first rows")
        with closing(psycopg2.connect(dsn)) as blocker, blocker.cursor() as cursor:
            cursor.execute("LOCK TABLE coin_metrics IN ACCESS EXCLUSIVE MODE")
            world.service.wait_log("reading_paused", 30)
            eventually(lambda: journal_state(world) == "full", what="a full journal")
            before = world.service.json("/ledger")["received"]
            eventually(lambda: trades_sent(tmp_path) > before + 800, what="what has to wait")
            world.market.fault("hold")
            blocker.rollback()
        world.service.wait_log("reading_resumed", 40)
        world.wait_received(trades_sent(tmp_path), 40)
        world.finish()
        sent = independent.trades(independent.read(tmp_path / "sent.jsonl"))

    tracked = {mint for mint, stream in streams(dsn).items() if not stream.is_graduated}
    assert tracked
    check_totals(
        [row for row in rows(dsn) if row.mint in tracked],
        [trade for trade in sent if trade.mint in tracked],
    )


def trades_sent(folder: Path) -> int:
    return len(independent.trades(independent.read(folder / "sent.jsonl")))
