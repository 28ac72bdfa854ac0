"""Actors on real threads: life, failure, and the traps of stock Pykka."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

import pykka
import pytest

from actors.runtime import (
    Actor,
    ArrivalClock,
    Batch,
    ChildFailed,
    ChildSpec,
    ChildStopped,
    Context,
    Control,
    Exceeded,
    Message,
    RestartBudget,
    RestartType,
    System,
)
from settings import load
from telemetry import Telemetry
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from actors.runtime.watchdog import Stall

QUICK = RestartBudget(intensity=3, period_s=60.0, first_s=0.001, max_s=0.002)


def report_stalls(system: System, limit_s: float) -> list[Stall]:
    return system.watchdog.report(system._long_turns(limit_s))


class Add(Message, frozen=True):
    n: int


class Adds(Batch, frozen=True):
    events: tuple[Any, ...]


class Total(Control, frozen=True):
    pass


class Fail(Message, frozen=True):
    error: str


class Exit(Message, frozen=True):
    pass


class Wait(Message, frozen=True):
    """Blocks the actor until the test lets it go."""


class TellYourself(Message, frozen=True):
    times: int


class Ledgered:
    """What outlives an instance in these tests."""

    def __init__(self) -> None:
        self.total = 0
        self.started = 0
        self.stopped = 0
        self.fail_next_start = False
        self.go = threading.Event()
        self.waiting = threading.Event()


class Adder(Actor):
    def __init__(self, context: Context, state: Ledgered) -> None:
        super().__init__(context)
        self._state = state

    def on_start(self) -> None:
        self._state.started += 1
        if self._state.fail_next_start:
            self._state.fail_next_start = False
            raise OSError("the start failed")

    def on_stop(self) -> None:
        self._state.stopped += 1

    def on_receive(self, message: Any) -> Any:
        match message:
            case Add(n):
                self._state.total += n
            case Total():
                return self._state.total
            case Fail(error):
                raise ValueError(error)
            case Exit():
                raise SystemExit(3)
            case Wait():
                self._state.waiting.set()
                assert self._state.go.wait(30)
            case TellYourself(times):
                for _ in range(times):
                    self.context.tell_self(Add(1))
        return None


class PinnedAdder(Adder):
    own_thread: ClassVar[bool] = True


class Listener(Actor):
    """Stands where the supervisor stands."""

    def __init__(self, context: Context, heard: list[Any]) -> None:
        super().__init__(context)
        self._heard = heard

    def on_receive(self, message: Any) -> Any:
        self._heard.append(message)


class House:
    """A running system with one adder named `adder`."""

    def __init__(self, kind: type[Adder] = Adder) -> None:
        self.system = System(
            settings=load({}, None), telemetry=Telemetry(), clock=ArrivalClock(), threads=2
        )
        self.heard: list[Any] = []
        self.state = Ledgered()
        self.kind = kind
        self.system.open()
        self.start("supervisor", lambda context: Listener(context, self.heard), Listener)

    def start(
        self,
        name: str,
        make: Callable[[Context], Actor],
        kind: type[Actor],
        **spec: Any,
    ) -> None:
        self.system.start_child(
            ChildSpec(name=name, kind="adder", actor=kind, make=make, budget=QUICK, **spec)
        )

    def adder(self, **spec: Any) -> None:
        self.start("adder", lambda context: self.kind(context, self.state), self.kind, **spec)

    def total(self) -> int:
        total: int = self.system.ask("adder", Total(), 10)
        return total

    def of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]


@pytest.fixture(params=[Adder, PinnedAdder], ids=["shared", "pinned"])
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    house = House(request.param)
    yield house
    house.state.go.set()
    assert house.system.close(10) == []


def test_messages_of_one_sender_arrive_in_order_and_are_counted(house: House) -> None:
    house.adder()
    for n in range(1_000):
        assert house.system.tell("adder", Add(n))
    wait_until(lambda: house.state.total == 499_500)
    report = house.system.report("adder")
    assert report is not None
    assert (report.handled, report.restarts, report.mailbox_depth) == (1_000, 0, 0)


def test_a_failure_costs_exactly_the_poisoned_event_of_a_batch(house: House) -> None:
    house.adder()
    house.system.tell("adder", Adds((Add(1), Add(2), Fail("poison"), Add(4))))
    house.system.tell("adder", Add(8))
    wait_until(lambda: house.state.total == 15)
    letters = house.system.dead_letters.all()
    assert [(letter.actor, letter.reason, letter.message) for letter in letters] == [
        ("adder", "failed", Fail("poison"))
    ]
    assert "ValueError: poison" in (letters[0].traceback or "")
    assert "on_receive" in (letters[0].traceback or "")


def test_a_restarted_actor_keeps_name_references_and_mailbox(house: House) -> None:
    house.adder()
    reference = house.system.ref("adder")
    wait_until(lambda: house.state.started == 1)
    [pykka_ref] = [ref for ref in pykka.ActorRegistry.get_all() if ref.actor_class is house.kind]
    house.system.tell("adder", Wait())
    assert house.state.waiting.wait(10)
    house.system.tell("adder", Fail("once"))
    house.system.tell("adder", Add(5))
    house.state.go.set()
    wait_until(lambda: house.state.total == 5)
    assert reference.tell(Add(6))
    pykka_ref.tell(Add(7))
    wait_until(lambda: house.state.total == 18)
    assert pykka_ref.is_alive()
    assert pykka.ActorRegistry.get_by_urn(pykka_ref.actor_urn) is pykka_ref
    assert house.state.started == 2
    assert house.state.stopped == 1


def test_the_supervisor_hears_of_a_failure_and_what_was_decided(house: House) -> None:
    house.adder()
    house.system.tell("adder", Fail("bang"))
    wait_until(lambda: len(house.of(ChildFailed)) == 1)
    [failed] = house.of(ChildFailed)
    assert (failed.name, failed.error, failed.decision) == (
        "adder",
        "ValueError: bang",
        "restart",
    )


def test_an_exception_in_on_start_is_a_failure_like_any_other(house: House) -> None:
    house.state.fail_next_start = True
    house.adder()
    house.system.tell("adder", Add(3))
    wait_until(lambda: house.state.total == 3)
    assert [failed.error for failed in house.of(ChildFailed)] == ["OSError: the start failed"]


def test_a_constructor_that_always_fails_exceeds_the_budget(house: House) -> None:
    def make(context: Context) -> Actor:
        raise RuntimeError("cannot be made")

    house.start("broken", make, house.kind, exceeded=Exceeded.QUARANTINE)
    wait_until(lambda: len(house.of(ChildFailed)) == 4)
    assert [failed.decision for failed in house.of(ChildFailed)] == [
        "restart",
        "restart",
        "restart",
        "quarantine",
    ]
    assert house.system.state_of("broken") == "quarantined"


def test_budgets_are_not_shared_by_siblings(house: House) -> None:
    house.adder()
    other = Ledgered()
    house.start("other", lambda context: house.kind(context, other), house.kind)
    for _ in range(3):
        house.system.tell("adder", Fail("mine"))
        house.system.tell("other", Fail("theirs"))
    wait_until(lambda: len(house.of(ChildFailed)) == 6)
    assert {failed.decision for failed in house.of(ChildFailed)} == {"restart"}


def test_a_handler_that_fails_under_ask_tells_the_asker_and_the_supervisor(house: House) -> None:
    house.adder()
    with pytest.raises(ValueError, match="asked"):
        house.system.ask("adder", Fail("asked"), 10)
    wait_until(lambda: len(house.of(ChildFailed)) == 1)
    house.system.tell("adder", Add(1))
    wait_until(lambda: house.total() == 1)


def test_system_exit_in_a_handler_stops_nobody_else(house: House) -> None:
    house.adder()
    other = Ledgered()
    house.start("other", lambda context: house.kind(context, other), house.kind)
    house.system.tell("adder", Exit())
    house.system.tell("other", Add(1))
    house.system.tell("adder", Add(2))
    wait_until(lambda: (other.total, house.state.total) == (1, 2))
    assert other.started == 1


def test_telling_oneself_into_a_full_mailbox_does_not_deadlock(house: House) -> None:
    house.adder(capacity=2)
    house.system.tell("adder", TellYourself(50))
    wait_until(lambda: house.state.total == 50)


def test_a_full_mailbox_refuses_without_raising_into_the_sender(house: House) -> None:
    house.adder(capacity=2)
    house.system.tell("adder", Wait())
    assert house.state.waiting.wait(10)
    accepted = [house.system.tell("adder", Add(1)) for _ in range(4)]
    assert accepted == [True, True, False, False]
    assert house.system.dead_letters.counts() == {"full": 2}
    assert not house.system.ref("adder").offer(Add(1))
    assert house.system.dead_letters.counts() == {"full": 2}
    house.state.go.set()
    wait_until(lambda: house.state.total == 2)


def test_stop_overtakes_what_waits_and_the_rest_becomes_dead_letters(house: House) -> None:
    house.adder()
    house.system.tell("adder", Wait())
    assert house.state.waiting.wait(10)
    for _ in range(10):
        house.system.tell("adder", Add(1))
    house.system._cells["adder"].end_soon()
    house.state.go.set()
    wait_until(lambda: bool(house.of(ChildStopped)))
    assert house.state.total == 0
    assert house.state.stopped == 1
    assert house.system.dead_letters.counts() == {"stopped": 10}


def test_pykkas_own_stop_is_obeyed(house: House) -> None:
    house.adder()
    wait_until(lambda: house.state.started == 1)
    [pykka_ref] = [ref for ref in pykka.ActorRegistry.get_all() if ref.actor_class is house.kind]
    pykka_ref.stop(timeout=10)
    wait_until(lambda: not house.system.running("adder"))
    assert not pykka_ref.is_alive()


def test_nobody_answers_for_the_dead(house: House) -> None:
    with pytest.raises(pykka.ActorDeadError, match="no actor named 'adder'"):
        house.system.ask("adder", Total(), 10)
    assert not house.system.tell("adder", Add(1))
    assert house.system.dead_letters.counts() == {"gone": 1}


def test_asks_that_wait_when_their_actor_stops_get_an_error(house: House) -> None:
    house.adder()
    house.system.tell("adder", Wait())
    assert house.state.waiting.wait(10)
    future: pykka.ThreadingFuture[Any] = pykka.ThreadingFuture()
    house.system._cells["adder"].mailbox.offer(Total(), future)
    house.system._cells["adder"].end_soon()
    house.state.go.set()
    with pytest.raises(pykka.ActorDeadError, match="stopped before"):
        future.get(timeout=10)


def test_a_temporary_child_is_not_started_again(house: House) -> None:
    house.adder(restart=RestartType.TEMPORARY)
    house.system.tell("adder", Fail("the end"))
    wait_until(lambda: bool(house.of(ChildStopped)))
    assert not house.system.running("adder")
    assert house.state.started == 1


def test_a_name_is_taken_until_its_actor_has_ended(house: House) -> None:
    house.adder()
    with pytest.raises(ValueError, match="'adder' is there already"):
        house.adder()
    house.system.stop_child("adder", time.monotonic() + 10)
    house.adder()
    house.system.tell("adder", Add(9))
    wait_until(lambda: house.state.total == 9)


def test_a_quarantined_actor_keeps_its_mailbox_and_can_be_revived(house: House) -> None:
    house.adder(exceeded=Exceeded.QUARANTINE)
    for _ in range(4):
        house.system.tell("adder", Fail("again"))
    house.system.tell("adder", Add(11))
    wait_until(lambda: house.system.state_of("adder") == "quarantined")
    assert house.state.total == 0
    assert house.system.revive("adder")
    wait_until(lambda: house.state.total == 11)


def test_an_ended_actor_leaves_nothing_behind(house: House) -> None:
    house.adder()
    wait_until(lambda: house.state.started == 1)
    instance = weakref.ref(house.system._cells["adder"].actor)
    house.system.stop_child("adder", time.monotonic() + 10)
    wait_until(lambda: not house.system.running("adder"))
    gc.collect()
    assert instance() is None
    assert house.system.wheel.pending() == 0
    assert all(ref.actor_class is not house.kind for ref in pykka.ActorRegistry.get_all())


def test_a_turn_that_hangs_is_reported_once_with_its_stack(house: House) -> None:
    house.adder()
    house.system.tell("adder", Wait())
    assert house.state.waiting.wait(10)
    [stall] = wait_until(lambda: report_stalls(house.system, 0.01))
    assert (stall.name, stall.kind, stall.message) == ("adder", "adder", "Wait")
    assert "on_receive" in stall.stack
    assert report_stalls(house.system, 0.01) == []
    house.state.go.set()
    house.system.tell("adder", Add(1))
    wait_until(lambda: house.state.total == 1)
    assert report_stalls(house.system, 0.0) == []


def test_waiting_and_handling_times_are_measured(house: House) -> None:
    house.adder()
    for _ in range(64):
        house.system.tell("adder", Add(1))
    wait_until(lambda: house.state.total == 64)
    measured = house.system.telemetry.value("mintwatch_handling_seconds_count", kind="other")
    assert measured >= 3
