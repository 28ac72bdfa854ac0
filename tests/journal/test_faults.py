"""The journal when the disk refuses or the process is killed: real limits, real file systems."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from actors.journal import segments as journal_segments
from actors.journal.compactor import Compactor
from actors.journal.writer import (
    FactRecord,
    FrameRecord,
    Fsync,
    JournalReader,
    JournalState,
    JournalWriter,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

START_US = 1_783_089_923_000_000
LIMIT_S = 60
NOBODY = 65534
ROOT = Path(__file__).parents[2]
FSYNCS: tuple[Fsync, ...] = ("slice", "second", "never")

PREPARE = """
import os, resource, sys
from pathlib import Path
from actors.journal.writer import FrameRecord, JournalReader, JournalWriter

os.setuid(int(sys.argv[3]))
now = [0.0]
writer = JournalWriter(
    Path(sys.argv[1]), fsync=sys.argv[2], max_bytes=50_000_000, max_age_hours=24,
    wall_us=lambda: 0, monotonic_s=lambda: now[0], segment_bytes=20_000, background=False,
)
tail = writer.open()

def frame(seq):
    return FrameRecord(seq, seq * 1_000_000, b'{"mint":"m","x":"' + b"x" * 100 + b'"}')
"""


class Clock:
    """A monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.s = 0.0

    def monotonic_s(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def a_writer(
    folder: Path, clock: Clock, *, fsync: Fsync = "never", background: bool = False
) -> JournalWriter:
    return JournalWriter(
        folder,
        fsync=fsync,
        max_bytes=50_000_000,
        max_age_hours=24,
        wall_us=lambda: START_US,
        monotonic_s=clock.monotonic_s,
        segment_bytes=20_000,
        background=background,
    )


def frame(seq: int, data: bytes = b"{}") -> FrameRecord:
    return FrameRecord(seq, START_US + seq, data)


def big(seq: int) -> FrameRecord:
    """A frame whose line has 4,160 bytes."""
    return frame(seq, b'"%b"' % (b"x" * 4096))


def state_of(writer: JournalWriter) -> JournalState:
    """The present state; a type checker takes the property for a constant."""
    return writer.state


def seqs(folder: Path) -> list[int]:
    reader = JournalReader(folder)
    found = [record.seq for record in reader.records() if isinstance(record, FrameRecord)]
    assert (reader.unreadable_lines, reader.unreadable_segments) == (0, 0)
    return found


def gaps(folder: Path) -> list[tuple[int, object]]:
    records = JournalReader(folder).records()
    return [(each.seq, each.details["lost"]) for each in records if isinstance(each, FactRecord)]


def run_script(
    body: str, folder: Path, fsync: Fsync = "never", user: int | None = None
) -> list[str]:
    script = PREPARE + textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), fsync, str(user or os.getuid())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    subprocess.run(command, capture_output=True, check=True, timeout=LIMIT_S)
    yield place
    # Lazily: a test that failed may have left a file open.
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.root
def test_full_disk_is_a_state_and_what_was_written_stays_whole(
    small_disk: Path, clock: Clock
) -> None:
    # given
    folder = small_disk / "journal"
    writer = a_writer(folder, clock)
    writer.open()

    # when: slices of three, until one does not fit
    seq = 1
    while state_of(writer) is JournalState.OK:
        writer.append([big(seq), big(seq + 1), big(seq + 2)])
        seq += 3
    written = seqs(folder)
    lost = writer.stats().lost_records

    # then: the slice's lines that fitted are there, the others counted
    assert written == list(range(1, len(written) + 1))
    assert len(written) + lost == seq - 1
    assert 1 <= lost <= 3
    assert writer.reason is not None
    assert writer.reason.startswith("cannot append to the journal: ENOSPC (No space left")

    # when: within the pause nothing is tried, however much room there is
    min(folder.glob("journal-*")).unlink()
    writer.append([frame(seq)])
    assert state_of(writer) is JournalState.FAILED
    clock.s = 1.0
    writer.append([frame(seq + 1)])
    writer.append([frame(seq + 2)])

    # then
    assert state_of(writer) is JournalState.OK
    assert writer.reason is None
    assert seqs(folder)[-2:] == [seq + 1, seq + 2]
    assert gaps(folder) == [(seq - 1, lost + 1)]
    assert writer.stats().lost_records == lost + 1
    writer.close()


@pytest.mark.root
def test_full_disk_gives_up_one_released_segment_and_goes_on(
    small_disk: Path, clock: Clock
) -> None:
    # given: about 13 frames fit, five to a segment, and gzip has no room to help
    folder = small_disk / "journal"
    writer = a_writer(folder, clock)
    writer.open()
    seq = 0
    while state_of(writer) is JournalState.OK:
        seq += 1
        writer.append([frame(seq, os.urandom(3072))])
    written = seqs(folder)

    # when: frames 1 to 10 are in rows
    writer.release_before(START_US + 12)
    writer.maintain()
    clock.s = 1.0
    writer.append([frame(seq + 1)])

    # then
    assert written == list(range(1, seq))
    assert state_of(writer) is JournalState.OK
    assert seqs(folder) == [*range(6, seq), seq + 1]
    assert gaps(folder) == [(seq, 1)]
    writer.close()


def test_file_size_limit_in_the_middle_of_a_line_leaves_whole_lines(tmp_path: Path) -> None:
    # given: a limit of 10,000 bytes a file, lines of about 175
    answers = run_script(
        """
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        writer.append([frame(seq) for seq in range(1, 101)])
        print(writer.state, writer.stats().appended_records, writer.stats().lost_records)
        now[0] = 1.0
        writer.append([frame(101)])
        print(writer.state, writer.stats().lost_records)
        writer.close()
        """,
        tmp_path / "journal",
    )

    # then
    state, appended, lost, state_later, lost_later = answers
    assert (state, state_later) == ("failed", "ok")
    assert int(appended) + int(lost) == 100
    assert lost == lost_later
    assert seqs(tmp_path / "journal") == [*range(1, int(appended) + 1), 101]
    assert gaps(tmp_path / "journal") == [(100, int(lost))]


def test_folder_that_cannot_be_written_is_a_state(tmp_path: Path) -> None:
    # given
    folder = tmp_path / "journal"
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        for each in (tmp_path, *tmp_path.parents[:2]):
            each.chmod(0o755)
    folder.chmod(0o555)

    # when
    answers = run_script(
        """
        print(writer.state)
        writer.append([frame(1)])
        now[0] = 100.0
        writer.append([frame(2)])
        print(writer.state, writer.stats().lost_records)
        print(writer.reason)
        writer.maintain()
        writer.close()
        """,
        folder,
        user=NOBODY if os.geteuid() == 0 else None,
    )

    # then
    assert answers[:3] == ["failed", "failed", "2"]
    assert {"EACCES", "EPERM"} & {word.strip("();") for word in answers}
    assert list(folder.glob("journal-*")) == []


def test_journal_begins_once_its_folder_can_be_made(tmp_path: Path, clock: Clock) -> None:
    # given: something else is where a folder should be
    (tmp_path / "state").write_text("in the way")
    folder = tmp_path / "state" / "journal"
    writer = a_writer(folder, clock)
    writer.open()
    writer.append([frame(1)])
    assert state_of(writer) is JournalState.FAILED
    assert writer.stats().lost_records == 1

    # when
    (tmp_path / "state").unlink()
    clock.s = 1.0
    writer.append([frame(2)])

    # then
    assert state_of(writer) is JournalState.OK
    assert seqs(folder) == [2]
    assert gaps(folder) == [(0, 1)]
    writer.close()


@pytest.mark.parametrize("fsync", FSYNCS)
def test_everything_acknowledged_survives_kill_9(tmp_path: Path, fsync: Fsync) -> None:
    # given: a writer that says which slice append has returned for
    folder = tmp_path / "journal"
    script = PREPARE + textwrap.dedent("""
        for first in range(1, 10_000_000, 7):
            writer.append([frame(seq) for seq in range(first, first + 7)])
            print(first + 6, writer.state, flush=True)
            if first % 700 == 1:
                writer.maintain()
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder), fsync, str(os.getuid())],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    guard = threading.Timer(LIMIT_S, process.kill)
    guard.start()

    # when
    assert process.stdout is not None
    with process.stdout as lines:
        for _ in range(300):
            lines.readline()
        process.send_signal(signal.SIGKILL)
        rest = lines.read().splitlines()
    guard.cancel()
    assert process.wait(LIMIT_S) == -signal.SIGKILL
    acknowledged = max([2100, *(int(line.split()[0]) for line in rest if line.endswith(" ok"))])

    # then
    again = a_writer(folder, Clock())
    tail = again.open()
    again.close()
    assert tail.last_seq >= acknowledged
    assert seqs(folder) == list(range(1, tail.last_seq + 1))


def test_failed_sync_ends_the_segment_and_the_next_attempt_begins_another(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    folder = tmp_path / "journal"
    writer = a_writer(folder, clock, fsync="slice")
    writer.open()
    writer.append([frame(1)])

    # when
    with monkeypatch.context() as broken:
        broken.setattr(journal_segments, "sync_data", refuse)
        writer.append([frame(2)])
    refused = (writer.state, writer.stats().lost_records, writer.reason)
    clock.s = 1.0
    writer.append([frame(3)])

    # then
    assert refused[:2] == (JournalState.FAILED, 1)
    assert refused[2] is not None
    assert "EIO" in refused[2]
    assert state_of(writer) is JournalState.OK
    assert len(list(folder.glob("journal-*"))) == 2
    assert gaps(folder) == [(2, 1)]
    writer.close()


def refuse(fd: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_failed_sync_of_the_upkeep_is_a_state_at_once(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    writer = a_writer(tmp_path / "journal", clock, fsync="second")
    writer.open()
    writer.append([frame(1)])

    # when
    with monkeypatch.context() as broken:
        broken.setattr(journal_segments, "sync_data", refuse)
        writer.maintain()

    # then
    assert state_of(writer) is JournalState.FAILED
    assert writer.reason is not None
    assert writer.reason.startswith("cannot make the journal durable: EIO")

    # when
    writer.append([frame(2)])
    clock.s = 1.0
    writer.append([frame(3)])
    writer.maintain()

    # then
    assert state_of(writer) is JournalState.OK
    assert seqs(tmp_path / "journal") == [1, 3]
    assert writer.stats().fsync.count >= 1
    writer.close()


def test_sync_of_every_second_waits_only_when_something_was_appended(
    tmp_path: Path, clock: Clock
) -> None:
    writer = a_writer(tmp_path / "journal", clock, fsync="second")
    writer.open()
    counts = []

    for records in ([frame(1)], [], [], [frame(2)], []):
        writer.append(records)
        writer.maintain()
        counts.append(writer.stats().fsync.count)

    assert counts == [1, 1, 1, 2, 2]
    writer.close()


def test_file_removed_by_someone_else_is_noticed_and_replaced(tmp_path: Path, clock: Clock) -> None:
    # given
    folder = tmp_path / "journal"
    writer = a_writer(folder, clock)
    writer.open()
    writer.append([frame(1)])

    # when
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    writer.maintain()
    noticed = state_of(writer)
    clock.s = 1.0
    writer.append([frame(2)])
    clock.s = 2.0
    writer.append([frame(3)])

    # then
    assert noticed is JournalState.FAILED
    assert state_of(writer) is JournalState.OK
    assert seqs(folder) == [3]
    writer.close()


def test_upkeep_that_has_ended_is_a_state(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    ended = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: ended.set())
    monkeypatch.setattr(Compactor, "maintain", lambda _: 1 // 0)
    writer = a_writer(tmp_path / "journal", clock, background=True)
    writer.open()

    # when
    writer.append([frame(1)])
    assert ended.wait(LIMIT_S)
    for thread in threading.enumerate():
        if thread.name == "journal-keeper":
            thread.join(LIMIT_S)

    # then
    assert state_of(writer) is JournalState.FAILED
    assert writer.reason is not None
    assert "upkeep thread has ended" in writer.reason
    writer.close()
    assert seqs(tmp_path / "journal") == [1]


def test_appends_after_close_are_counted_as_lost(tmp_path: Path, clock: Clock) -> None:
    writer = a_writer(tmp_path / "journal", clock)
    writer.open()
    writer.append([frame(1)])
    writer.close()
    writer.close()

    writer.append([frame(2)])

    assert (writer.state, writer.stats().lost_records) == (JournalState.CLOSED, 1)
    assert seqs(tmp_path / "journal") == [1]


def test_a_life_of_the_journal_leaves_no_thread_and_no_file_open(
    tmp_path: Path, clock: Clock
) -> None:
    # given
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir())) if descriptors.exists() else None

    # when
    for fsync in FSYNCS:
        writer = a_writer(tmp_path / fsync, clock, fsync=fsync, background=True)
        writer.open()
        for seq in range(1, 30):
            writer.append([big(seq)])
        writer.close()
        assert seqs(tmp_path / fsync) == list(range(1, 30))

    # then
    assert not [each for each in threading.enumerate() if each.name == "journal-keeper"]
    if before is not None:
        assert len(list(descriptors.iterdir())) == before
