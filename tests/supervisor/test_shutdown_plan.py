"""The order of the end: one stage after the other, each with its share of the deadline."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.supervisor.shutdown_plan import DrainPlan, Stage

NOW_S = 100.0


def begun(timeout_s: float = 20.0) -> DrainPlan:
    plan = DrainPlan(timeout_s=timeout_s)
    plan.begin("SIGTERM", 0, "connection", NOW_S)
    return plan


def test_a_plan_that_has_not_begun_is_not_active() -> None:
    plan = DrainPlan(timeout_s=20.0)
    assert (plan.active, plan.stage, plan.stage_s(NOW_S)) == (False, Stage.RUNNING, 0.0)


def test_the_beginning_waits_for_the_reader() -> None:
    plan = begun()
    assert (plan.active, plan.stage, plan.complete) == (True, Stage.READING, False)
    assert plan.waiting_for == {"connection"}
    assert (plan.reason, plan.exit_code) == ("SIGTERM", 0)


def test_the_last_one_of_a_stage_completes_it() -> None:
    plan = begun()
    plan.next(["tracker:A", "tracker:B"])
    assert not plan.arrived("tracker:A")
    assert not plan.arrived("tracker:A")
    assert not plan.arrived("connection")
    assert plan.arrived("tracker:B")


def test_stages_follow_each_other_to_the_end() -> None:
    plan = begun()
    assert [plan.next(()) for _ in range(4)] == [
        Stage.DECIDING,
        Stage.TRACKERS,
        Stage.WRITERS,
        Stage.DONE,
    ]
    assert plan.complete


@pytest.mark.parametrize(
    ("advances", "begins_s", "seconds"),
    [(0, 0.0, 4.0), (1, 4.0, 4.0), (2, 8.0, 4.0), (3, 12.0, 8.0), (4, 20.0, 0.0)],
    ids=str,
)
def test_each_stage_has_its_share_of_the_deadline(
    advances: int, begins_s: float, seconds: float
) -> None:
    plan = begun(timeout_s=20.0)
    for _ in range(advances):
        plan.next(())
    assert plan.stage_s(NOW_S + begins_s) == seconds


def test_what_a_stage_leaves_of_its_share_is_for_those_behind_it() -> None:
    plan = begun(timeout_s=20.0)
    plan.next(("discovery",))
    assert plan.stage_s(NOW_S + 0.5) == 7.5


def test_a_stage_that_begins_late_has_its_own_share_all_the_same() -> None:
    plan = begun(timeout_s=20.0)
    plan.next(("discovery",))
    assert plan.stage_s(NOW_S + 30.0) == 4.0


def test_coins_get_trackers_until_all_that_was_read_is_decided_on() -> None:
    plan = begun()
    takes = [plan.takes_coins]
    while plan.next(()) is not Stage.DONE:
        takes.append(plan.takes_coins)
    assert takes == [True, True, False, False]


@given(timeout_s=st.floats(0.1, 1000.0))
def test_the_shares_add_up_to_the_deadline(timeout_s: float) -> None:
    plan = begun(timeout_s)
    total_s = plan.stage_s(NOW_S)
    while plan.next(()) is not Stage.DONE:
        total_s += plan.stage_s(NOW_S + total_s)
    assert total_s == pytest.approx(timeout_s)


@given(names=st.sets(st.text("ab", min_size=1)), others=st.lists(st.text("xy", min_size=1)))
def test_a_stage_is_complete_once_all_of_its_names_came_and_no_other_counts(
    names: set[str], others: list[str]
) -> None:
    plan = begun()
    plan.next(names)
    for other in others:
        assert plan.arrived(other) is (not names)
    answers = [plan.arrived(name) for name in sorted(names)]
    assert answers == [False] * (len(names) - 1) + [True] * bool(names)
