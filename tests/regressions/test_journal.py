"""The journal's keeper, in the moment in which one segment follows another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.journal.compactor import Compactor, Opened, Policy
from actors.journal.segments import Segment, create, prepare_directory

if TYPE_CHECKING:
    from pathlib import Path


def test_a_segment_that_is_just_being_replaced_is_not_missed(tmp_path: Path) -> None:
    # Given a segment that is written to, and its successor announced but not opened yet
    folder = tmp_path / "journal"
    prepare_directory(folder)
    keeper = Compactor(
        folder,
        Policy(fsync="never", max_bytes=1_000_000, max_age_hours=24),
        appended_bytes=lambda: 0,
        wall_us=lambda: 1_000,
        monotonic_s=lambda: 0.0,
    )
    first, second = Segment(1, 10), Segment(2, 20)
    keeper.expect(first)
    keeper.begin(Opened(first, create(folder, first)))
    keeper.expect(second)

    # When the keeper makes a round, which packs the first one
    keeper.maintain()

    # Then nothing is missed
    assert not (folder / first.plain).exists()
    assert (folder / first.packed).exists()
    assert keeper.sync_fault is None
    keeper.stop()
