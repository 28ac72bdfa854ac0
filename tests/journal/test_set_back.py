"""A journal that was written under a clock that was ahead."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from actors.domain import Mint
from actors.journal.numbering import SPARE_NUMBERS
from actors.journal.set_back import KEPT, ClockAheadError, finish_interrupted
from actors.journal.writer import (
    FactRecord,
    FrameRecord,
    JournalReader,
    JournalState,
    JournalWriter,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from actors.journal.records import Record

NOW_US = 1_783_089_923_000_000
HOUR_US = 3_600_000_000
M = Mint("m")


def a_writer(folder: Path, now_us: int) -> JournalWriter:
    return JournalWriter(
        folder,
        fsync="never",
        max_bytes=1_000_000,
        max_age_hours=24,
        wall_us=lambda: now_us,
        monotonic_s=lambda: 0.0,
        background=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def keep(folder: Path, records: Sequence[Record], now_us: int) -> None:
    writer = a_writer(folder, now_us)
    writer.open()
    writer.append(records)
    writer.close()


def ahead(folder: Path) -> list[Path]:
    return sorted(folder.parent.glob("journal-ahead-*"))


def test_newest_record_ends_one_microsecond_before_now_and_distances_stay(folder: Path) -> None:
    start_us = NOW_US + HOUR_US
    keep(
        folder,
        [FrameRecord(1, start_us, b'{"a":1}'), FrameRecord(2, start_us + 7_000, b"{}")],
        start_us,
    )

    writer = a_writer(folder, NOW_US)
    tail = writer.open()
    writer.close()

    assert (tail.last_seq, tail.last_us) == (2, NOW_US - 1)
    assert tail.set_back_us == HOUR_US + 7_001
    assert list(JournalReader(folder).records()) == [
        FrameRecord(1, NOW_US - 7_001, b'{"a":1}'),
        FrameRecord(2, NOW_US - 1, b"{}"),
        FactRecord(2, NOW_US - 1, "clock_set_back", None, {"by_us": HOUR_US + 7_001}),
    ]


def test_journal_as_it_was_is_kept_beside_the_new_one(folder: Path) -> None:
    frame = FrameRecord(1, NOW_US + HOUR_US, b"{}")
    keep(folder, [frame], NOW_US + HOUR_US)

    a_writer(folder, NOW_US).open()

    (kept,) = ahead(folder)
    assert list(JournalReader(kept).records()) == [frame]


def test_at_most_two_old_journals_are_kept(folder: Path) -> None:
    for hours in (4, 3, 2, 1):
        keep(
            folder,
            [FrameRecord(9 - hours, NOW_US + hours * HOUR_US, b"{}")],
            NOW_US + hours * HOUR_US,
        )

    a_writer(folder, NOW_US).open()

    assert len(ahead(folder)) == KEPT == 2


def test_only_what_a_replay_needs_is_written_anew(folder: Path) -> None:
    start_us = NOW_US + HOUR_US
    minute_us = 60_000_000
    records: list[Record] = [
        FrameRecord(seq, start_us + seq * minute_us, b'{"mint":"m"}') for seq in range(30)
    ]
    records.append(
        FactRecord(
            29,
            start_us + 29 * minute_us,
            "released",
            None,
            {"before_us": start_us + 25 * minute_us},
        )
    )
    keep(folder, records, start_us)

    a_writer(folder, NOW_US).open()

    found = list(JournalReader(folder).records())
    assert [each.seq for each in found if isinstance(each, FrameRecord)] == list(range(15, 30))
    (note,) = [each for each in found if isinstance(each, FactRecord) and each.name == "released"]
    assert note.details == {"before_us": NOW_US - 1 - 4 * minute_us}


def test_times_inside_facts_are_set_back_too(folder: Path) -> None:
    start_us = NOW_US + HOUR_US
    facts: list[Record] = [
        FactRecord(1, start_us, "tracker_started", M, {"rows_end_us": start_us - 5}),
        FactRecord(1, start_us, "frame_left_out", None, {"frame_us": start_us - 3}),
        FactRecord(1, start_us, "tracker_stopped", M, {"through_seq": 1}),
    ]
    keep(folder, facts, start_us)

    a_writer(folder, NOW_US).open()

    found = [
        each.details for each in JournalReader(folder).records() if isinstance(each, FactRecord)
    ]
    assert found[:3] == [
        {"rows_end_us": NOW_US - 6},
        {"frame_us": NOW_US - 4},
        {"through_seq": 1},
    ]


def test_clock_that_is_behind_by_a_second_changes_nothing(folder: Path) -> None:
    frame = FrameRecord(1, NOW_US + 1_000_000, b"{}")
    keep(folder, [frame], NOW_US + 1_000_000)

    tail = a_writer(folder, NOW_US).open()

    assert (tail.last_us, tail.set_back_us) == (NOW_US + 1_000_000, 0)
    assert list(JournalReader(folder).records()) == [frame]
    assert ahead(folder) == []


def test_numbers_keep_their_name(folder: Path) -> None:
    first = a_writer(folder, NOW_US + HOUR_US)
    before = first.open()
    first.append([FrameRecord(1, NOW_US + HOUR_US, b"{}")])
    first.close()

    after = a_writer(folder, NOW_US).open()

    assert after.journal_id == before.journal_id > 0
    assert after.set_back_us > 0


def test_new_journal_that_was_not_put_in_place_is_put_there(folder: Path) -> None:
    frame = FrameRecord(1, NOW_US, b"{}")
    keep(folder, [frame], NOW_US)
    folder.rename(folder.with_name("journal.set-back"))

    a_writer(folder, NOW_US).open()

    assert list(JournalReader(folder).records()) == [frame]


def test_new_journal_that_may_not_be_whole_is_given_up(folder: Path) -> None:
    frame = FrameRecord(1, NOW_US, b"{}")
    keep(folder, [frame], NOW_US)
    keep(folder.with_name("journal.set-back"), [], NOW_US)

    finish_interrupted(folder)

    assert list(JournalReader(folder).records()) == [frame]
    assert not folder.with_name("journal.set-back").exists()


# Numbers.


def test_numbers_go_on_without_a_gap_behind_a_journal_that_was_closed(folder: Path) -> None:
    keep(folder, [FrameRecord(41, NOW_US, b"{}")], NOW_US)

    assert a_writer(folder, NOW_US).open().next_seq == 42


def test_numbers_are_left_out_behind_a_journal_that_was_not_closed(folder: Path) -> None:
    writer = a_writer(folder, NOW_US)
    writer.open()
    writer.append([FrameRecord(41, NOW_US, b"{}")])

    assert a_writer(folder, NOW_US).open().next_seq >= 42 + SPARE_NUMBERS


def test_numbers_are_left_out_in_a_copy_of_a_journal_that_was_closed(folder: Path) -> None:
    keep(folder, [FrameRecord(41, NOW_US, b"{}")], NOW_US)
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)

    first, second = a_writer(copy, NOW_US).open(), a_writer(folder, NOW_US).open()

    assert first.next_seq >= 42 + SPARE_NUMBERS
    assert (second.next_seq, second.journal_id) == (42, first.journal_id)


def test_numbers_are_left_out_where_the_end_of_a_closed_journal_is_missing(folder: Path) -> None:
    keep(folder, [FrameRecord(41, NOW_US, b"{}"), FrameRecord(42, NOW_US + 1, b'{"b":2}')], NOW_US)
    (segment,) = folder.glob("journal-*.jsonl")
    segment.write_bytes(segment.read_bytes().splitlines(keepends=True)[0])

    assert a_writer(folder, NOW_US).open().next_seq >= 42 + SPARE_NUMBERS


def test_an_id_that_cannot_be_read_is_drawn_anew(folder: Path) -> None:
    first = a_writer(folder, NOW_US).open().journal_id
    (folder / "id").write_text("rubbish")

    second = a_writer(folder, NOW_US).open().journal_id

    assert 0 < second < 2**31
    assert second != first


def test_a_journal_without_an_id_gets_one_and_says_from_when_on_it_numbers(folder: Path) -> None:
    keep(folder, [FrameRecord(41, NOW_US, b"{}")], NOW_US)
    (folder / "id").unlink()

    assert a_writer(folder, NOW_US).open().unnumbered_seq == 41
    keep(folder, [FrameRecord(52, NOW_US + 1, b"{}")], NOW_US + 1)
    assert a_writer(folder, NOW_US + 1).open().unnumbered_seq == 41


def test_a_tail_that_cannot_be_repaired_costs_no_id(folder: Path) -> None:
    first = a_writer(folder, NOW_US)
    known = first.open()
    first.append([FrameRecord(41, NOW_US, b"{}")])
    first.close()
    (segment,) = folder.glob("journal-*.jsonl")
    segment.write_bytes(segment.read_bytes() + b"half a li")
    # Where a repair would put what it cuts off, nothing can be written.
    segment.with_suffix(".jsonl.torn").mkdir()

    again = a_writer(folder, NOW_US)
    tail = again.open()

    assert again.state is JournalState.FAILED
    assert (tail.journal_id, tail.unnumbered_seq) == (known.journal_id, 0)


def test_an_id_that_the_disk_does_not_give_leaves_all_numbers_unnamed(folder: Path) -> None:
    keep(folder, [FrameRecord(41, NOW_US, b"{}")], NOW_US)
    (folder / "id").unlink()
    (folder / "id").mkdir()

    tail = a_writer(folder, NOW_US).open()

    assert (tail.journal_id, tail.unnumbered_seq) == (0, 41)


def test_a_journal_that_cannot_be_set_back_is_refused_with_a_sentence(folder: Path) -> None:
    keep(folder, [FrameRecord(1, NOW_US + HOUR_US, b"{}")], NOW_US + HOUR_US)
    # A file stands where the new journal would be written.
    folder.with_name("journal.set-back").write_text("")

    with pytest.raises(ClockAheadError, match=r"3600 s ahead of now, and cannot be set back"):
        a_writer(folder, NOW_US).open()

    assert [each.at_us for each in JournalReader(folder).records()] == [NOW_US + HOUR_US]
