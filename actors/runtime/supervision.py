"""What to do about a failure: child specs and one pure decision, as in Erlang/OTP."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from actors.backoff import backoff_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.runtime.actor import Actor
    from actors.runtime.context import Context


class RestartType(StrEnum):
    """Which ends of a child call for a restart."""

    PERMANENT = "permanent"
    """Always started again."""
    TRANSIENT = "transient"
    """Started again after a failure, not after an orderly stop."""
    TEMPORARY = "temporary"
    """Never started again."""


class Exceeded(StrEnum):
    """What becomes of a child that fails too often."""

    QUARANTINE = "quarantine"
    """It stops and stays visible; everything else goes on."""
    ESCALATE = "escalate"
    """The process ends in order, with exit code 1."""


@dataclass(frozen=True)
class RestartBudget:
    """How often a child may fail: more than `intensity` failures within `period_s` exceed it.

    A restart waits `first_s`, doubled for each failure in a row up to `max_s`, times a jitter of
    0.5 to 1. A child that ran for `healthy_s` without a failure starts from `first_s` again.
    """

    intensity: int = 5
    period_s: float = 300.0
    first_s: float = 0.05
    max_s: float = 30.0
    healthy_s: float = 30.0


@dataclass(frozen=True)
class ChildSpec:
    """How to make, restart and stop one child."""

    name: str
    kind: str
    actor: type[Actor]
    make: Callable[[Context], Actor]
    restart: RestartType = RestartType.PERMANENT
    exceeded: Exceeded = Exceeded.ESCALATE
    budget: RestartBudget = RestartBudget()
    capacity: int = 65_536
    """Bound of the mailbox's data lane, in events."""
    stop_timeout_s: float = 5.0


@dataclass(frozen=True)
class Restart:
    """Start the child again after a pause."""

    after_s: float


@dataclass(frozen=True)
class Quarantine:
    """Stop the child and keep it visible."""


@dataclass(frozen=True)
class Stop:
    """Let the child go."""


@dataclass(frozen=True)
class Escalate:
    """End the process in order."""


Decision = Restart | Quarantine | Stop | Escalate


def decide(
    restart: RestartType,
    exceeded: Exceeded,
    budget: RestartBudget,
    failures_s: Sequence[float],
    jitter: float,
) -> Decision:
    """Decide about the newest failure of a child.

    Args:
        restart: the child's restart type.
        exceeded: what to do when the budget is spent.
        budget: the child's budget.
        failures_s: monotonic times of its failures, oldest first; the last is the one in question.
        jitter: a number from 0 to 1, from the caller's random source.
    """
    if restart is RestartType.TEMPORARY:
        return Stop()
    now = failures_s[-1]
    recent = sum(1 for at in failures_s if now - at < budget.period_s)
    if recent > budget.intensity:
        return Quarantine() if exceeded is Exceeded.QUARANTINE else Escalate()
    in_a_row = _in_a_row(failures_s, budget.healthy_s)
    pause_s = backoff_s(in_a_row, budget.first_s, budget.max_s, chance=1.0 - jitter, jitter=0.5)
    return Restart(pause_s)


def _in_a_row(failures_s: Sequence[float], healthy_s: float) -> int:
    count = 1
    for earlier, later in zip(failures_s[-2::-1], failures_s[:0:-1], strict=False):
        if later - earlier >= healthy_s:
            break
        count += 1
    return count


def name_of(decision: Decision) -> str:
    """Name a decision in one word."""
    return type(decision).__name__.lower()
