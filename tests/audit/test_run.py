"""One pass over a journal on disk, with rows given as a list."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from actors.audit.facts import released_us, set_back_us
from actors.audit.figures import Row
from actors.audit.run import Question, audit
from actors.journal.writer import FactRecord, FrameRecord, JournalWriter

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from actors.audit.report import AuditReport

S = 1_000_000
T0 = 1_790_000_000 * S
A = "MintA"


class Listed:
    """Rows out of a list."""

    def __init__(self, *rows: Row, tracked: frozenset[str] = frozenset()) -> None:
        self._rows = sorted(rows, key=lambda row: row.start_us)
        self._tracked = tracked
        self.most = 0
        """Rows given at once."""

    def longest_window_s(self) -> int:
        return 60

    def rows(self, from_us: int, to_us: int, mints: Sequence[str] | None) -> Sequence[Row]:
        found = [row for row in self._rows if from_us <= row.start_us < to_us]
        self.most = max(self.most, len(found))
        return found

    def rows_over(self, at_us: int, mints: Sequence[str] | None) -> Sequence[Row]:
        return [row for row in self._rows if row.start_us < at_us < row.end_us]

    def count_rows(self, from_us: int, to_us: int, mints: Sequence[str] | None) -> int:
        return sum(from_us < row.end_us <= to_us for row in self._rows)

    def creators(self, mints: Sequence[str]) -> Mapping[str, str]:
        return {}

    def tracked_before(self, at_us: int, mints: Sequence[str] | None) -> frozenset[str]:
        return self._tracked

    def set_aside(
        self, from_us: int, to_us: int | None, mints: Sequence[str] | None
    ) -> Mapping[str, tuple[tuple[int, int], ...]]:
        return {}


def buy(seq: int, at_s: float, mint: str = A) -> FrameRecord:
    frame = {
        "signature": f"Sig{seq}",
        "mint": mint,
        "traderPublicKey": "Wallet",
        "txType": "buy",
        "tokenAmount": 1000,
        "solAmount": 0.5,
        "pool": "bonk",
    }
    return FrameRecord(seq, T0 + round(at_s * S), json.dumps(frame).encode())


def fact(name: str, at_us: int, mint: str | None = A, **details: Any) -> FactRecord:
    return FactRecord(0, at_us, name, None if mint is None else mint, details)  # type: ignore[arg-type]


def released(at_s: float) -> FactRecord:
    return fact("released", T0 + round(at_s * S), None, before_us=T0 + round(at_s * S))


def write(folder: Path, *records: FrameRecord | FactRecord, clock_s: float = 86_400) -> None:
    journal = JournalWriter(
        folder / "journal",
        fsync="never",
        max_bytes=1 << 30,
        max_age_hours=24,
        # A journal that is ahead of its clock is set back.
        wall_us=lambda: T0 + round(clock_s * S),
        monotonic_s=time.monotonic,
        background=False,
    )
    journal.open()
    for record in records:
        journal.append((record,))
    journal.close()


def through(steps: Generator[None, None, Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def audited(folder: Path, rows: Listed, since_s: float = -3_600, **question: Any) -> dict[str, int]:
    asked = Question(since_us=T0 + round(since_s * S), **question)
    report: AuditReport = through(audit(folder, rows, asked))
    return {verdict.value: count for verdict, count in report.counts.items()}


def row(start_s: float, end_s: float) -> Row:
    values: dict[str, Any] = {"num_buys": 99}
    return Row(A, T0 + round(start_s * S), T0 + round(end_s * S), 5, values)


def test_tracking_that_began_before_the_first_frame_counts(tmp_path: Path) -> None:
    write(tmp_path, fact("tracker_started", 0), buy(1, 1), released(60))

    assert audited(tmp_path, Listed()) == {"missing": 1}


def test_rows_from_before_the_first_frame_are_unchecked(tmp_path: Path) -> None:
    write(tmp_path, fact("tracker_started", 0), buy(1, 600), released(660))

    assert audited(tmp_path, Listed(row(5, 10))) == {"unchecked": 1, "missing": 1}


def test_journal_without_a_record_gives_an_empty_report(tmp_path: Path) -> None:
    assert audited(tmp_path, Listed()) == {}


def test_nothing_is_missing_that_nobody_has_released(tmp_path: Path) -> None:
    write(tmp_path, fact("tracker_started", T0), buy(1, 1))

    assert audited(tmp_path, Listed()) == {"pending": 1}


def test_orderly_end_releases_everything_before_it(tmp_path: Path) -> None:
    write(tmp_path, fact("tracker_started", T0), buy(1, 1), fact("drained", T0 + S, None))

    assert audited(tmp_path, Listed()) == {"missing": 1}


@pytest.mark.parametrize("mints", [None, frozenset({A})])
def test_trades_of_one_mint_or_of_all(mints: frozenset[str] | None, tmp_path: Path) -> None:
    write(
        tmp_path,
        fact("tracker_started", T0),
        fact("tracker_started", T0, "MintB"),
        buy(1, 1),
        buy(2, 2, "MintB"),
        released(60),
    )

    found = audited(tmp_path, Listed(), mints=mints)

    assert found == {"missing": 2 if mints is None else 1}


def test_lost_records_leave_the_window_unchecked(tmp_path: Path) -> None:
    write(
        tmp_path,
        fact("tracker_started", T0),
        buy(1, 1),
        fact("journal_gap", T0 + 12 * S, None, lost=3),
        released(60),
    )

    assert audited(tmp_path, Listed(row(5, 10))) == {"unchecked": 1, "missing": 1}


def test_damaged_line_leaves_the_window_unchecked(tmp_path: Path) -> None:
    write(tmp_path, fact("tracker_started", T0), buy(1, 1), buy(2, 7), buy(3, 12), released(60))
    (path,) = (tmp_path / "journal").glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b"not a record\n"
    path.write_bytes(b"".join(lines))

    assert audited(tmp_path, Listed(row(5, 10)))["unchecked"] == 1


def test_rows_from_before_the_first_frame_that_reach_into_it_are_unchecked(
    tmp_path: Path,
) -> None:
    write(tmp_path, fact("tracker_started", 0), buy(1, 600), buy(2, 700), released(760))

    found = audited(tmp_path, Listed(row(5, 10), row(300, 650)))

    assert found == {"unchecked": 2, "missing": 1}


def test_windows_from_long_before_the_journal_are_counted_and_not_read(tmp_path: Path) -> None:
    write(tmp_path, fact("tracker_started", 0), buy(1, 3_000), released(3_060))
    rows = Listed(*(row(start_s, start_s + 5) for start_s in range(0, 3_000, 5)))

    assert audited(tmp_path, rows) == {"unchecked": 600, "missing": 1}
    assert rows.most == 0


def test_rows_are_read_ten_seconds_at_a_time_where_no_frame_arrived(tmp_path: Path) -> None:
    write(tmp_path, buy(1, 0), buy(2, 3_000), released(3_060))
    rows = Listed(*(row(start_s, start_s + 5) for start_s in range(5, 3_000, 5)))

    assert audited(tmp_path, rows) == {"extra": 599}
    assert rows.most == 2


def set_back_by_a_minute(folder: Path) -> None:
    """Write frames of 60 s to 70 s, and go on under a clock that says 10 s."""
    write(
        folder,
        fact("tracker_started", T0 + 60 * S),
        *(buy(60 + second, 60 + second) for second in range(11)),
        clock_s=60,
    )
    write(folder, buy(100, 20), released(90), clock_s=10)


def test_clock_that_was_set_back_leaves_what_came_before_unchecked(tmp_path: Path) -> None:
    set_back_by_a_minute(tmp_path)

    found = audited(tmp_path, Listed(row(3, 5), row(9, 12), row(12, 15)))

    # One run of trades that are in no row, one window that ended before and one that began so.
    assert found == {"unchecked": 3, "extra": 1, "missing": 1}


def test_clock_that_was_set_back_is_known_before_the_time_asked_for_ends(tmp_path: Path) -> None:
    set_back_by_a_minute(tmp_path)
    write(tmp_path, buy(200, 200), released(260))

    found = audited(tmp_path, Listed(row(3, 5)), until_us=T0 + 6 * S)

    assert found.keys() == {"unchecked"}


def test_journal_that_was_set_back_says_where(tmp_path: Path) -> None:
    set_back_by_a_minute(tmp_path)

    assert through(set_back_us(tmp_path / "journal")) == T0 + 10 * S - 1


def test_journal_that_was_never_set_back_says_so(tmp_path: Path) -> None:
    write(tmp_path, buy(1, 1), released(60))

    assert through(set_back_us(tmp_path / "journal")) == 0


def test_tracking_from_before_the_part_that_is_read_is_known_from_the_tables(
    tmp_path: Path,
) -> None:
    write(tmp_path, buy(1, 1), buy(2, 2_000), released(2_060))
    rows = Listed(tracked=frozenset({A}))

    assert audited(tmp_path, rows, since_s=1_900) == {"missing": 1}


def test_end_of_the_time_asked_for_is_no_part_of_it(tmp_path: Path) -> None:
    write(tmp_path, fact("tracker_started", T0), buy(1, 1), buy(2, 5), released(60))

    assert audited(tmp_path, Listed(), until_us=T0 + 5 * S) == {"missing": 1}


def test_release_is_found_in_an_earlier_segment(tmp_path: Path) -> None:
    write(tmp_path, fact("tracker_started", T0), buy(1, 1), released(60))
    write(tmp_path, buy(2, 70))

    assert through(released_us(tmp_path / "journal", T0)) == T0 + 60 * S
