from __future__ import annotations

import pytest

from actors.backoff import Backoff, backoff_s
from actors.connection.cost import FeedCost


def test_waits_grow_by_half_the_first_one_up_to_the_bound() -> None:
    backoff = Backoff(retry_s=3, max_s=10)

    assert [backoff.after_failure(chance=0) for _ in range(7)] == [3, 4.5, 6, 7.5, 9, 10, 10]


def test_chance_shortens_a_wait_by_a_quarter_at_most() -> None:
    assert Backoff(retry_s=4, max_s=60).after_failure(chance=1.0) == 3.0


def test_ban_waits_five_minutes_doubling_to_an_hour() -> None:
    backoff = Backoff(retry_s=3, max_s=60)

    assert [backoff.after_ban() for _ in range(6)] == [300, 600, 1200, 2400, 3600, 3600]


def test_data_on_a_young_connection_proves_nothing() -> None:
    backoff = Backoff(retry_s=3, max_s=60)
    backoff.after_failure(chance=0)

    backoff.data_arrived(connected_s=9.9)

    assert backoff.after_failure(chance=0) == 4.5


def test_data_on_a_connection_that_lasts_starts_anew() -> None:
    backoff = Backoff(retry_s=3, max_s=60)
    backoff.after_failure(chance=0)
    backoff.after_ban()

    backoff.data_arrived(connected_s=10)

    assert (backoff.after_failure(chance=0), backoff.after_ban()) == (3, 300)


def test_cost_is_a_hundredth_of_a_sol_for_ten_thousand_frames() -> None:
    cost = FeedCost()

    cost.count(25_000)

    assert (cost.frames, cost.cost_sol) == (25_000, 0.025)


def test_each_warning_mark_is_passed_once() -> None:
    cost = FeedCost()

    passed = [cost.count(5_000) for _ in range(5)]

    assert passed == [None, 0.01, None, 0.02, None]


def test_several_marks_at_once_name_the_highest() -> None:
    assert FeedCost().count(120_000) == 0.1


def test_changed_waits_go_on_from_what_was_counted() -> None:
    backoff = Backoff(3.0, 60.0)
    assert [backoff.after_failure(0.0) for _ in range(3)] == [3.0, 4.5, 6.0]
    backoff.reconfigure(1.0, 2.25)
    assert [backoff.after_failure(0.0) for _ in range(2)] == [2.25, 2.25]
    backoff.reconfigure(1.0, 10.0)
    assert backoff.after_failure(0.0) == 3.5


@pytest.mark.parametrize(
    ("failures", "chance", "seconds"),
    [
        (1, 0.0, 0.5),
        (2, 0.0, 1.0),
        (7, 0.0, 30.0),
        (10**9, 0.0, 30.0),
        (1, 1.0, 0.25),
        (3, 0.5, 1.5),
    ],
)
def test_pause_doubles_up_to_its_bound_and_chance_takes_a_share_off(
    failures: int, chance: float, seconds: float
) -> None:
    assert backoff_s(failures, 0.5, 30.0, chance=chance, jitter=0.5) == seconds
