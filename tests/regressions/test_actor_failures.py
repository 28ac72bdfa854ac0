"""Failures that actor systems have shown in production, and what becomes of them here."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

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
    Exceeded,
    Flush,
    Message,
    RestartBudget,
    System,
)
from actors.runtime.simulation import SeededSystem
from settings import load
from telemetry import Telemetry
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Say(Message, frozen=True):
    word: str


class Words(Batch, frozen=True):
    events: tuple[Say, ...]


class Raise(Message, frozen=True):
    """Has the actor raise what the test wants."""


class AskYourself(Message, frozen=True):
    pass


def _system_of(actor: Actor) -> System:
    """The whole runtime, of which a context shows an actor a part."""
    system = actor.context._system
    assert isinstance(system, System)
    return system


class Parrot(Actor):
    """Writes down what happens to each of its instances."""

    def __init__(
        self, context: Context, notes: list[str], error: BaseException | None = None
    ) -> None:
        super().__init__(context)
        self._notes = notes
        self._error = error or ValueError("poison")
        self._number = sum(note.endswith("starts") for note in notes) + 1

    def on_start(self) -> None:
        self._note("starts")

    def on_stop(self) -> None:
        self._note("stops")

    def on_receive(self, message: Any) -> Any:
        match message:
            case Raise():
                raise self._error
            case AskYourself():
                return _system_of(self).ask(self.context.name, Say("echo"), 30.0)
            case Say(word):
                self._note(word)
            case Flush():
                self._note("flushes")
        return None

    def _note(self, what: str) -> None:
        self._notes.append(f"{self._number} {what}")


class PinnedParrot(Parrot):
    own_thread = True


def making(kind: type[Parrot], notes: list[str]) -> Callable[[Context], Parrot]:
    return lambda context: kind(context, notes)


def is_running(system: System, name: str) -> bool:
    return system.state_of(name) == "running"


def parrot(notes: list[str], error: BaseException | None = None) -> Callable[[Context], Parrot]:
    return lambda context: Parrot(context, notes, error)


def registered() -> int:
    return sum(issubclass(ref.actor_class, Parrot) for ref in pykka.ActorRegistry.get_all())


# A constructor that fails.


def test_constructor_that_fails_uses_up_its_budget_and_leaves_nothing_behind() -> None:
    system = SeededSystem()
    supervisor = system.probe("supervisor")
    tries: list[float] = []

    class Half(Parrot):
        def __init__(self, context: Context) -> None:
            super().__init__(context, [])
            context.after("timer", 1.0, Say("late"))
            tries.append(context.monotonic_s())
            raise OSError("no socket to be had")

    budget = RestartBudget(intensity=3, first_s=1.0, max_s=4.0)
    system.start("half", Half, exceeded=Exceeded.QUARANTINE, budget=budget)
    for _ in range(60):
        system.advance(0.5)

    assert tries == [0.0, 1.0, 3.0, 7.0]
    assert [failed.decision for failed in supervisor.of(ChildFailed)] == [
        "restart", "restart", "restart", "quarantine",
    ]  # fmt: skip
    assert registered() == 0
    system.stop("half")
    assert system.names() == ["supervisor"]
    assert system.wheel.pending() == 0


# A budget that siblings share.


def test_sibling_that_fails_without_end_costs_the_other_nothing_of_its_budget() -> None:
    system, notes = SeededSystem(), list[str]()
    budget = RestartBudget(intensity=1, period_s=1_000.0, first_s=1.0)
    for name in ("sick", "healthy"):
        system.start(name, parrot(notes), exceeded=Exceeded.QUARANTINE, budget=budget)
    for _ in range(3):
        system.tell("sick", Raise())
        system.run()
        system.advance(10.0)

    system.tell("healthy", Raise())
    system.run()
    system.advance(10.0)

    assert system.state_of("sick") == "quarantined"
    assert system.state_of("healthy") == "running"


# A full mailbox.


def test_full_mailbox_is_an_answer_and_never_an_exception_in_the_sender() -> None:
    system = SeededSystem()
    sender: list[bool] = []

    class Sender(Actor):
        def on_receive(self, message: Any) -> None:
            sender.append(self.context.tell("full", message))
            sender.append(self.context.ref("full").offer(message))

    system.start("full", parrot([]), capacity=1)
    system.start("sender", Sender)
    system.pause("full")
    system.tell("sender", Say("refused"))
    system.run()

    assert sender == [False, False]
    assert system.state_of("sender") == "running"
    assert [(letter.actor, letter.reason) for letter in system.letters()] == [("full", "full")]


# A drain that is abandoned half-way.


def test_actor_that_fails_in_its_drain_still_flushes_what_comes_after() -> None:
    system, notes = SeededSystem(), list[str]()
    system.start("writer", parrot(notes))
    cell = system._cells["writer"]
    cell.mailbox.hold()
    system.tell("writer", Words((Say("one"), Say("two"))))
    system.tell("writer", Raise())
    system.tell("writer", Say("three"))
    system.tell("writer", Flush())
    cell.mailbox.release()
    system.run()
    system.advance(1.0)

    assert notes == [
        "1 starts", "1 one", "1 two", "1 stops", "2 starts", "2 three", "2 flushes",
    ]  # fmt: skip


@pytest.fixture(name="system")
def running_system() -> Iterator[System]:
    system = System(settings=load({}), telemetry=Telemetry(), clock=ArrivalClock())
    system.open()
    yield system
    assert system.close(20) == []


def test_one_that_fails_and_one_that_hangs_in_the_stop_keep_nobody_else_from_stopping() -> None:
    notes: list[str] = []
    go = threading.Event()

    class Fails(Parrot):
        def on_stop(self) -> None:
            raise SystemExit("in the middle of the drain")

    class Hangs(PinnedParrot):
        def on_stop(self) -> None:
            assert go.wait(30)

    system = System(settings=load({}), telemetry=Telemetry(), clock=ArrivalClock())
    system.open()
    for name, kind in (("first", Parrot), ("fails", Fails), ("hangs", Hangs), ("last", Parrot)):
        system.start_child(ChildSpec(name, "parrot", kind, making(kind, notes)))
        wait_until(partial(is_running, system, name), what=f"{name} to run")

    assert system.close(2.0) == ["hangs"]

    assert sum(note.endswith("stops") for note in notes) == 2
    go.set()
    wait_until(lambda: system.names() == [], what="the end of the one that hung")


# A zombie after the stop.


def test_timer_and_message_that_come_too_late_reach_no_code_of_an_ended_actor() -> None:
    system, notes = SeededSystem(), list[str]()
    contexts: list[Context] = []

    def make(context: Context) -> Parrot:
        contexts.append(context)
        context.after("soon", 1.0, Say("timer"))
        return Parrot(context, notes)

    system.start("parrot", make)
    old = system._cells["parrot"]
    system.stop("parrot")

    system.advance(5.0)
    contexts[0].tell_self(Say("a thread that went on"))
    contexts[0].after("late", 1.0, Say("late timer"))
    system.advance(5.0)
    assert not system.tell("parrot", Say("a message"))
    old.schedule()
    system.run()

    assert notes == ["1 starts", "1 stops"]
    assert old.actor is None


def test_successor_of_an_ended_actor_hears_nothing_of_its_timers() -> None:
    system, old_notes, notes = SeededSystem(), list[str](), list[str]()

    class Lingering(Parrot):
        def on_start(self) -> None:
            self.context.after("timer", 1.0, Say("timer"))
            self.context.at("feed", 10, Say("feed timer"))

        def on_stop(self) -> None:
            # A hook that arms on its way out.
            self.context.after("another", 1.0, Say("another timer"))

    system.start("parrot", lambda context: Lingering(context, old_notes))
    system.stop("parrot")
    system.start("parrot", parrot(notes))
    system.advance(5.0)
    system.advance_feed(20)

    assert old_notes == []
    assert notes == ["1 starts"]
    assert system.wheel.pending() == 0


def test_timers_of_a_failed_instance_do_not_reach_the_next_one() -> None:
    system, notes = SeededSystem(), list[str]()

    class Arming(Parrot):
        def on_stop(self) -> None:
            super().on_stop()
            self.context.after("from the hook", 0.5, Say("zombie"))

        def on_receive(self, message: Any) -> Any:
            if message == Say("arm"):
                self.context.after("from the handler", 0.5, Say("zombie"))
            return super().on_receive(message)

    system.start("parrot", lambda context: Arming(context, notes))
    system.tell("parrot", Say("arm"))
    system.tell("parrot", Raise())
    system.run()
    system.advance(10.0)

    assert notes == ["1 starts", "1 arm", "1 stops", "2 starts"]


# A double restart.


def test_two_wishes_for_a_restart_make_one_new_instance() -> None:
    system, notes = SeededSystem(), list[str]()
    system.start("parrot", parrot(notes))
    assert system.restart("parrot")
    assert system.restart("parrot")
    system.run()
    assert notes == ["1 starts", "1 stops", "2 starts"]


def test_wish_for_a_restart_while_one_is_due_makes_one_new_instance() -> None:
    system, notes = SeededSystem(), list[str]()
    system.start("parrot", parrot(notes), budget=RestartBudget(first_s=5.0))
    system.tell("parrot", Raise())
    system.run()

    assert system.state_of("parrot") == "restarting"
    assert not system.restart("parrot")
    assert not system.revive("parrot")
    system.advance(60.0)

    assert notes == ["1 starts", "1 stops", "2 starts"]


def test_failure_while_a_restart_is_wished_for_makes_one_new_instance() -> None:
    system, notes = SeededSystem(), list[str]()

    class Wishing(Parrot):
        def on_receive(self, message: Any) -> Any:
            _system_of(self).restart("parrot")
            return super().on_receive(message)

    system.start("parrot", lambda context: Wishing(context, notes))
    system.tell("parrot", Raise())
    system.run()
    system.advance(60.0)
    system.tell("parrot", Say("hello"))

    assert notes == ["1 starts", "1 stops", "2 starts"]


def test_revived_twice_makes_one_new_instance() -> None:
    system, notes = SeededSystem(), list[str]()
    once = RestartBudget(intensity=0)
    system.start("parrot", parrot(notes), exceeded=Exceeded.QUARANTINE, budget=once)
    system.tell("parrot", Raise())
    system.run()
    assert system.revive("parrot")
    assert not system.revive("parrot")
    system.run()
    assert notes == ["1 starts", "1 stops", "2 starts"]


# Questions to the dead, and to oneself.


@pytest.mark.parametrize("kind", [Parrot, PinnedParrot])
def test_question_to_the_dead_fails_at_once(system: System, kind: type[Parrot]) -> None:
    with pytest.raises(pykka.ActorDeadError, match="no actor named 'parrot'"):
        system.ask("parrot", Say("anyone"), 600.0)

    once = RestartBudget(intensity=0)
    system.start_child(
        ChildSpec(
            "parrot", "parrot", kind, making(kind, []), exceeded=Exceeded.QUARANTINE, budget=once
        )
    )
    with pytest.raises(ValueError, match="poison"):
        system.ask("parrot", Raise(), 30.0)
    wait_until(lambda: system.state_of("parrot") == "quarantined", what="quarantine")
    with pytest.raises(pykka.ActorDeadError, match="in quarantine"):
        system.ask("parrot", Say("anyone"), 600.0)


@pytest.mark.parametrize("kind", [Parrot, PinnedParrot])
def test_question_to_oneself_fails_at_once_and_nobody_hangs(
    system: System, kind: type[Parrot]
) -> None:
    notes: list[str] = []
    system.start_child(ChildSpec("parrot", "parrot", kind, making(kind, notes)))

    with pytest.raises(RuntimeError, match="'parrot' asks itself"):
        system.ask("parrot", AskYourself(), 30.0)

    system.tell("parrot", Say("hello"))
    wait_until(lambda: notes == ["1 starts", "1 stops", "2 starts", "2 hello"], what="the next")


def test_question_from_outside_is_no_question_to_oneself(system: System) -> None:
    go, waiting = threading.Event(), threading.Event()

    class Busy(Parrot):
        def on_receive(self, message: Any) -> Any:
            if message == Say("wait"):
                waiting.set()
                assert go.wait(30)
            return message.word

    system.start_child(ChildSpec("busy", "busy", Busy, lambda context: Busy(context, [])))
    system.tell("busy", Say("wait"))
    assert waiting.wait(10)
    with pytest.raises(pykka.Timeout):
        system.ask("busy", Say("later"), 0.01)
    go.set()
    assert system.ask("busy", Say("now"), 30.0) == "now"


# Exits in a handler.


@pytest.mark.parametrize("kind", [Parrot, PinnedParrot])
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_exit_in_a_handler_is_a_failure_of_that_actor_alone(
    system: System, kind: type[Parrot], error: BaseException
) -> None:
    notes: list[str] = []
    other: list[str] = []
    make: Callable[[Context], Actor] = lambda context: kind(context, notes, error)  # noqa: E731 - a factory
    system.start_child(ChildSpec("parrot", "parrot", kind, make))
    system.start_child(ChildSpec("other", "parrot", Parrot, parrot(other)))

    system.tell("parrot", Raise())
    system.tell("parrot", Say("after"))
    system.tell("other", Say("hello"))

    wait_until(lambda: notes == ["1 starts", "1 stops", "2 starts", "2 after"], what="the next")
    wait_until(lambda: other == ["1 starts", "1 hello"], what="the other")
    [line] = system.dossiers.all(10)
    assert line.error.startswith(type(error).__name__)
    assert {thread.name for thread in threading.enumerate()} >= {"dispatcher-0", "timers"}


def test_end_is_told_once_whatever_happens_on_the_way() -> None:
    system, notes = SeededSystem(), list[str]()
    supervisor = system.probe("supervisor")
    system.start("parrot", parrot(notes))
    system.tell("parrot", Raise())
    system.run()
    system.stop("parrot")
    system.stop("parrot")
    system.advance(60.0)
    assert [stopped.name for stopped in supervisor.of(ChildStopped)] == ["parrot"]
