"""The mailbox: lanes, bound, order, ages."""

from __future__ import annotations

from typing import Any

import msgspec
import pykka
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.mailbox import Load, Mailbox
from actors.runtime.messages import Batch, Control, Message


class Data(Message, frozen=True):
    n: int


class Urgent(Control, frozen=True):
    n: int


class Tick(Message, frozen=True):
    source: str
    n: int
    keyed = True

    @property
    def coalesce_key(self) -> object:
        return self.source


class Several(Batch, frozen=True):
    events: tuple[int, ...]


class Bench:
    """A mailbox with a clock that is moved by hand and a count of wake-ups."""

    def __init__(self, capacity: int = 10) -> None:
        self.now_ns = 0
        self.wakeups = 0
        self.load = Load()
        self.mailbox = Mailbox(capacity, self.load, lambda: self.now_ns, self._ready)

    def _ready(self) -> None:
        self.wakeups += 1

    def taken(self) -> list[Any]:
        found = []
        while (envelope := self.mailbox.take()) is not None:
            found.append(envelope.message)
        return found


def test_messages_leave_in_the_order_they_came_and_control_overtakes() -> None:
    bench = Bench()
    for message in (Data(1), Data(2), Urgent(1), Data(3), Urgent(2)):
        assert bench.mailbox.offer(message)
    assert bench.taken() == [Urgent(1), Urgent(2), Data(1), Data(2), Data(3)]


def test_data_is_refused_at_the_bound_while_control_and_own_messages_are_not() -> None:
    bench = Bench(capacity=2)
    assert bench.mailbox.offer(Data(1))
    assert bench.mailbox.offer(Data(2))
    assert not bench.mailbox.offer(Data(3))
    assert bench.mailbox.offer(Urgent(1))
    assert bench.mailbox.offer(Data(4), from_self=True)
    assert bench.taken() == [Urgent(1), Data(1), Data(2), Data(4)]


def test_a_batch_counts_its_events() -> None:
    bench = Bench(capacity=4)
    bench.mailbox.offer(Several((1, 2, 3)))
    bench.mailbox.offer(Data(1))
    assert (bench.mailbox.depth, bench.load.events) == (4, 4)
    assert not bench.mailbox.offer(Data(2))
    bench.taken()
    assert (bench.mailbox.depth, bench.mailbox.peak, bench.load.events) == (0, 4, 0)


def test_a_keyed_message_replaces_its_predecessor_at_its_place() -> None:
    bench = Bench()
    for message in (Tick("a", 1), Data(1), Tick("b", 1), Tick("a", 2)):
        bench.mailbox.offer(message)
    assert bench.mailbox.depth == 3
    assert bench.taken() == [Tick("a", 2), Data(1), Tick("b", 1)]
    bench.mailbox.offer(Tick("a", 3))
    assert bench.taken() == [Tick("a", 3)]


def test_a_held_data_lane_lets_control_through_until_it_is_released() -> None:
    bench = Bench()
    bench.mailbox.hold()
    bench.mailbox.offer(Data(1))
    assert not bench.mailbox.deliverable
    bench.mailbox.offer(Urgent(1))
    assert bench.taken() == [Urgent(1)]
    wakeups = bench.wakeups
    bench.mailbox.release()
    assert bench.wakeups == wakeups + 1
    assert bench.taken() == [Data(1)]


def test_the_age_of_the_oldest_message_looks_at_both_lanes() -> None:
    bench = Bench()
    assert bench.mailbox.oldest_age_s() is None
    bench.mailbox.offer(Data(1))
    bench.now_ns = 2_000_000_000
    bench.mailbox.offer(Urgent(1))
    bench.now_ns = 3_000_000_000
    assert bench.mailbox.oldest_age_s() == 3.0


def test_a_closed_mailbox_gives_back_what_was_never_handled_and_refuses_the_rest() -> None:
    bench = Bench()
    bench.mailbox.offer(Data(1))
    bench.mailbox.offer(Urgent(1))
    left = [envelope.message for envelope in bench.mailbox.close()]
    assert left == [Urgent(1), Data(1)]
    assert not bench.mailbox.offer(Urgent(2))
    assert bench.load.events == 0


def test_the_rest_of_a_batch_goes_back_in_front() -> None:
    bench = Bench()
    bench.mailbox.offer(Data(1))
    bench.mailbox.put_back(Several((2, 3)))
    assert bench.taken() == [Several((2, 3)), Data(1)]


def test_an_empty_mailbox_never_blocks_its_taker() -> None:
    bench = Bench()
    assert bench.mailbox.empty()
    with pytest.raises(LookupError, match="empty"):
        bench.mailbox.get()


def test_pykka_sends_through_the_same_lanes() -> None:
    bench = Bench()
    bench.mailbox.offer(Data(1))
    stop = pykka.messages._ActorStop()
    bench.mailbox.put(msgspec.defstruct("Envelope", ["message", "reply_to"])(stop, None))
    assert bench.taken() == [stop, Data(1)]


@given(st.lists(st.sampled_from(["data", "control", "take"]), max_size=60))
def test_depth_and_load_always_equal_what_can_be_taken(steps: list[str]) -> None:
    bench = Bench(capacity=8)
    for n, step in enumerate(steps):
        match step:
            case "data":
                bench.mailbox.offer(Data(n))
            case "control":
                bench.mailbox.offer(Urgent(n))
            case _:
                bench.mailbox.take()
    assert bench.mailbox.depth == bench.load.events
    assert len(bench.taken()) <= len(steps)
    assert bench.mailbox.depth == 0
