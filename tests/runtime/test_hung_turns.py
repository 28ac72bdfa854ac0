"""Turns that hang: reported, done without, and taken back when they return after all."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from actors.runtime import Actor, ArrivalClock, Batch, ChildSpec, Context, Message, System
from actors.runtime.dispatcher import MAX_LOST
from actors.runtime.simulation import SeededSystem
from settings import load
from telemetry import Telemetry
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from actors.runtime.watchdog import Stall

NEVER = 3_600.0


def report_stalls(system: System, limit_s: float) -> list[Stall]:
    return system.watchdog.report(system._long_turns(limit_s))


class Add(Message, frozen=True):
    n: int


class Adds(Batch, frozen=True):
    events: tuple[Add, ...]


class Hang(Message, frozen=True):
    pass


class Spin(Message, frozen=True):
    """Keeps the processor busy until the test lets it go."""


class Gate:
    """Where an actor hangs until the test opens it."""

    def __init__(self) -> None:
        self.hangs = threading.Event()
        self.go = threading.Event()
        self.total = 0
        self.stopped = threading.Event()

    def pass_through(self) -> None:
        self.hangs.set()
        assert self.go.wait(60)


class Sum(Actor):
    """Adds up, and hangs in the place that its name says."""

    def __init__(self, context: Context, gate: Gate) -> None:
        super().__init__(context)
        self.gate = gate
        self._hang_in("constructor")

    def on_start(self) -> None:
        self._hang_in("start")

    def on_stop(self) -> None:
        self._hang_in("stop")
        self.gate.stopped.set()

    def on_receive(self, message: Any) -> None:
        match message:
            case Add(n):
                self.gate.total += n
            case Hang():
                self.gate.pass_through()
            case Spin():
                self.gate.hangs.set()
                while not self.gate.go.is_set():
                    pass

    def _hang_in(self, place: str) -> None:
        if self.context.name == f"hangs in {place}":
            self.gate.pass_through()


class PinnedSum(Sum):
    own_thread = True


class Polling(PinnedSum):
    polls = True

    def poll(self) -> None:
        self._hang_in("poll")


class House:
    def __init__(self, threads: int = 1) -> None:
        self.system = System(
            settings=load({}), telemetry=Telemetry(), clock=ArrivalClock(), threads=threads
        )
        self.unrecoverable: list[str] = []
        self.system.watchdog.on_beyond_help = self.unrecoverable.append
        self.gates: list[Gate] = []
        self.system.open()

    def sum(self, name: str, kind: type[Sum] = Sum) -> Gate:
        gate = Gate()
        self.gates.append(gate)
        make: Callable[[Context], Actor] = lambda context: kind(context, gate)  # noqa: E731 - a factory
        self.system.start_child(ChildSpec(name, "sum", kind, make))
        return gate

    def hang(self, name: str, message: Message | None = None) -> Gate:
        gate = self.sum(name)
        self.system.tell(name, message or Hang())
        assert gate.hangs.wait(10)
        return gate

    def look(self, limit_s: float = 0.0, own_thread_limit_s: float = NEVER) -> None:
        """Look after turns; with limit 0 every turn that runs is too long."""
        self.system.look_after(limit_s, own_thread_limit_s)

    def state(self, name: str) -> str:
        report = self.system.report(name)
        assert report is not None
        return report.state


@pytest.fixture(name="house")
def open_house() -> Iterator[House]:
    before = threading.active_count()
    house = House()
    yield house
    for gate in house.gates:
        gate.go.set()
    assert house.system.close(20) == []
    wait_until(lambda: threading.active_count() == before, what="the end of the threads")


def test_others_go_on_when_the_only_worker_hangs(house: House) -> None:
    house.hang("sick")
    healthy = house.sum("healthy")
    house.system.tell("healthy", Add(3))
    house.system.tell("sick", Adds((Add(1), Add(2))))

    house.look()

    wait_until(lambda: healthy.total == 3, what="the healthy actor")
    assert house.state("sick") == "blocked"
    assert house.state("healthy") == "running"
    assert house.system.room("sick") == 0
    assert house.system.load.events == 0
    assert (house.system.dispatcher.size, house.system.dispatcher.lost) == (1, 1)
    assert house.unrecoverable == []


def test_turn_that_returns_gives_the_actor_back_and_ends_its_thread(house: House) -> None:
    gate = house.hang("sick")
    threads = threading.active_count()
    house.look()
    house.system.tell("sick", Add(5))
    assert threading.active_count() == threads + 1

    gate.go.set()

    wait_until(lambda: gate.total == 5, what="the message behind the hung turn")
    wait_until(lambda: threading.active_count() == threads, what="the end of the lost thread")
    assert house.state("sick") == "running"
    assert house.system.room("sick") == 65_536
    assert house.system.dispatcher.lost == 0
    assert house.system.load.events == 0


def test_turn_between_the_limit_and_twice_the_limit_is_reported_and_waited_for(
    house: House,
) -> None:
    house.hang("slow")
    turn = wait_until(lambda: house.system._long_turns(0.05), what="a turn of 50 ms")[0]

    house.look(limit_s=turn.seconds * 0.9)

    assert house.system.telemetry.value("mintwatch_stalls_total", kind="other") == 1
    assert house.system.dispatcher.lost == 0
    assert house.state("slow") == "running"


def test_busy_loop_is_treated_like_a_turn_that_waits(house: House) -> None:
    gate = house.hang("sick", Spin())
    house.look()
    healthy = house.sum("healthy")
    house.system.tell("healthy", Add(1))
    wait_until(lambda: healthy.total == 1, what="the healthy actor")
    assert house.state("sick") == "blocked"
    gate.go.set()
    wait_until(lambda: house.state("sick") == "running", what="its return")


@pytest.mark.parametrize("place", ["constructor", "start"])
def test_start_that_hangs_is_done_without_as_well(house: House, place: str) -> None:
    gate = house.sum(f"hangs in {place}")
    assert gate.hangs.wait(10)
    [stall] = report_stalls(house.system, 0.0)
    assert stall.message == "on_start"
    assert "pass_through" in stall.stack

    house.look()

    healthy = house.sum("healthy")
    house.system.tell("healthy", Add(1))
    wait_until(lambda: healthy.total == 1, what="the healthy actor")
    assert house.state(f"hangs in {place}") == "blocked"
    gate.go.set()
    wait_until(lambda: house.state(f"hangs in {place}") == "running", what="its return")


def test_stop_that_hangs_is_done_without_as_well(house: House) -> None:
    gate = house.sum("hangs in stop")
    healthy = house.sum("healthy")
    wait_until(lambda: house.state("hangs in stop") == "running", what="its start")
    assert not house.system.stop_child("hangs in stop", 0.0)
    assert gate.hangs.wait(10)

    house.look()
    house.system.tell("healthy", Add(1))

    wait_until(lambda: healthy.total == 1, what="the healthy actor")
    gate.go.set()
    assert gate.stopped.wait(10)
    wait_until(lambda: not house.system.running("hangs in stop"), what="its end")
    assert house.system.dispatcher.lost == 0


def test_blocked_actor_that_is_told_to_stop_ends_when_its_turn_returns(house: House) -> None:
    gate = house.hang("sick")
    house.look()
    house.system.tell("sick", Add(1))
    assert not house.system.stop_child("sick", 0.0)

    gate.go.set()

    assert gate.stopped.wait(10)
    wait_until(lambda: not house.system.running("sick"), what="its end")
    assert gate.total == 0


def test_more_lost_threads_than_eight_are_beyond_help_and_said_once(house: House) -> None:
    for number in range(MAX_LOST):
        house.hang(f"sick {number}")
        house.look()
    assert house.system.dispatcher.lost == 8
    assert house.unrecoverable == []

    house.hang("the last")
    house.look()
    house.look()

    assert house.unrecoverable == ["9 actors are blocked at once, the last the last"]
    assert house.system.dispatcher.lost == 8
    assert house.state("the last") == "running"


def test_thread_that_came_back_makes_room_for_another_to_be_lost(house: House) -> None:
    gates = [house.hang("sick 0")]
    house.look()
    for number in range(1, MAX_LOST):
        gates.append(house.hang(f"sick {number}"))
        house.look()
    gates[0].go.set()
    wait_until(lambda: house.system.dispatcher.lost == 7, what="the first to come back")

    house.hang("another")
    house.look()

    assert house.state("another") == "blocked"
    assert house.unrecoverable == []


@pytest.mark.parametrize(
    ("name", "kind", "doing"),
    [
        ("pinned", PinnedSum, "Hang"),
        ("hangs in start", PinnedSum, "on_start"),
        ("hangs in poll", Polling, "poll"),
    ],
)
def test_pinned_actor_that_hangs_for_too_long_is_beyond_help(
    house: House, name: str, kind: type[Sum], doing: str
) -> None:
    gate = house.sum(name, kind)
    if doing == "Hang":
        house.system.tell(name, Hang())
    assert gate.hangs.wait(10)
    [stall] = report_stalls(house.system, 0.0)
    assert (stall.name, stall.message) == (name, doing)

    house.look()
    assert house.unrecoverable == []
    assert house.state(name) == "running"

    house.look(own_thread_limit_s=0.0)
    house.look(own_thread_limit_s=0.0)
    assert house.unrecoverable == [f"{name} has been at one turn for 0 s"]


def test_idle_actors_are_no_stalls(house: House) -> None:
    gate = house.sum("idle")
    house.system.tell("idle", Add(1))
    wait_until(lambda: gate.total == 1, what="the message")
    wait_until(lambda: report_stalls(house.system, 0.0) == [], what="the end of the turn")
    house.look(own_thread_limit_s=0.0)
    assert (house.system.dispatcher.lost, house.unrecoverable) == (0, [])


# Sizes.


def dispatchers() -> int:
    return sum(thread.name.startswith("dispatcher-") for thread in threading.enumerate())


def test_workers_can_be_more_and_fewer_while_messages_flow(house: House) -> None:
    gates = [house.sum(f"sum {number}") for number in range(10)]
    sent = 0
    for threads in (4, 1, 8, 2):
        house.system.dispatcher.resize(threads)
        assert house.system.dispatcher.size == threads
        for number in range(2_000):
            house.system.tell(f"sum {number % 10}", Add(1))
        sent += 2_000
    wait_until(lambda: sum(gate.total for gate in gates) == sent, what="every message")
    wait_until(lambda: dispatchers() == 2, what="two workers")
    assert house.system.dead_letters.all() == []


def test_more_workers_run_past_one_that_hangs(house: House) -> None:
    house.hang("sick")
    healthy = house.sum("healthy")
    house.system.tell("healthy", Add(1))
    house.system.dispatcher.resize(2)
    wait_until(lambda: healthy.total == 1, what="the healthy actor")


def test_fewer_workers_wait_for_the_turn_that_runs(house: House) -> None:
    house.system.dispatcher.resize(2)
    gate = house.hang("slow")
    house.system.dispatcher.resize(1)
    wait_until(lambda: dispatchers() == 1, what="one worker")
    gate.go.set()
    house.system.tell("slow", Add(1))
    wait_until(lambda: gate.total == 1, what="the slow actor")


@pytest.mark.parametrize("threads", [0, -1, 65])
def test_number_of_workers_has_bounds(house: House, threads: int) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        house.system.dispatcher.resize(threads)
    assert house.system.dispatcher.size == 1


def test_seeded_system_starts_no_threads_when_it_is_resized() -> None:
    system, before = SeededSystem(), threading.active_count()
    system.dispatcher.resize(4)
    assert system.dispatcher.size == 4
    assert threading.active_count() == before


def test_mailbox_capacity_changes_and_says_from_what_to_what(house: House) -> None:
    house.hang("slow")
    assert house.system.set_capacity("slow", 2) == (65_536, 2)
    assert [house.system.offer("slow", Add(1)) for _ in range(3)] == [True, True, False]
    assert house.system.set_capacity("slow", 3) == (2, 3)
    assert [house.system.offer("slow", Add(1)) for _ in range(2)] == [True, False]

    # What waits beyond a smaller bound stays.
    house.system.set_capacity("slow", 1)
    report = house.system.report("slow")
    assert report is not None
    assert (report.mailbox_depth, report.mailbox_capacity) == (3, 1)
    assert house.system.room("slow") == 0
    assert house.system.set_capacity("nobody", 1) is None
    with pytest.raises(ValueError, match="at least one event, not 0"):
        house.system.set_capacity("slow", 0)
