"""The newest raw frames of one mint: beside the writer, over segments, within bounds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from actors.domain import Mint
from actors.journal.tail import JournalFrame, frames_of
from actors.journal.writer import FactRecord, FrameRecord, JournalWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

A, B = Mint("MintA"), Mint("MintB")
START_US = 1_783_089_923_000_000


def frame(seq: int, mint: str = "MintA", filler: int = 0) -> FrameRecord:
    """A frame that arrives `seq` seconds after the start."""
    data = b'{"mint":"%b","txType":"buy","x":"%b"}' % (mint.encode(), b"x" * filler)
    return FrameRecord(seq, START_US + seq * 1_000_000, data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def writer(folder: Path) -> Iterator[JournalWriter]:
    """A writer whose segments hold about ten frames with 1,000 bytes of filler."""
    writer = JournalWriter(
        folder,
        fsync="never",
        max_bytes=10_000_000,
        max_age_hours=24,
        wall_us=lambda: START_US,
        monotonic_s=time.monotonic,
        segment_bytes=10_000,
        background=False,
    )
    writer.open()
    yield writer
    writer.close()


def seqs(folder: Path, mint: Mint = A, **bounds: int) -> tuple[list[int], bool]:
    found = frames_of(folder, mint, **bounds)
    return [each.seq for each in found.frames], found.complete


def test_frames_of_one_mint_come_back_byte_for_byte_in_order(
    folder: Path, writer: JournalWriter
) -> None:
    raw = FrameRecord(4, START_US + 4_000_000, b'{"mint":"MintA",\n"broken')
    writer.append(
        [frame(1), frame(2, "MintB"), FactRecord(2, START_US, "tracker_started", A), frame(3)]
    )
    writer.append([raw])

    found = frames_of(folder, A)

    assert found.frames == (
        JournalFrame(1, START_US + 1_000_000, b'{"mint":"MintA","txType":"buy","x":""}'),
        JournalFrame(3, START_US + 3_000_000, b'{"mint":"MintA","txType":"buy","x":""}'),
        JournalFrame(4, START_US + 4_000_000, b'{"mint":"MintA",\n"broken'),
    )
    assert found.complete


def test_journal_that_is_not_there_is_empty_and_complete(folder: Path) -> None:
    assert seqs(folder) == ([], True)


def test_newest_frames_are_gathered_over_packed_and_open_segments(
    folder: Path, writer: JournalWriter
) -> None:
    for seq in range(1, 36):
        writer.append([frame(seq, "MintA" if seq % 5 == 0 else "MintB", 1_000)])
    writer.maintain()
    assert len(list(folder.glob("*.gz"))) == 3

    assert seqs(folder, limit=3) == ([25, 30, 35], False)
    assert seqs(folder, limit=7) == ([5, 10, 15, 20, 25, 30, 35], True)
    assert seqs(folder, limit=8) == ([5, 10, 15, 20, 25, 30, 35], True)


def test_what_arrived_earlier_is_left_out_and_missed_by_nobody(
    folder: Path, writer: JournalWriter
) -> None:
    for seq in range(1, 36):
        writer.append([frame(seq, filler=1_000)])

    assert seqs(folder, since_us=START_US + 33_000_000) == ([33, 34, 35], True)


@pytest.mark.parametrize("packed", [False, True])
def test_bytes_past_the_bound_are_not_gone_through(
    folder: Path, writer: JournalWriter, *, packed: bool
) -> None:
    for seq in range(1, 36):
        writer.append([frame(seq, filler=1_000)])
    if packed:
        writer.maintain()
    line_bytes = 1_100

    newest, complete = seqs(folder, max_bytes=8 * line_bytes)

    assert newest == list(range(newest[0], 36))
    assert 7 <= len(newest) <= 8
    assert not complete


def test_line_that_is_still_being_written_is_left_out(folder: Path, writer: JournalWriter) -> None:
    writer.append([frame(1), frame(2)])
    (path,) = folder.glob("*.jsonl")
    path.write_bytes(path.read_bytes()[:-5])

    assert seqs(folder) == ([1], True)


def test_damage_is_left_out_and_said(folder: Path, writer: JournalWriter) -> None:
    for seq in range(1, 36):
        writer.append([frame(seq, filler=1_000)])
    writer.maintain()
    newest = max(folder.glob("*.gz"))
    newest.write_bytes(newest.read_bytes()[:40])

    found, complete = seqs(folder)
    assert found[-1] == 35
    assert not complete


def test_never_more_than_a_thousand_frames_are_given(folder: Path, writer: JournalWriter) -> None:
    writer.append([frame(seq) for seq in range(1, 1_202)])

    found, complete = seqs(folder, limit=10_000)
    assert (found[0], found[-1], len(found), complete) == (202, 1_201, 1_000, False)


def test_limit_of_nothing_gives_nothing(folder: Path, writer: JournalWriter) -> None:
    writer.append([frame(1)])

    assert seqs(folder, limit=0) == ([], False)
