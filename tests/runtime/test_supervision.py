"""The decision about a failure, as a table."""

from __future__ import annotations

import pytest

from actors.runtime.supervision import (
    Decision,
    Escalate,
    Exceeded,
    Quarantine,
    Restart,
    RestartBudget,
    RestartType,
    Stop,
    decide,
)

BUDGET = RestartBudget(intensity=3, period_s=60.0, first_s=1.0, max_s=5.0, healthy_s=10.0)
PERMANENT, TRANSIENT, TEMPORARY = RestartType


@pytest.mark.parametrize(
    ("restart", "exceeded", "failures_s", "expected"),
    [
        (PERMANENT, Exceeded.ESCALATE, [0.0], Restart(1.0)),
        (TRANSIENT, Exceeded.ESCALATE, [0.0], Restart(1.0)),
        (TEMPORARY, Exceeded.ESCALATE, [0.0], Stop()),
        # Failures in a row double the pause, up to its bound.
        (PERMANENT, Exceeded.ESCALATE, [0.0, 1.0], Restart(2.0)),
        (PERMANENT, Exceeded.ESCALATE, [0.0, 1.0, 2.0], Restart(4.0)),
        (PERMANENT, Exceeded.ESCALATE, [-300.0, -295.0, 0.0, 5.0], Restart(2.0)),
        # Ten seconds of health start from the first pause again.
        (PERMANENT, Exceeded.ESCALATE, [0.0, 1.0, 11.0], Restart(1.0)),
        (PERMANENT, Exceeded.ESCALATE, [0.0, 1.0, 10.9], Restart(4.0)),
        # The fourth failure within the period exceeds the budget of three.
        (PERMANENT, Exceeded.ESCALATE, [0.0, 20.0, 40.0, 59.9], Escalate()),
        (PERMANENT, Exceeded.QUARANTINE, [0.0, 20.0, 40.0, 59.9], Quarantine()),
        (PERMANENT, Exceeded.QUARANTINE, [0.0, 20.0, 40.0, 60.0], Restart(1.0)),
    ],
)
def test_decision(
    restart: RestartType, exceeded: Exceeded, failures_s: list[float], expected: Decision
) -> None:
    assert decide(restart, exceeded, BUDGET, failures_s, jitter=1.0) == expected


@pytest.mark.parametrize(("jitter", "pause_s"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_jitter_takes_up_to_half_of_the_pause(jitter: float, pause_s: float) -> None:
    assert decide(PERMANENT, Exceeded.ESCALATE, BUDGET, [0.0], jitter) == Restart(pause_s)


def test_the_pause_is_bounded_however_long_the_row() -> None:
    patient = RestartBudget(intensity=1_000, period_s=1e9, first_s=1.0, max_s=5.0, healthy_s=10.0)
    row = [float(n) for n in range(500)]
    assert decide(PERMANENT, Exceeded.ESCALATE, patient, row, jitter=1.0) == Restart(5.0)
