"""The journal on a healthy disk: tails, rotation, compression, retention, reading."""

from __future__ import annotations

import gzip
import random
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain import Mint
from actors.journal import segments as journal_segments
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
    from pathlib import Path

    from actors.journal.records import Record

HOUR_US = 3_600_000_000
START_US = 1_783_089_923_000_000


class Clock:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.us = START_US + HOUR_US  # behind every record: time has gone on
        self.s = 0.0

    def wall_us(self) -> int:
        return self.us

    def monotonic_s(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def a_writer(
    folder: Path,
    clock: Clock,
    *,
    fsync: Fsync = "never",
    max_bytes: int = 1_000_000,
    segment_bytes: int = 100_000,
    background: bool = False,
) -> JournalWriter:
    return JournalWriter(
        folder,
        fsync=fsync,
        max_bytes=max_bytes,
        max_age_hours=24,
        wall_us=clock.wall_us,
        monotonic_s=clock.monotonic_s,
        segment_bytes=segment_bytes,
        background=background,
    )


@pytest.fixture
def writer(folder: Path, clock: Clock) -> Iterator[JournalWriter]:
    writer = a_writer(folder, clock)
    writer.open()
    yield writer
    writer.close()


def frame(seq: int, data: bytes = b'{"mint":"m","txType":"buy"}') -> FrameRecord:
    """A frame that arrives `seq` seconds after the start."""
    return FrameRecord(seq, START_US + seq * 1_000_000, data)


def seqs(folder: Path) -> list[int]:
    return [record.seq for record in JournalReader(folder).records()]


def fill(writer: JournalWriter, first: int, last: int, size: int = 0) -> None:
    for seq in range(first, last + 1):
        writer.append([frame(seq, b'"%b"' % (b"x" * size))])


# Tails


def test_empty_folder_has_an_empty_tail(folder: Path, clock: Clock) -> None:
    writer = a_writer(folder, clock)

    tail = writer.open()

    assert (tail.last_seq, tail.last_us, tail.torn_bytes, tail.next_seq) == (0, 0, 0, 1)
    writer.close()


@given(st.lists(st.lists(st.binary(), max_size=5), max_size=5))
def test_slices_of_any_bytes_come_back_over_a_restart(
    tmp_path_factory: pytest.TempPathFactory, slices: list[list[bytes]]
) -> None:
    # given
    folder, clock, seq = tmp_path_factory.mktemp("j") / "journal", Clock(), 0
    written: list[Record] = []

    # when
    for datas in slices:
        writer = a_writer(folder, clock)
        tail = writer.open()
        records = [frame(seq + 1 + place, data) for place, data in enumerate(datas)]
        seq += len(datas)
        writer.append(records)
        writer.close()
        written += records
        assert tail.torn_bytes == 0

    # then
    assert list(JournalReader(folder).records()) == written


@pytest.mark.parametrize(
    "last",
    [
        frame(3, b'{"mint":"m"}'),
        frame(3, b"not json"),
        FactRecord(3, START_US, "tracker_cut", Mint("m")),
    ],
    ids=["frame", "raw", "fact"],
)
def test_tail_torn_at_any_byte_is_cut_off_and_kept_aside(
    folder: Path, clock: Clock, last: Record
) -> None:
    # given
    first = a_writer(folder, clock)
    first.open()
    first.append([frame(1), frame(2)])
    (path,) = folder.glob("*.jsonl")
    sound = path.read_bytes()
    first.append([last])
    first.close()
    whole = path.read_bytes()

    for length in range(len(sound), len(whole) - 1):
        # when
        path.write_bytes(whole[:length])
        again = a_writer(folder, clock)
        tail = again.open()
        again.close()

        # then
        assert (tail.last_seq, tail.torn_bytes) == (2, length - len(sound))
        assert path.read_bytes() == sound
        assert (folder / f"{path.name}.torn").exists() is (length > len(sound))
    torn = (folder / f"{path.name}.torn").read_bytes()
    assert torn.endswith(whole[len(sound) : len(whole) - 2])


def test_last_line_that_lacks_only_its_line_break_is_kept(folder: Path, clock: Clock) -> None:
    # given
    first = a_writer(folder, clock)
    first.open()
    first.append([frame(1), frame(2)])
    first.close()
    (path,) = folder.glob("*.jsonl")
    path.write_bytes(path.read_bytes()[:-1])

    # when
    again = a_writer(folder, clock)
    tail = again.open()
    again.append([frame(3)])
    again.close()

    # then
    assert (tail.last_seq, tail.last_us, tail.torn_bytes) == (2, START_US + 2_000_000, 0)
    assert seqs(folder) == [1, 2, 3]


def test_zeros_after_a_loss_of_power_are_cut_off(folder: Path, clock: Clock) -> None:
    # given
    first = a_writer(folder, clock)
    first.open()
    first.append([frame(1)])
    first.close()
    (path,) = folder.glob("*.jsonl")
    path.write_bytes(path.read_bytes() + b"\0" * 5000 + b"\n" + b"\0" * 10)

    # when
    again = a_writer(folder, clock)

    # then
    assert again.open().torn_bytes == 5011
    again.close()
    assert seqs(folder) == [1]


def test_sequence_is_found_in_a_compressed_tail(folder: Path, clock: Clock) -> None:
    # given
    first = a_writer(folder, clock)
    first.open()
    fill(first, 1, 5)
    first.close()
    second = a_writer(folder, clock)
    second.open()
    second.maintain()
    second.close()
    assert [path.suffix for path in folder.glob("journal-*")] == [".gz"]

    # when
    third = a_writer(folder, clock)

    # then
    assert third.open().last_seq == 5
    third.close()


def test_clock_set_back_over_a_restart_still_begins_a_later_segment(
    folder: Path, clock: Clock
) -> None:
    # given
    first = a_writer(folder, clock)
    first.open()
    first.append([frame(100)])
    first.close()

    # when
    again = a_writer(folder, clock)
    again.open()
    again.append([FactRecord(100, START_US, "tracker_started", Mint("m"))])
    again.append([FrameRecord(101, START_US + 1, b"{}")])

    # then
    assert again.state is JournalState.OK
    again.close()
    assert seqs(folder) == [100, 100, 101]


def test_files_belong_to_their_owner_alone(folder: Path, clock: Clock) -> None:
    # given
    writer = a_writer(folder, clock, segment_bytes=100)
    writer.open()
    fill(writer, 1, 3, size=100)
    writer.maintain()
    writer.close()

    # then
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.glob("journal-*")} == {0o600}
    assert {path.suffix for path in folder.glob("journal-*")} == {".gz", ".jsonl"}


# Rotation, compression, retention


def test_segment_that_has_reached_its_size_is_followed_by_another(
    folder: Path, clock: Clock
) -> None:
    writer = a_writer(folder, clock, segment_bytes=1000)
    writer.open()
    fill(writer, 1, 6, size=600)
    writer.close()

    assert [path.name for path in sorted(folder.glob("journal-*"))] == [
        "journal-00000000000000000001-00001783089924000000.jsonl",
        "journal-00000000000000000003-00001783089926000000.jsonl",
        "journal-00000000000000000005-00001783089928000000.jsonl",
    ]


def test_segment_that_has_reached_its_age_is_followed_by_another(
    writer: JournalWriter, folder: Path
) -> None:
    writer.append([frame(1), frame(2)])
    writer.append([frame(600)])
    writer.append([frame(601)])

    assert [path.name for path in sorted(folder.glob("journal-*"))] == [
        "journal-00000000000000000001-00001783089924000000.jsonl",
        "journal-00000000000000000601-00001783090524000000.jsonl",
    ]
    assert seqs(folder) == [1, 2, 600, 601]


def test_only_closed_segments_are_compressed(folder: Path, clock: Clock) -> None:
    writer = a_writer(folder, clock, segment_bytes=1000)
    writer.open()
    fill(writer, 1, 5, size=600)

    writer.maintain()

    suffixes = [path.suffix for path in sorted(folder.glob("journal-*"))]
    assert suffixes == [".gz", ".gz", ".jsonl"]
    assert seqs(folder) == [1, 2, 3, 4, 5]
    assert writer.stats().bytes == sum(path.stat().st_size for path in folder.glob("journal-*"))
    writer.close()


def test_compression_cut_short_by_a_crash_leaves_every_record_once(
    folder: Path, clock: Clock
) -> None:
    # given: a crash after the compressed file appeared and before the plain one went
    first = a_writer(folder, clock, segment_bytes=1000)
    first.open()
    fill(first, 1, 3, size=600)
    first.close()
    plain = min(folder.glob("*.jsonl"))
    (folder / f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
    (folder / f"{plain.name}.gz.tmp").write_bytes(b"half")

    # when
    assert seqs(folder) == [1, 2, 3]
    again = a_writer(folder, clock)
    again.open()
    again.maintain()
    again.close()

    # then
    assert seqs(folder) == [1, 2, 3]
    assert {path.suffix for path in folder.glob("journal-*")} == {".gz"}


def test_old_segments_go_once_they_are_released_and_not_before(folder: Path, clock: Clock) -> None:
    # given
    writer = a_writer(folder, clock, segment_bytes=1000)
    writer.open()
    fill(writer, 1, 6, size=600)

    # when
    clock.us = START_US + 100 * HOUR_US
    writer.maintain()

    # then
    assert seqs(folder) == [1, 2, 3, 4, 5, 6]

    # when: the second segment begins with frame 3, the third with frame 5
    writer.release_before(START_US + 5_000_000)
    writer.release_before(START_US)
    writer.maintain()

    # then
    assert seqs(folder) == [3, 4, 5, 6]

    # when
    writer.release_before(START_US + 5_000_001)
    writer.maintain()

    # then
    assert seqs(folder) == [5, 6]
    writer.close()


def test_released_segments_stay_until_they_are_old(folder: Path, clock: Clock) -> None:
    writer = a_writer(folder, clock, segment_bytes=1000)
    writer.open()
    fill(writer, 1, 6, size=600)
    writer.release_before(START_US + HOUR_US)

    clock.us = START_US + 24 * HOUR_US
    writer.maintain()

    assert seqs(folder) == [1, 2, 3, 4, 5, 6]
    writer.close()


def test_the_newest_segment_is_never_removed(folder: Path, clock: Clock) -> None:
    # given
    first = a_writer(folder, clock)
    first.open()
    fill(first, 1, 3)
    first.close()

    # when
    clock.us = START_US + 100 * HOUR_US
    again = a_writer(folder, clock)
    again.open()
    again.release_before(clock.us)
    again.maintain()
    again.close()

    # then
    assert seqs(folder) == [1, 2, 3]


def noise(seq: int) -> FrameRecord:
    """A frame of 1,050 bytes that gzip makes about 800 of."""
    return frame(seq, random.Random(seq).randbytes(748))


def test_at_the_cap_the_journal_is_full_until_its_oldest_segments_are_released(
    folder: Path, clock: Clock
) -> None:
    # given
    writer = a_writer(folder, clock, max_bytes=8000, segment_bytes=1000)
    writer.open()
    states = []

    # when
    for seq in range(1, 11):
        writer.append([noise(seq)])
        writer.maintain()
        states.append(str(writer.state))

    # then
    assert states == ["ok"] * 9 + ["full"]
    assert seqs(folder) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]

    # when: frames 1 to 4 are in rows; giving up one of them is enough
    writer.release_before(START_US + 5_000_000)
    writer.maintain()

    # then
    assert writer.state is JournalState.OK
    assert seqs(folder) == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert writer.stats().oldest_us == START_US + 2_000_000
    writer.close()


def test_frames_are_refused_and_counted_beyond_the_cap_and_one_segment(
    folder: Path, clock: Clock
) -> None:
    # given
    writer = a_writer(folder, clock, max_bytes=8000, segment_bytes=1000)
    writer.open()

    # when: every line has 1,056 bytes, and nothing is compressed or released
    fill(writer, 1, 12, size=1000)

    # then
    stats = writer.stats()
    assert (stats.state, stats.appended_records, stats.lost_records) == (JournalState.FULL, 9, 3)
    assert stats.reason is not None
    assert "cap of 8000 bytes" in stats.reason
    assert seqs(folder) == [1, 2, 3, 4, 5, 6, 7, 8, 9]

    # when
    writer.maintain()
    fill(writer, 13, 13)

    # then
    assert writer.state is JournalState.OK
    gap = next(
        record for record in JournalReader(folder).records() if isinstance(record, FactRecord)
    )
    assert (gap.name, gap.seq, gap.details) == ("journal_gap", 9, {"lost": 3})
    assert seqs(folder)[-2:] == [9, 13]
    writer.close()


# Reading


def test_reader_begins_at_a_time_or_a_sequence_number_and_ends_before_one(
    folder: Path, clock: Clock
) -> None:
    # given
    writer = a_writer(folder, clock, segment_bytes=300)
    writer.open()
    fill(writer, 1, 20, size=100)
    writer.maintain()
    writer.close()
    reader = JournalReader(folder)

    # then
    since_us = reader.records(since_us=START_US + 15_500_000)
    assert [record.seq for record in since_us] == [16, 17, 18, 19, 20]
    between = reader.records(since_seq=7, before_seq=11)
    assert [record.seq for record in between] == [7, 8, 9, 10]
    assert [record.seq for record in reader.records(since_seq=21)] == []


def test_reader_skips_segments_by_their_names(folder: Path, clock: Clock) -> None:
    # given
    writer = a_writer(folder, clock, segment_bytes=300)
    writer.open()
    fill(writer, 1, 20, size=100)
    writer.close()
    oldest = min(folder.glob("journal-*"))
    oldest.write_bytes(b"unreadable\n" * 10)
    reader = JournalReader(folder)

    # then
    assert [record.seq for record in reader.records(since_us=START_US + 19_000_000)] == [19, 20]
    assert [record.seq for record in reader.records(since_seq=20)] == [20]
    assert reader.last(1) == [frame(20, b'"%b"' % (b"x" * 100))]
    assert reader.unreadable_lines == 0


def test_reader_gives_the_frames_and_facts_of_one_mint(writer: JournalWriter, folder: Path) -> None:
    # given
    mine = frame(2, b'{"mint":"mine","txType":"buy"}')
    raw = frame(3, b'{"mint":"mine","x":NaN}')
    started = FactRecord(3, START_US + 3_000_001, "tracker_started", Mint("mine"), {"phase": 1})
    writer.append([frame(1, b'{"mint":"other","name":"mine"}'), mine, raw, started, frame(4)])

    # then
    reader = JournalReader(folder)
    assert list(reader.records(mint=Mint("mine"))) == [mine, raw, started]
    assert reader.last(2, mint=Mint("mine")) == [raw, started]


def test_walk_in_steps_gives_way_where_nothing_is_about_the_mint(
    writer: JournalWriter, folder: Path
) -> None:
    mine = {2_500: b'{"mint":"mine"}', 2_600: b'{"mint":"mine"}', 2_700: b'{"mint":"mine"}'}
    for first in range(1, 3_000, 100):
        writer.append([frame(seq, mine.get(seq, b"{}")) for seq in range(first, first + 100)])

    reader = JournalReader(folder)
    walk = reader.steps(since_us=START_US, before_seq=2_700, mint=Mint("mine"))
    assert [None if each is None else each.seq for each in walk] == [None, None, 2_500, 2_600]
    later = reader.steps(since_us=START_US + 2_600_000_000, mint=Mint("mine"))
    assert [each.seq for each in later if each is not None] == [2_600, 2_700]


def test_newest_records_are_gathered_over_segments(folder: Path, clock: Clock) -> None:
    writer = a_writer(folder, clock, segment_bytes=300)
    writer.open()
    fill(writer, 1, 20, size=100)
    writer.maintain()
    writer.close()
    reader = JournalReader(folder)

    assert [record.seq for record in reader.last(6)] == [15, 16, 17, 18, 19, 20]
    recent = reader.last(100, since_us=START_US + 18_000_000)
    assert [record.seq for record in recent] == [18, 19, 20]
    assert reader.last(0) == []


def test_damage_inside_is_skipped_and_counted(folder: Path, clock: Clock) -> None:
    # given: three segments, one with a bad line and a torn one, one whose compressed file is cut
    writer = a_writer(folder, clock, segment_bytes=300)
    writer.open()
    fill(writer, 1, 3, size=300)
    writer.close()
    first, second, _ = sorted(folder.glob("journal-*"))
    first.write_bytes(b"\0\0\n" + first.read_bytes() + b'{"received_at": 17')
    packed = gzip.compress(second.read_bytes())
    (folder / f"{second.name}.gz").write_bytes(packed[: len(packed) // 2])
    second.unlink()
    reader = JournalReader(folder)

    # then
    assert [record.seq for record in reader.records()] == [1, 3]
    assert (reader.unreadable_lines, reader.unreadable_segments) == (2, 1)


def test_walk_that_is_left_early_closes_its_file(writer: JournalWriter, folder: Path) -> None:
    writer.append([frame(1), frame(2)])
    walk = JournalReader(folder).records()

    assert next(walk).seq == 1
    walk.close()  # type: ignore[attr-defined]  # an unclosed file would be a ResourceWarning


def test_walk_goes_on_while_segments_are_rotated_compressed_and_removed(
    folder: Path, clock: Clock
) -> None:
    # given
    writer = a_writer(folder, clock, segment_bytes=1000)
    writer.open()
    fill(writer, 1, 2, size=600)
    walk = JournalReader(folder).records()

    # when: the segment being read is compressed and removed, and more follow
    first = next(walk)
    fill(writer, 3, 9, size=600)
    writer.release_before(START_US + 6_000_000)
    clock.us = START_US + 100 * HOUR_US
    writer.maintain()

    # then
    assert [first.seq, *(record.seq for record in walk)] == [1, 2, 5, 6, 7, 8, 9]
    writer.close()


def test_lines_added_between_the_end_of_a_file_and_the_next_segment_are_not_missed(
    folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a reader that has come to the end of the only segment
    writer = a_writer(folder, clock, segment_bytes=1000)
    writer.open()
    fill(writer, 1, 1, size=300)
    walk = JournalReader(folder).records()
    found = [next(walk).seq]
    list_segments = journal_segments.list_segments

    def list_after_more_was_written(directory: Path) -> tuple[journal_segments.Segment, ...]:
        if writer.stats().appended_records == 1:
            fill(writer, 2, 5, size=300)
        return list_segments(directory)

    # when: frames 2 and 3 end that segment just before the reader looks for the next one
    monkeypatch.setattr(journal_segments, "list_segments", list_after_more_was_written)
    found += [record.seq for record in walk]

    # then
    assert found == [1, 2, 3, 4, 5]
    writer.close()


@pytest.mark.parametrize("fsync", ["slice", "second", "never"])
def test_readers_beside_a_writer_see_everything_without_holes(folder: Path, fsync: Fsync) -> None:
    # given
    clock = Clock()
    writer = a_writer(
        folder, clock, fsync=fsync, max_bytes=100_000_000, segment_bytes=5000, background=True
    )
    writer.open()
    acknowledged = rounds = 0
    holes: list[tuple[int, list[int]]] = []
    done = threading.Event()

    def read() -> None:
        nonlocal rounds
        while not done.is_set():
            known = acknowledged
            first = max(1, known - 300)
            walk = JournalReader(folder).records(since_seq=first, before_seq=known + 200)
            found = [each.seq for each in walk]
            rounds += 1
            if found != list(range(first, first + len(found))) or len(found) <= known - first:
                holes.append((known, found))

    thread = threading.Thread(target=read)
    thread.start()

    # when: until there were 20 walks, each from behind the writer to beyond it
    while (rounds < 20 or acknowledged < 1500) and acknowledged < 100_000:
        writer.append([frame(acknowledged + 1)])
        acknowledged += 1
    done.set()
    thread.join(60)

    # then
    assert not thread.is_alive()
    assert holes == []
    assert rounds >= 20
    assert seqs(folder) == list(range(1, acknowledged + 1))
    stats = writer.stats()
    writer.close()
    assert (stats.state, stats.appended_records, stats.lost_records) == ("ok", acknowledged, 0)
    assert writer.state is JournalState.CLOSED
    assert not [each for each in threading.enumerate() if each.name == "journal-keeper"]
