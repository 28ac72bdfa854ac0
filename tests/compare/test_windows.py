"""When windows of the original begin, where their rows have holes, and what moves over a cut."""

from __future__ import annotations

from actors.compare.rows import NOTHING, Precision, Row
from actors.compare.windows import Cut, cut_at, holes, placed

S = 1_000_000
INTERVALS = {1: 5 * S, 2: 30 * S}


def row(end_s: float, start_s: float = 0, buys: int = 0, phase_id: int | None = 1) -> Row:
    figures = (buys, 0, buys, buys, 0)
    return Row(round(start_s * S), round(end_s * S), figures, phase_id=phase_id)


def starts(*rows: Row) -> list[float]:
    return [each.start_us / S for each in placed(rows, INTERVALS)]


def test_window_begins_where_the_one_before_ended() -> None:
    assert starts(row(1_000), row(1_005.2), row(1_010.9)) == [634, 1_000, 1_005.2]


def test_window_is_no_longer_than_its_interval_and_a_look() -> None:
    assert starts(row(1_000), row(1_100), row(1_200, phase_id=2)) == [634, 1_094, 1_169]


def test_phase_that_nobody_describes_has_windows_of_a_minute() -> None:
    assert starts(row(1_000), row(2_000, phase_id=9), row(3_000, phase_id=None)) == [
        634,
        1_939,
        2_939,
    ]


def test_first_window_may_hold_what_was_cached() -> None:
    """An interval, a look, and 360 s."""
    assert starts(row(1_000)) == [634]


def test_hole_ends_where_the_next_window_begins_at_the_latest() -> None:
    rows = placed([row(1_000), row(1_006), row(1_012.5), row(1_100)], INTERVALS)

    assert holes(rows) == [(1_006 * S, 1_007_500_000), (1_012_500_000, 1_095 * S)]


def test_nothing_moves_over_a_cut_that_no_window_is_near() -> None:
    rows = [row(990, 985, 3), row(1_015, 1_010, 3)]

    assert cut_at(1_000 * S, rows, rows, Precision()) == Cut()


def test_no_more_moves_than_the_smaller_of_both_sides_holds() -> None:
    theirs = [row(998, 993, 1), row(1_003, 998, 5)]
    ours = [row(1_000, 995, 2), row(1_005, 1_000, 4)]

    cut = cut_at(1_000 * S, theirs, ours, Precision())

    assert cut.most[0] == 2
    # Ours begins with the cut, and none of theirs reaches to within a second of it from before.
    assert cut.least == (0, 0, *cut.least[2:])
    assert cut_at(900 * S, theirs, ours, Precision()).most == NOTHING
