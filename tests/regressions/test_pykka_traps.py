"""Pykka's traps: each scenario goes wrong on a stock `ThreadingActor`, and not on our runtime."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

import pykka
import pytest

from actors.runtime import (
    Actor,
    ArrivalClock,
    ChildFailed,
    ChildSpec,
    Message,
    RestartBudget,
    System,
)
from settings import load
from telemetry import Telemetry
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.runtime import Context

QUICK = RestartBudget(intensity=5, first_s=0.001, max_s=0.002)


class Add(Message, frozen=True):
    n: int


class Fail(Message, frozen=True):
    pass


class Exit(Message, frozen=True):
    pass


class Wait(Message, frozen=True):
    """Keeps the actor busy until the test lets it go on."""


class TellYourself(Message, frozen=True):
    times: int


class Life:
    """What has happened to an actor, over its instances."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.waiting = threading.Event()
        self.go = threading.Event()
        self.fail_next_start = False

    def started(self) -> None:
        self.notes.append("start")
        if self.fail_next_start:
            self.fail_next_start = False
            raise OSError("the start failed")

    def handle(self, message: Any) -> Any:
        match message:
            case Add(n):
                self.notes.append(f"add {n}")
            case Fail():
                raise ValueError("poison")
            case Exit():
                raise SystemExit(3)
            case Wait():
                self.waiting.set()
                assert self.go.wait(30)


class Stock(pykka.ThreadingActor):
    """The peer: the same behaviour, with every hook that Pykka offers."""

    use_daemon_thread = True

    def __init__(self, life: Life) -> None:
        super().__init__()
        self.life = life

    def on_start(self) -> None:
        self.life.started()

    def on_stop(self) -> None:
        self.life.notes.append("stop")

    def on_failure(self, *_: Any) -> None:
        self.life.notes.append("failure")

    def on_receive(self, message: Any) -> Any:
        return self.life.handle(message)


class Ours(Actor):
    def __init__(self, context: Context, life: Life) -> None:
        super().__init__(context)
        self.life = life

    def on_start(self) -> None:
        self.life.started()

    def on_stop(self) -> None:
        self.life.notes.append("stop")

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, TellYourself):
            for n in range(message.times):
                self.context.tell_self(Add(n))
        return self.life.handle(message)


class Pinned(Ours):
    own_thread = True


class Listener(Actor):
    """Stands where the supervisor stands."""

    def __init__(self, context: Context, failures: list[ChildFailed]) -> None:
        super().__init__(context)
        self._failures = failures

    def on_receive(self, message: Any) -> None:
        if isinstance(message, ChildFailed):
            self._failures.append(message)


class House:
    def __init__(self, kind: type[Ours]) -> None:
        self.kind = kind
        self.failures: list[ChildFailed] = []
        self.lives: list[Life] = []
        self.system = System(settings=load({}), telemetry=Telemetry(), clock=ArrivalClock())
        self.system.open()
        self.system.start_child(
            ChildSpec(
                "supervisor", "supervisor", Listener, lambda ctx: Listener(ctx, self.failures)
            )
        )

    def start(self, name: str = "ours", life: Life | None = None, **spec: Any) -> Life:
        life = life or Life()
        self.lives.append(life)
        self.system.start_child(
            ChildSpec(
                name, "ours", self.kind, lambda ctx: self.kind(ctx, life), budget=QUICK, **spec
            )
        )
        return life

    def tell(self, *messages: Message) -> None:
        for message in messages:
            assert self.system.tell("ours", message)

    def close(self) -> None:
        for life in self.lives:
            life.go.set()
        assert self.system.close(20) == []


@pytest.fixture(params=[Ours, Pinned], ids=["shared", "pinned"])
def house(request: pytest.FixtureRequest, registry_of_its_own: None) -> Iterator[House]:
    opened = House(request.param)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def registry_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pykka stops everybody in its registry at an exit, also those of other tests."""
    monkeypatch.setattr(pykka.ActorRegistry, "_actor_refs", [])
    yield
    pykka.ActorRegistry.stop_all(timeout=10)


def notes(life: Life, *expected: str) -> None:
    wait_until(lambda: life.notes == list(expected), 10.0, what=f"{life.notes} to be {expected}")


def test_exception_in_on_start_calls_the_hook_and_is_told(house: House) -> None:
    stock = Life()
    stock.fail_next_start = True
    ref = Stock.start(stock)
    wait_until(lambda: not ref.is_alive(), what="the end of the stock actor")
    assert stock.notes == ["start"]

    life = Life()
    life.fail_next_start = True
    house.start(life=life)
    house.tell(Add(1))
    notes(life, "start", "stop", "start", "add 1")
    assert [failed.error for failed in house.failures] == ["OSError: the start failed"]


def test_failure_under_ask_is_told_to_more_than_the_asker(house: House) -> None:
    stock = Life()
    ref = Stock.start(stock)
    with pytest.raises(ValueError, match="poison"):
        ref.ask(Fail(), timeout=10)
    ref.ask(Add(1), timeout=10)
    assert stock.notes == ["start", "add 1"]

    life = house.start()
    with pytest.raises(ValueError, match="poison"):
        house.system.ask("ours", Fail(), 10)
    house.tell(Add(1))
    notes(life, "start", "stop", "start", "add 1")
    assert [failed.error for failed in house.failures] == ["ValueError: poison"]
    assert [letter.reason for letter in house.system.dead_letters.all()] == ["failed"]


def test_system_exit_in_one_actor_ends_nobody_else(house: House) -> None:
    life, other = house.start(), house.start("other")
    house.tell(Exit(), Add(1))
    house.system.tell("other", Add(2))
    notes(life, "start", "stop", "start", "add 1")
    notes(other, "start", "add 2")
    house.close()

    stock, neighbour = Life(), Life()
    ref, neighbour_ref = Stock.start(stock), Stock.start(neighbour)
    ref.tell(Exit())
    wait_until(lambda: not neighbour_ref.is_alive(), what="the end of the neighbour")


def test_mailbox_of_a_failed_actor_is_not_dropped(house: House) -> None:
    stock = Life()
    ref = Stock.start(stock)
    for message in (Wait(), Fail(), Add(1), Add(2)):
        ref.tell(message)
    stock.go.set()
    wait_until(lambda: not ref.is_alive(), what="the end of the stock actor")
    actor = ref._actor_weakref()
    wait_until(lambda: actor is None or actor.actor_inbox.empty(), what="its empty inbox")
    assert stock.notes == ["start", "failure"]

    life = house.start()
    house.tell(Wait(), Fail(), Add(1), Add(2))
    life.go.set()
    notes(life, "start", "stop", "start", "add 1", "add 2")


class BoundedInbox(queue.Queue[Any]):
    """As anybody would bound Pykka's inbox; a put that nobody makes room for ends after 0.3 s."""

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, timeout=0.3)


class StockBounded(Stock):
    @staticmethod
    def _create_actor_inbox() -> Any:
        return BoundedInbox(maxsize=2)

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, TellYourself):
            try:
                for n in range(message.times):
                    self.actor_ref.tell(Add(n))
            except queue.Full:
                self.life.notes.append("deadlock")
        return super().on_receive(message)


def test_telling_oneself_into_a_full_mailbox_does_not_deadlock(house: House) -> None:
    stock = Life()
    StockBounded.start(stock).tell(TellYourself(4))
    notes(stock, "start", "deadlock", "add 0", "add 1")

    life = house.start(capacity=2)
    house.tell(TellYourself(4))
    notes(life, "start", "add 0", "add 1", "add 2", "add 3")


def test_stop_does_not_wait_behind_the_mailbox(house: House) -> None:
    stock = Life()
    ref = Stock.start(stock)
    ref.tell(Wait())
    for n in range(3):
        ref.tell(Add(n))
    stopped = ref.stop(block=False)
    stock.go.set()
    stopped.get(timeout=10)
    notes(stock, "start", "add 0", "add 1", "add 2", "stop")

    life = house.start()
    house.tell(Wait(), Add(0), Add(1), Add(2))
    assert life.waiting.wait(10)
    assert not house.system.stop_child("ours", 0.0)
    life.go.set()
    notes(life, "start", "stop")
    wait_until(lambda: not house.system.running("ours"), what="its end")
    assert [letter.message for letter in house.system.dead_letters.all()] == [
        Add(0), Add(1), Add(2),
    ]  # fmt: skip


def test_restarted_actor_keeps_its_urn_and_its_references(house: House) -> None:
    stock = Life()
    ref = Stock.start(stock)
    ref.tell(Fail())
    wait_until(lambda: not ref.is_alive(), what="the end of the stock actor")
    again = Stock.start(stock)
    assert again.actor_urn != ref.actor_urn
    with pytest.raises(pykka.ActorDeadError):
        ref.tell(Add(1))

    life = house.start()
    notes(life, "start")
    [ours] = [each for each in pykka.ActorRegistry.get_all() if each.actor_class is house.kind]
    urn = ours.actor_urn
    house.tell(Fail())
    notes(life, "start", "stop", "start")
    ours.tell(Add(1))
    notes(life, "start", "stop", "start", "add 1")
    assert ours.is_alive()
    assert ours.actor_urn == urn
    assert pykka.ActorRegistry.get_by_urn(urn) is ours
