"""Crash dossiers: what stands in one, how many there are, and a disk that says no."""

from __future__ import annotations

import stat
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from actors.runtime import (
    Actor,
    ArrivalClock,
    Batch,
    ChildSpec,
    Context,
    Exceeded,
    Message,
    RestartBudget,
    System,
)
from actors.runtime.inspection.crash_reports import CrashReport, CrashReports
from actors.runtime.simulation import SeededSystem
from settings import load
from telemetry import Telemetry
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_US = 1_700_000_000_000_000
SECRET = "hunter2secret"


class Add(Message, frozen=True):
    n: int


class Adds(Batch, frozen=True):
    events: tuple[Add, ...]


class Leak(Message, frozen=True):
    text: str


class Sum(Actor):
    """Adds up, and fails at 13."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.total = 0

    def on_receive(self, message: Any) -> None:
        if isinstance(message, Leak):
            raise ConnectionError(f"could not connect with {message.text}")
        if message.n == 13:
            raise ValueError("unlucky")
        self.total += message.n

    def snapshot(self) -> Any:
        return {"total": self.total}


class Mute(Sum):
    def snapshot(self) -> Any:
        return None


class Broken(Sum):
    def snapshot(self) -> Any:
        raise SystemExit("even this")


def failing(kind: type[Sum] = Sum, **start: Any) -> SeededSystem:
    system = SeededSystem(now_us=START_US)
    system.start("sum", kind, **start)
    return system


def only(dossiers: CrashReports) -> CrashReport:
    [line] = dossiers.all(10)
    dossier = dossiers.get(line.id)
    assert dossier is not None
    return dossier


def made(number: int, actor: str = "sum", size: int = 10) -> CrashReport:
    return CrashReport(
        id=f"{number:017d}-0001", at_us=number, actor=actor, kind="sum", error="ValueError: no",
        traceback="x" * size, message="Add", summary="Add(n=13)", recent=(), state=None,
        decision="restart", restart_after_s=0.05, restarts=0,
    )  # fmt: skip


def test_dossier_says_what_was_handled_held_done_and_decided() -> None:
    system = failing()
    system.tell("sum", Add(4))
    system.tell("sum", Adds((Add(1), Add(13), Add(2))))
    system.run()

    dossier = only(system.dossiers)

    assert (dossier.actor, dossier.kind, dossier.at_us) == ("sum", "sum", START_US)
    assert dossier.error == "ValueError: unlucky"
    assert 'raise ValueError("unlucky")' in dossier.traceback
    assert (dossier.message, dossier.summary) == ("Add", "Add(n=13)")
    assert [(each.message, each.failed) for each in dossier.recent] == [
        ("Add", False),
        ("Adds", True),
    ]
    assert dossier.state == "{'total': 5}"
    assert (dossier.decision, dossier.restart_after_s, dossier.restarts) == ("restart", 0.05, 0)


def test_restarts_and_the_last_decision_are_in_the_dossiers() -> None:
    system = failing(exceeded=Exceeded.QUARANTINE, budget=RestartBudget(intensity=1))
    for _ in range(2):
        system.tell("sum", Add(13))
        system.run()
        system.advance(5.0)

    newest, oldest = system.dossiers.all(10)
    assert [oldest.decision, newest.decision] == ["restart", "quarantine"]
    last = system.dossiers.get(newest.id)
    assert last is not None
    assert (last.restarts, last.restart_after_s) == (1, None)


def test_failure_of_a_constructor_has_a_dossier_without_message_and_state() -> None:
    def fails(context: Context) -> Actor:
        raise OSError("no such thing")

    system = SeededSystem()
    system.start("broken", fails, exceeded=Exceeded.QUARANTINE, budget=RestartBudget(intensity=0))

    dossier = only(system.dossiers)
    assert (dossier.message, dossier.summary, dossier.state) == (None, None, None)
    assert dossier.error == "OSError: no such thing"


@pytest.mark.parametrize(
    ("kind", "state"), [(Mute, None), (Broken, "no snapshot: SystemExit: even this")]
)
def test_snapshot_that_says_nothing_or_fails_harms_nobody(kind: type[Sum], state: Any) -> None:
    system = failing(kind)
    system.tell("sum", Add(13))
    system.run()
    system.advance(1.0)

    assert only(system.dossiers).state == state
    assert system.state_of("sum") == "running"


def test_secrets_are_masked_before_a_text_is_cut() -> None:
    system = failing()
    system.dossiers.mask = lambda text: text.replace(SECRET, "***")
    padding = "x" * (500 - len("ConnectionError: could not connect with ") - 6)
    system.tell("sum", Leak(padding + SECRET))
    system.run()

    dossier = only(system.dossiers)
    assert "hunter2" not in repr(dossier)
    assert dossier.error.endswith("***")


def test_more_failures_than_five_a_second_are_counted_and_not_rendered() -> None:
    system = failing(budget=RestartBudget(intensity=1_000, first_s=0.0, max_s=0.0))
    for _ in range(8):
        system.tell("sum", Add(13))
        system.run()

    assert len(system.dossiers.all(100)) == 5
    assert system.dossiers.skipped == 3
    system.advance(1.0)
    system.tell("sum", Add(13))
    system.run()
    assert len(system.dossiers.all(100)) == 6


def test_newest_come_first_and_can_be_asked_for_by_actor() -> None:
    dossiers = CrashReports()
    for number, actor in enumerate(("a", "b", "a", "b"), 1):
        dossiers.add(made(number, actor))

    assert [line.at_us for line in dossiers.all(3)] == [4, 3, 2]
    assert [line.at_us for line in dossiers.all(1, "a")] == [3]
    assert dossiers.all(5, "nobody") == ()
    assert dossiers.get("../../etc/passwd") is None


def test_past_the_number_the_oldest_goes() -> None:
    dossiers = CrashReports(max_dossiers=2)
    for number in (1, 2, 3):
        dossiers.add(made(number))
    assert [line.at_us for line in dossiers.all(10)] == [3, 2]
    assert dossiers.get(made(1).id) is None


def test_past_the_bytes_the_oldest_go() -> None:
    dossiers = CrashReports(max_bytes=10_000)
    for number in range(1, 10):
        dossiers.add(made(number, size=4_000))
    assert [line.at_us for line in dossiers.all(10)] == [9, 8]


# On disk.


@pytest.fixture(name="folder")
def folder_of_dossiers(tmp_path: Path) -> Path:
    return tmp_path / "state" / "dossiers"


class Opened:
    """Dossiers on disk, closed at the end."""

    def __init__(self, dossiers: CrashReports) -> None:
        self.dossiers = dossiers

    def __enter__(self) -> CrashReports:
        self.dossiers.open()
        return self.dossiers

    def __exit__(self, *_: object) -> None:
        self.dossiers.close(10.0)
        assert not any(thread.name == "dossiers" for thread in threading.enumerate())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_dossier_is_a_file_for_its_owner_alone_and_is_read_back_later(folder: Path) -> None:
    with Opened(CrashReports(folder)) as dossiers:
        dossiers.add(made(1))
        dossiers.add(made(2))

    assert names(folder) == ["00000000000000001-0001.json", "00000000000000002-0001.json"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    with Opened(CrashReports(folder)) as later:
        assert [line.at_us for line in later.all(10)] == [2, 1]
        assert later.get(made(1).id) == made(1)


def test_folder_that_others_could_read_is_closed_to_them(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o755)
    with Opened(CrashReports(folder)):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_files_past_the_bound_are_removed_also_those_of_earlier_processes(folder: Path) -> None:
    with Opened(CrashReports(folder)) as dossiers:
        for number in (1, 2, 3, 4):
            dossiers.add(made(number))
    with Opened(CrashReports(folder, max_dossiers=3)) as dossiers:
        assert len(names(folder)) == 3
        dossiers.add(made(5))
    assert names(folder) == [f"{number:017d}-0001.json" for number in (3, 4, 5)]


def test_damaged_and_foreign_files_are_skipped_and_left_alone(folder: Path) -> None:
    with Opened(CrashReports(folder)) as dossiers:
        dossiers.add(made(1))
    good = folder / "00000000000000001-0001.json"
    (folder / "00000000000000002-0001.json").write_bytes(good.read_bytes()[:-20])
    (folder / "00000000000000003-0001.json").write_bytes(good.read_bytes())
    (folder / "00000000000000004-0001.json").write_bytes(b"\xff\x00")
    (folder / "00000000000000005-0001.json").mkdir()
    (folder / "00000000000000006-0001.half").write_bytes(b"{")
    (folder / "notes.txt").write_text("mine")

    with Opened(CrashReports(folder)) as dossiers:
        assert [line.at_us for line in dossiers.all(10)] == [1]
    assert "notes.txt" in names(folder)
    assert "00000000000000002-0001.json" in names(folder)
    assert "00000000000000006-0001.half" not in names(folder)


def test_file_under_another_name_than_its_id_is_foreign(folder: Path) -> None:
    with Opened(CrashReports(folder)) as dossiers:
        dossiers.add(made(1))
    (folder / f"{made(1).id}.json").rename(folder / f"{made(2).id}.json")
    with Opened(CrashReports(folder)) as dossiers:
        assert dossiers.all(10) == ()


def test_file_that_was_taken_away_meanwhile_is_none(folder: Path) -> None:
    with Opened(CrashReports(folder)) as dossiers:
        dossiers.add(made(1))
        wait_until(lambda: folder.exists() and len(names(folder)) == 1, what="the file")
        wait_until(lambda: dossiers._kept[made(1).id].data is None, what="the end of the write")
        (folder / f"{made(1).id}.json").unlink()
        assert dossiers.get(made(1).id) is None


@pytest.fixture(name="full_disk")
def full_disk(folder: Path) -> Path:
    """A folder that takes nothing, whoever runs the tests: a file stands in its place."""
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    return folder


def test_disk_that_takes_nothing_is_logged_once_and_fails_nothing(full_disk: Path) -> None:
    with structlog.testing.capture_logs() as lines:
        with Opened(CrashReports(full_disk)) as dossiers:
            for number in (1, 2, 3):
                dossiers.add(made(number))
        assert [line.at_us for line in dossiers.all(10)] == [3, 2, 1]
        assert dossiers.get(made(2).id) == made(2)
    assert [line["event"] for line in lines] == ["dossiers_not_written"]


def test_disk_that_works_again_gets_the_later_ones(full_disk: Path) -> None:
    with Opened(CrashReports(full_disk)) as dossiers:
        dossiers.add(made(1))
        wait_until(dossiers._work.empty, what="the first try")
        full_disk.unlink()
        dossiers.add(made(2))
    assert "00000000000000002-0001.json" in names(full_disk)


def test_failed_write_leaves_no_half_written_file(folder: Path) -> None:
    with Opened(CrashReports(folder)) as dossiers:
        dossiers.add(made(1))
        wait_until(lambda: dossiers._kept[made(1).id].data is None, what="the first file")
        assert dossiers._files is not None
        # A name that the file system refuses.
        with pytest.raises(OSError, match=r"[Nn]ame too long"):
            dossiers._files.write("x" * 300, b"{}")
    assert names(folder) == ["00000000000000001-0001.json"]


class Hanging(CrashReports):
    """Its disk hangs until the test lets it go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, per_second=10_000)
        self.go = threading.Event()

    def _write(self, name: str, data: bytes | None) -> None:
        assert self.go.wait(30)
        super()._write(name, data)


@pytest.fixture(name="hanging")
def hanging_disk(folder: Path) -> Iterator[Hanging]:
    dossiers = Hanging(folder)
    yield dossiers
    dossiers.go.set()
    dossiers.close(10.0)


def test_disk_that_hangs_does_not_hold_up_actors_that_crash(hanging: Hanging) -> None:
    system = System(
        settings=load({}), telemetry=Telemetry(), clock=ArrivalClock(), dossiers=hanging
    )
    system.open()
    try:
        budget = RestartBudget(intensity=10_000, first_s=0.0, max_s=0.0)
        system.start_child(ChildSpec("sum", "sum", Sum, Sum, budget=budget))
        for _ in range(100):
            system.tell("sum", Add(13))
        system.tell("sum", Add(1))
        wait_until(lambda: len(hanging.all(200)) == 100, what="100 crashes")
        wait_until(lambda: (system.recent("sum") or ())[-1].summary == "Add(n=1)", what="the rest")
    finally:
        hanging.go.set()
        assert system.close(10.0) == []


def test_failures_past_the_rate_cost_next_to_nothing(folder: Path) -> None:
    with Opened(CrashReports(folder)) as dossiers:
        began = time.process_time()
        for _ in range(100_000):
            dossiers.admit(7.0)
        assert time.process_time() - began < 5.0
    assert dossiers.skipped == 99_995
    assert names(folder) == []
