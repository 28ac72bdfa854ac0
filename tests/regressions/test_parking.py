"""Parked trades: the journal is read when there is room, and what it lacks blocks nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.connection import ConnectionState
from actors.connection.parking import RETRY_S, Parking
from actors.domain import Drop, Mint, Place, Trade
from actors.journal.records import FrameRecord
from actors.protocol.shard import Shard
from actors.runtime import Actor, Context, Message
from actors.runtime.simulation import SeededSystem
from settings import Settings
from tests.connection.system import KeptHistory, KeptJournal
from tests.connection.test_replay_source import buy
from tests.discovery.builders import START_US, trade
from tests.support.drops import dropped

if TYPE_CHECKING:
    from collections.abc import Iterator

import msgspec

A = Mint("MintA")
NAME = "tracker:MintA"


class CountedHistory(KeptHistory):
    """Counts how often it is asked."""

    asked = 0

    def steps(self, **criteria: Any) -> Iterator[Any]:
        self.asked += 1
        return super().steps(**criteria)


class Idle(Actor):
    def on_receive(self, message: Any) -> None:
        pass


class Parked:
    """A tracker with room for `capacity` events whose lane is held, and its parked trades."""

    def __init__(self, capacity: int) -> None:
        self.system = SeededSystem(settings=Settings())
        self.journal = KeptJournal()
        self.history = CountedHistory(self.journal)
        self.state = ConnectionState(self.system.settings)
        contexts: list[Context] = []

        def make(context: Context) -> Actor:
            contexts.append(context)
            return Idle(context)

        self.system.start("connection", make)
        self.tracker = self.system.probe(NAME)
        cell = self.system._cells[NAME]
        cell.mailbox.capacity = capacity
        cell.mailbox.hold()
        self.mailbox = cell.mailbox
        self.parking = Parking(contexts[0], self.state, self.history, Shard(contexts[0]))

    def park(self, *numbers: int, journalled: bool = True) -> None:
        for number in numbers:
            self.system.ledger.receive(Place.QUEUED)
            self.parking.park(A, [trade(seq=number, at_s=number)])
            if journalled:
                frame = msgspec.json.encode(buy("MintA", number))
                at_us = START_US + number * 1_000_000
                self.journal.append([FrameRecord(seq=number, at_us=at_us, data=frame)])

    def try_again(self) -> None:
        self.system.advance(RETRY_S * 2)
        self.parking.hand_on()

    def places(self) -> dict[str, int]:
        return {place: count for place, count in self.system.ledger.read()[1].items() if count}


class Filler(Message, frozen=True):
    """Takes room."""


def test_the_journal_is_not_read_while_the_tracker_has_no_room() -> None:
    parked = Parked(capacity=1)
    parked.system.tell(NAME, Filler())
    parked.park(1, 2)
    for _ in range(5):
        parked.try_again()
    assert parked.history.asked == 0
    parked.mailbox.release()
    parked.system.run()
    for _ in range(5):
        parked.try_again()
        parked.system.run()
    assert [event.seq for event in parked.tracker.of(Trade)] == [1, 2]
    assert parked.state.parked == {}
    assert parked.places() == {"queued": 2}


def test_what_the_journal_does_not_have_is_given_up_and_blocks_nothing_later() -> None:
    parked = Parked(capacity=10)
    parked.park(1, 2, journalled=False)
    parked.try_again()
    assert parked.state.parked == {}
    assert parked.places() == {"dead": 2}
    assert dropped(parked.system.telemetry, Drop.PARKED_LOST) == 2


def test_what_the_journal_lacks_at_the_end_is_given_up_behind_what_it_has() -> None:
    parked = Parked(capacity=10)
    parked.park(1, 2)
    parked.park(3, journalled=False)
    parked.mailbox.release()
    for _ in range(3):
        parked.try_again()
        parked.system.run()
    assert [event.seq for event in parked.tracker.of(Trade)] == [1, 2]
    assert parked.state.parked == {}
    assert parked.places() == {"queued": 2, "dead": 1}
