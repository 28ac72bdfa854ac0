"""Two streams of rows become coins, within bounds; a report keeps the largest differences."""

from __future__ import annotations

import pytest

from actors.compare.judging import Rules
from actors.compare.report import CompareReport
from actors.compare.rows import Precision
from actors.compare.run import Known, OutOfOrderError, compare
from tests.compare.sides import NOON_US, S, began, hours_of, our, report, their

RULES = Rules(NOON_US, NOON_US + 3_600 * S, {1: 5 * S}, Precision())


def test_coins_of_one_side_stand_between_those_of_both() -> None:
    theirs = [their(5, 1, mint=mint) for mint in ("A", "C", "D")]
    ours = [our(0, 1, mint=mint) for mint in ("B", "C", "E")]

    found = {hour.mint: hour.reason for hour in hours_of(theirs, ours)}

    assert found == {"A": "only_theirs", "B": "only_ours", "D": "only_theirs", "E": "only_ours"}
    assert report(theirs, ours).coins == 5


@pytest.mark.parametrize("side", ["theirs", "ours"])
def test_stream_in_another_order_is_refused(side: str) -> None:
    wrong = iter([their(5, 1, mint="B"), their(5, 1, mint="A")])
    right = iter([their(5, 1, mint="A"), their(5, 1, mint="B")])

    with pytest.raises(OutOfOrderError, match="'A' came behind 'B'"):
        compare(
            wrong if side == "theirs" else right,
            right if side == "theirs" else wrong,
            Known(),
            RULES,
        )


def test_coin_of_too_many_rows_is_one_finding_with_its_sums() -> None:
    theirs = [their(5 * place, 2) for place in range(1, 11)]
    ours = [our(5 * place, 1) for place in range(4)]

    found = report([*theirs, their(5, 1, mint="B")], ours, most_rows=4)

    assert found.counts == {"other": 1, "only_theirs": 1}
    assert (found.theirs.rows, found.theirs.figures[0]) == (11, 21)
    many = found.largest()[0]
    assert many.says == "it has too many rows to look at hour by hour: ask for less time"
    assert (many.theirs.rows, many.ours.rows) == (10, 4)
    assert (many.theirs.first_us, many.theirs.last_us) == (NOON_US + 5 * S, NOON_US + 50 * S)


def test_rows_of_no_hour_that_was_asked_for_are_no_coin() -> None:
    found = report(*began([], []))

    assert (found.coins, found.hours, found.theirs.rows) == (0, 0, 0)


def test_part_of_an_hour_is_compared_where_no_more_was_asked_for() -> None:
    theirs = [their(5, 1), their(1_805, 1)]

    (hour,) = hours_of(theirs, [], since_s=1_800)

    assert (hour.from_us, hour.to_us) == (NOON_US + 1_800 * S, NOON_US + 3_600 * S)
    assert hour.theirs.rows == 1


def test_report_keeps_the_largest_of_those_that_differ_and_of_those_that_agree() -> None:
    found = CompareReport(kept=2)
    for buys in (1, 4, 2, 3):
        found.add_coin(hours_of([their(5, buys, mint=f"D{buys}")], []))
        found.add_coin(hours_of([their(6, buys, mint=f"A{buys}")], [our(0, buys, mint=f"A{buys}")]))

    assert [hour.mint for hour in found.largest()] == ["D4", "D3", "A1", "A4"]
    assert (found.hours, found.differing, found.noted) == (8, 4, 8)
    assert found.counts == {"only_theirs": 4, "windows": 4}
