from __future__ import annotations

from actors.tracker.coverage import MintCoverage


def test_nothing_is_covered_before_it_is_told() -> None:
    assert MintCoverage().within_us(0, 100) == 0


def test_what_is_covered_counts_from_when_it_began() -> None:
    coverage = MintCoverage()
    coverage.change(covered=True, at_us=40)
    assert coverage.on
    assert coverage.within_us(0, 100) == 60
    assert coverage.within_us(50, 100) == 50
    assert coverage.within_us(0, 30) == 0


def test_a_gap_inside_is_left_out() -> None:
    coverage = MintCoverage()
    coverage.change(covered=True, at_us=0)
    coverage.change(covered=False, at_us=30)
    coverage.change(covered=True, at_us=70)
    assert coverage.within_us(0, 100) == 60


def test_a_loss_is_dated_back() -> None:
    coverage = MintCoverage()
    coverage.change(covered=True, at_us=50)
    coverage.change(covered=False, at_us=20)
    assert not coverage.on
    assert coverage.within_us(0, 100) == 0


def test_repeating_what_is_known_changes_nothing() -> None:
    coverage = MintCoverage()
    coverage.change(covered=False, at_us=5)
    coverage.change(covered=True, at_us=10)
    coverage.change(covered=True, at_us=90)
    assert coverage.within_us(0, 100) == 90


def test_what_overlaps_is_counted_once() -> None:
    coverage = MintCoverage()
    coverage.change(covered=True, at_us=0)
    coverage.change(covered=False, at_us=60)
    coverage.change(covered=True, at_us=40)
    assert coverage.within_us(0, 100) == 100


def test_of_many_spans_the_oldest_count_as_not_covered() -> None:
    coverage = MintCoverage()
    for span in range(300):
        coverage.change(covered=True, at_us=span * 10)
        coverage.change(covered=False, at_us=span * 10 + 5)
    assert coverage.within_us(0, 3_000) == 256 * 5


def test_forgetting_keeps_what_is_still_asked_for() -> None:
    coverage = MintCoverage()
    coverage.change(covered=True, at_us=0)
    coverage.change(covered=False, at_us=10)
    coverage.change(covered=True, at_us=20)
    coverage.change(covered=False, at_us=30)
    coverage.forget_before(15)
    assert coverage.within_us(0, 100) == 10
