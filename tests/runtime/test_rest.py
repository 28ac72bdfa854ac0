"""Who has something to do, as a replay asks before it goes on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from actors.runtime import Actor, ArrivalClock, ChildSpec, Exceeded, Message, RestartBudget, System
from actors.runtime.simulation import SeededSystem
from settings import Settings
from telemetry import Telemetry
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from actors.runtime import Context

KINDS = frozenset({"hop"})
HOPS = 40


class Pass(Message, frozen=True):
    left: int


class Hop(Actor):
    """Passes a message on to the next one, until it has been passed often enough."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.context = context

    def on_receive(self, message: Any) -> Any:
        number = int(self.context.name.partition(":")[2])
        if message.left:
            # Backwards: to one that has just been looked at.
            self.context.tell(f"hop:{(number - 1) % HOPS}", Pass(message.left - 1))
        else:
            self.context.publish("arrived")


@pytest.fixture
def system() -> SeededSystem:
    return SeededSystem()


def test_message_that_waits_keeps_its_actor_busy_and_only_those_asked_about_count(
    system: SeededSystem,
) -> None:
    system.probe("hop:0")
    assert system.busy(KINDS) is None
    system.tell("hop:0", Pass(0))

    assert system.busy(KINDS) == "hop:0"
    assert system.busy(frozenset({"other"})) is None
    system.run()
    assert system.busy(KINDS) is None


def test_timer_that_the_feed_clock_has_passed_is_something_to_do(system: SeededSystem) -> None:
    system.probe("hop:0")
    system.arm_at(system._cells["hop:0"], "key", 5, Pass(0))
    assert system.busy(KINDS) is None
    system.wheel.advance_feed(5)

    assert system.busy(KINDS) == "timers"
    system.run()
    assert system.busy(KINDS) is None


def test_held_lane_is_waited_for_a_paused_one_is_not(system: SeededSystem) -> None:
    system.probe("hop:0")
    mailbox = system._cells["hop:0"].mailbox
    mailbox.hold()
    assert system.busy(KINDS) == "hop:0"
    mailbox.release()
    system.run()
    system.pause("hop:0")
    mailbox.offer(Pass(0), from_self=True)

    assert system.busy(KINDS) is None


@pytest.mark.parametrize(
    ("budget", "busy"), [(RestartBudget(5, 60.0), "hop:0"), (RestartBudget(0, 60.0), None)]
)
def test_failed_actor_is_waited_for_while_it_is_to_be_started_again(
    system: SeededSystem, budget: RestartBudget, busy: str | None
) -> None:
    system.start("hop:0", Hop, exceeded=Exceeded.QUARANTINE, budget=budget)
    system.tell("hop:0", "what no sender would send")
    system.run()

    assert system.busy(KINDS) == busy


def test_message_on_its_way_through_many_threads_is_never_overlooked() -> None:
    # Given actors on eight threads that pass one message round and round
    system = System(settings=Settings(), telemetry=Telemetry(), clock=ArrivalClock(), threads=8)
    system.open()
    for number in range(HOPS):
        system.start_child(ChildSpec(f"hop:{number}", "hop", Hop, Hop))
    wait_until(lambda: system.busy(KINDS) is None, what="the start of all")
    # Threads take turns in the middle of a look.
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(300):
            system.tell("hop:0", Pass(HOPS - 1))

            # When nobody is busy any more
            while system.busy(KINDS) is not None:
                pass

            # Then it has come to the last one
            last = system._cells["hop:1"]
            assert last.status == "arrived"
            last.status = None
    finally:
        sys.setswitchinterval(usual_s)
        assert system.close(5.0) == []
