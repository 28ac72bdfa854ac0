from __future__ import annotations

import pytest

from actors.domain import Phase
from actors.tracker.lifecycle import Lifecycle
from actors.tracker.phases import (
    Window,
    cell_end_us,
    phase_at,
    phase_warnings,
    reach_back,
    regular,
    window_of,
)
from tests.tracker.builders import BABY, FINISHED, MATURE, PHASES, SURVIVAL, at

MINUTE_US = 60_000_000
LADDER = regular(PHASES)


@pytest.mark.parametrize(
    ("seconds", "interval", "end"),
    [(0, 5, 5), (4.999999, 5, 5), (5, 5, 10), (29.9, 30, 30), (30, 30, 60), (61, 60, 120)],
)
def test_a_cell_ends_strictly_behind_its_instants(seconds: float, interval: int, end: int) -> None:
    assert cell_end_us(at(seconds), interval) == at(end)


def test_the_grid_counts_from_1970() -> None:
    assert cell_end_us(1, 7) == 7_000_000
    assert cell_end_us(1_700_000_001_000_000, 7) == 1_700_000_008_000_000


def test_a_window_is_the_cell_of_its_instant() -> None:
    assert window_of(at(7), BABY, at(0)) == Window(at(5), at(10), 1, 5)


def test_a_window_begins_where_the_span_before_ended_inside_its_cell() -> None:
    assert window_of(at(9), BABY, at(7.5)) == Window(at(7.5), at(10), 1, 5)


def test_the_first_window_of_a_longer_interval_runs_to_the_next_boundary() -> None:
    assert window_of(at(41), SURVIVAL, at(40)) == Window(at(40), at(60), 2, 30)


def test_an_instant_before_the_last_span_gets_the_window_behind_it() -> None:
    assert window_of(at(3), BABY, at(20)) == Window(at(20), at(25), 1, 5)


def test_a_window_reaches_back_to_the_cell_of_an_earlier_instant() -> None:
    window = Window(at(10), at(15), 1, 5)
    assert reach_back(window, at(3), at(0)) == Window(at(0), at(15), 1, 5)
    assert reach_back(window, at(3), at(2)) == Window(at(2), at(15), 1, 5)


@pytest.mark.parametrize(
    ("current", "age_min", "expected"),
    [
        (1, -5, 1),
        (1, 0, 1),
        (1, 9.99, 1),
        (1, 10, 2),
        (1, 59.9, 2),
        (1, 60, 3),
        (1, 1440, 99),
        (2, 0, 2),
        (2, 70, 3),
        (3, 5, 3),
        (3, 1440, 99),
        (99, 0, 99),
        (100, 0, 100),
    ],
)
def test_a_coin_goes_to_the_first_later_phase_that_outlasts_its_age(
    current: int, age_min: float, expected: int
) -> None:
    assert phase_at(LADDER, current, round(age_min * MINUTE_US)) == expected


def test_a_deleted_phase_is_left_for_the_next_higher_one() -> None:
    assert phase_at(regular((BABY, MATURE)), 2, 20 * MINUTE_US) == 3
    assert phase_at(regular((BABY, SURVIVAL)), 3, 20 * MINUTE_US) == 99


def test_overlapping_phases_are_accepted_with_a_warning() -> None:
    long_baby = Phase(1, "Baby Zone", 5, 0, 30)
    assert phase_at(regular((long_baby, SURVIVAL)), 1, 20 * MINUTE_US) == 1
    [warning] = phase_warnings((long_baby, SURVIVAL, MATURE))
    assert warning == (
        "Phases 1 (Baby Zone) and 2 (Survival Zone) overlap: 1 lasts until 30 min, "
        "2 begins at 10 min."
    )
    assert phase_warnings(PHASES) == ()


def test_a_phase_without_an_interval_is_ignored_with_a_warning() -> None:
    broken = Phase(2, "Broken", 0, 10, 60)
    assert regular((BABY, broken, MATURE, FINISHED)) == (BABY, MATURE)
    assert phase_warnings((BABY, broken, MATURE)) == (
        "Phase 2 (Broken) has an interval of 0 s and is ignored; give it at least 1 s.",
    )


def _life(*, phase_id: int = 1, offset_min: int = 0, created: float | None = None) -> Lifecycle:
    return Lifecycle(
        PHASES,
        phase_id,
        started_us=at(0),
        created_us=None if created is None else at(created),
        age_offset_us=offset_min * MINUTE_US,
    )


def test_age_counts_from_the_create_when_it_is_known() -> None:
    assert _life().outlived_us == at(600)
    assert _life(created=-120).outlived_us == at(480)


def test_the_age_offset_is_taken_off_the_age() -> None:
    life = _life(offset_min=60)
    assert life.outlived_us == at(4_200)
    assert not life.advance(at(4_199))
    assert life.advance(at(4_200))
    assert life.phase_id == 2


def test_the_last_phase_leads_to_the_end() -> None:
    life = _life(phase_id=3)
    assert life.advance(at(86_400))
    assert life.phase_id == 99


def test_an_operator_may_move_a_coin_forth_and_back() -> None:
    life = _life(phase_id=2)
    assert life.want(3, at(0)) is None
    assert life.advance(at(0))
    assert life.phase_id == 3
    assert life.want(1, at(0)) is None
    assert life.advance(at(0))
    assert life.phase_id == 1


def test_a_wish_for_a_phase_that_is_missing_or_outlived_is_refused() -> None:
    life = _life(phase_id=2)
    assert life.want(7, at(0)) == "There is no regular phase 7; there are 1, 2, 3."
    assert life.want(99, at(0)) == "There is no regular phase 99; there are 1, 2, 3."
    assert life.want(1, at(600)) == ("The coin is older than phase 1 lasts; choose a later phase.")
    assert not life.advance(at(600))


def test_a_table_without_a_regular_phase_is_refused() -> None:
    life = _life()
    with pytest.raises(ValueError, match="found none"):
        life.use((FINISHED,))
    assert life.phase == BABY
