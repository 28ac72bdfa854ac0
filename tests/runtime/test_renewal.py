"""An instance that is replaced on request: nothing of its name is lost, and it is no failure."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from actors.runtime import Actor, ArrivalClock, ChildSpec, Context, Exceeded, RestartBudget, System
from actors.runtime.messages import Message
from actors.runtime.simulation import SeededSystem
from settings import load
from telemetry import Telemetry
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


class Say(Message, frozen=True):
    word: str


class Parrot(Actor):
    """Writes down what happens to it; `number` tells its instances apart."""

    def __init__(self, context: Context, notes: list[str], number: int) -> None:
        super().__init__(context)
        self._notes = notes
        self._number = number

    def on_start(self) -> None:
        self._note("starts")

    def on_stop(self) -> None:
        self._note("stops")

    def on_receive(self, message: Any) -> None:
        if message.word == "poison":
            raise ValueError("poison")
        self._note(message.word)

    def _note(self, what: str) -> None:
        self._notes.append(f"{self._number} {what}")


class PinnedParrot(Parrot):
    own_thread = True


def parrots(notes: list[str], kind: type[Parrot] = Parrot) -> Callable[[Context], Parrot]:
    numbers = iter(range(1, 1_000))
    return lambda context: kind(context, notes, next(numbers))


def test_instance_is_replaced_and_its_mailbox_stays() -> None:
    system, notes = SeededSystem(), list[str]()
    system.start("parrot", parrots(notes))
    system.tell("parrot", Say("one"))
    system.run()

    system.tell("parrot", Say("two"))
    assert system.restart("parrot")
    system.run()

    assert notes == ["1 starts", "1 one", "1 stops", "2 starts", "2 two"]
    report = system.report("parrot")
    assert report is not None
    assert (report.state, report.restarts) == ("running", 1)
    assert system.letters() == []


def test_replacement_counts_in_no_budget() -> None:
    system, notes = SeededSystem(), list[str]()
    budget = RestartBudget(intensity=1, period_s=60.0)
    system.start("parrot", parrots(notes), exceeded=Exceeded.QUARANTINE, budget=budget)

    for _ in range(5):
        assert system.restart("parrot")
        system.run()
    system.tell("parrot", Say("poison"))
    system.run()

    assert system.state_of("parrot") == "restarting"


def test_only_a_running_actor_is_replaced() -> None:
    system = SeededSystem()
    system.start(
        "parrot", parrots([]), exceeded=Exceeded.QUARANTINE, budget=RestartBudget(intensity=0)
    )
    system.tell("parrot", Say("poison"))
    system.run()

    assert system.state_of("parrot") == "quarantined"
    assert not system.restart("parrot")
    assert not system.restart("nobody")


def test_actor_that_is_told_to_stop_is_not_started_again() -> None:
    system, notes = SeededSystem(), list[str]()
    system.start("parrot", parrots(notes))

    system.restart("parrot")
    system.stop("parrot")

    assert notes == ["1 starts", "1 stops"]
    assert system.state_of("parrot") is None


@pytest.mark.parametrize("kind", [Parrot, PinnedParrot])
def test_idle_actor_is_replaced_on_its_own_thread(kind: type[Parrot]) -> None:
    notes: list[str] = []
    before = threading.active_count()
    system = System(settings=load({}), telemetry=Telemetry(), clock=ArrivalClock())
    system.open()
    try:
        system.start_child(ChildSpec("parrot", "tracker", kind, parrots(notes, kind)))
        wait_until(lambda: notes == ["1 starts"], what="the first instance")
        assert system.restart("parrot")
        wait_until(lambda: notes == ["1 starts", "1 stops", "2 starts"], what="the second one")
    finally:
        system.close(5.0)
    wait_until(lambda: threading.active_count() == before, what="the end of the threads")
