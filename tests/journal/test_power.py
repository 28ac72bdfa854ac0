"""The journal and a loss of power: which waits for the disk each mode makes, and what they save."""

from __future__ import annotations

import os
import random
import shutil
from itertools import count
from typing import TYPE_CHECKING, Final

import pytest

from actors.journal import segments as journal_segments
from actors.journal.writer import FrameRecord, Fsync, JournalReader, JournalState, JournalWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

START_US: Final = 1_783_089_923_000_000
PAGE: Final = 4_096


def a_writer(folder: Path, fsync: Fsync) -> JournalWriter:
    """A writer whose upkeep the test does; its clock stands still."""
    return JournalWriter(
        folder,
        fsync=fsync,
        max_bytes=50_000_000,
        max_age_hours=24,
        wall_us=lambda: START_US,
        monotonic_s=lambda: 0.0,
        segment_bytes=60_000,
        background=False,
    )


def frame(seq: int) -> FrameRecord:
    data = b'{"mint":"m%d","x":"%b"}' % (seq, b"x" * (seq * 37 % 900))
    return FrameRecord(seq, START_US + seq * 1_000, data)


class Disk:
    """Notes how much of each file was waited for, and how often; the waiting is real."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.safe_bytes: dict[int, int] = {}
        """By inode; each file stays open, so that no other one gets its number."""
        self.waits = 0
        self._kept: list[int] = []
        self._wait = journal_segments.sync_data
        patch.setattr(journal_segments, "sync_data", self._sync)

    def _sync(self, fd: int) -> None:
        before = os.fstat(fd)
        self._wait(fd)
        self.waits += 1
        if before.st_ino not in self.safe_bytes:
            self._kept.append(os.dup(fd))
        self.safe_bytes[before.st_ino] = before.st_size

    def close(self) -> None:
        """Let the files go."""
        for fd in self._kept:
            os.close(fd)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk(monkeypatch)
    yield disk
    disk.close()


@pytest.mark.parametrize(
    ("fsync", "after_slices", "after_round", "after_idle_round", "after_close"),
    [("slice", 3, 3, 3, 4), ("second", 0, 1, 1, 2), ("never", 0, 0, 0, 0)],
)
def test_each_mode_waits_for_the_disk_as_often_as_it_says(
    disk: Disk,
    tmp_path: Path,
    *,
    fsync: Fsync,
    after_slices: int,
    after_round: int,
    after_idle_round: int,
    after_close: int,
) -> None:
    writer = a_writer(tmp_path / "journal", fsync)
    writer.open()
    # Three slices of two frames
    for first in (1, 3, 5):
        writer.append([frame(first), frame(first + 1)])
    assert disk.waits == after_slices
    # The round of every second, with and without anything new
    writer.maintain()
    assert disk.waits == after_round
    writer.maintain()
    assert disk.waits == after_idle_round
    # One more slice, and the end
    writer.append([frame(7)])
    writer.close()
    assert disk.waits == after_close


def cut(content: bytearray, at: int, _: random.Random) -> None:
    """The file is shorter than it was."""
    del content[at:]


def zeros(content: bytearray, at: int, _: random.Random) -> None:
    """Its size is on the disk, its last pages are not."""
    content[at:] = bytes(len(content) - at)


def garbage(content: bytearray, at: int, chance: random.Random) -> None:
    """What was on the disk before shows, line breaks and all."""
    content[at:] = chance.randbytes(len(content) - at)


def hole(content: bytearray, at: int, _: random.Random) -> None:
    """A later page was written before an earlier one."""
    end = min(len(content), at - at % PAGE + PAGE)
    content[at:end] = bytes(end - at)


def lines_kept(content: bytes, safe_bytes: int) -> int:
    """Count the whole lines that were waited for."""
    return content[:safe_bytes].count(b"\n")


@pytest.mark.parametrize("loss", [cut, zeros, garbage, hole])
@pytest.mark.parametrize("fsync", ["slice", "second", "never"])
@pytest.mark.parametrize("seed", range(8))
def test_everything_that_was_waited_for_survives_a_loss_of_power(
    disk: Disk,
    tmp_path: Path,
    *,
    loss: Callable[[bytearray, int, random.Random], None],
    fsync: Fsync,
    seed: int,
) -> None:
    # Given a journal with rounds of upkeep at any time, and the power gone at any time
    chance = random.Random(seed)
    folder, lost = tmp_path / "journal", tmp_path / "lost"
    writer = a_writer(folder, fsync)
    writer.open()
    numbers = count(1)
    for _ in range(chance.randint(5, 60)):
        writer.append([frame(next(numbers)) for _ in range(chance.randint(1, 20))])
        if chance.random() < 0.2:
            writer.maintain()
    appended = next(numbers) - 1
    shutil.copytree(folder, lost)
    (newest,) = sorted(folder.glob("*.jsonl"))[-1:]
    whole = newest.read_bytes()
    safe_bytes = disk.safe_bytes.get(newest.stat().st_ino, 0)
    writer.close()

    # When any part of what was not waited for is missing
    content = bytearray(whole)
    loss(content, chance.randint(safe_bytes, len(content)), chance)
    (lost / newest.name).write_bytes(content)

    # Then the journal opens, goes on, and has all that was waited for
    again = a_writer(lost, fsync)
    tail = again.open()
    first_kept = [each.seq for each in JournalReader(lost).records()]
    safe = appended - whole.count(b"\n") + lines_kept(whole, safe_bytes)
    assert first_kept[:safe] == list(range(1, safe + 1))
    assert first_kept == sorted(set(first_kept))
    assert tail.last_seq >= max(first_kept, default=0)
    again.append([frame(appended + 1)])
    assert again.state is JournalState.OK
    again.close()
    assert [each.seq for each in JournalReader(lost).records()] == [*first_kept, appended + 1]
    if fsync == "slice":
        assert safe == appended


def test_segment_whose_name_alone_survived_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    writer = a_writer(folder, "second")
    writer.open()
    writer.append([frame(seq) for seq in range(1, 200)])
    writer.append([frame(200)])
    writer.close()
    newest = max(folder.glob("*.jsonl"))
    newest.write_bytes(b"")

    again = a_writer(folder, "second")
    assert again.open().last_seq >= 199
    again.append([frame(201)])
    again.close()

    assert [each.seq for each in JournalReader(folder).records()] == [*range(1, 200), 201]
