"""Trades that their tracker cannot take now: parked, and handed on later from the journal.

Purpose: one coin that is paused, in quarantine or behind never stops the socket and loses nothing.
Guarantees: once an event of a mint was refused, everything later of that mint is parked too, so its
order holds; what is handed on later is what the journal has, in the order it has it; a mint whose
events are all handed on is routed as before. The journal is read only as far as a tracker has room.
Relies on: everything parked is in the journal, because a slice is journalled before it is told.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from actors.connection.frames import decode
from actors.connection.journal_records import Frame
from actors.control import tracker_name
from actors.domain import Coin, Migration, Mint, Place, Trade
from actors.tracker.messages import TradesArrived, TradesParked, TradesUnparked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actors.connection.journal_records import Record
    from actors.connection.recovery import History
    from actors.connection.state import ConnectionState
    from actors.runtime import Context

RETRY_S: Final = 0.25
BATCH: Final = 512
"""Events handed on at once, and looked for in the journal at once."""


class Parked:
    """What is parked of one mint."""

    def __init__(self, first: Trade | Migration) -> None:
        self.number = first.seq
        """What the tracker knows this time of parking by; a later one has a higher number."""
        self.next_seq = first.seq
        """The first event that is still to be handed on."""
        self.from_us = first.arrived_us
        self.last_seq = first.seq
        self.trades = 0
        self.records: Iterator[Record] | None = None

    def add(self, events: Sequence[Trade | Migration]) -> int:
        """Note further events; return how many of them are trades."""
        trades = sum(isinstance(event, Trade) for event in events)
        self.last_seq = events[-1].seq
        self.trades += trades
        return trades


class Parking:
    """See the module's docstring. One for each instance of the actor; the state outlives it."""

    def __init__(self, context: Context, state: ConnectionState, history: History) -> None:
        self._context = context
        self._state = state
        self._history = history
        self._tried_s = 0.0

    def holds(self, mint: Mint) -> bool:
        """Whether events of the mint have to be parked to keep their order."""
        return mint in self._state.parked

    def park(self, mint: Mint, events: Sequence[Trade | Migration]) -> None:
        """Count events, which are in the journal, as parked."""
        parked = self._state.parked.get(mint)
        if parked is None:
            parked = self._state.parked[mint] = Parked(events[0])
            self._tell(mint, TradesParked(parked.number, parked.from_us))
            self._context.log.warning("parked", mint=mint, cause="its tracker takes no messages")
        trades = parked.add(events)
        self._context.ledger.move(Place.QUEUED, Place.PARKED, trades)
        self._context.telemetry.trades_parked.inc(trades)

    def hand_on(self) -> None:
        """Try, now and then, to hand on what is parked, a bounded number of events a mint."""
        now_s = self._context.monotonic_s()
        if not self._state.parked or now_s - self._tried_s < RETRY_S:
            return
        self._tried_s = now_s
        for mint in list(self._state.parked):
            self._hand_on(mint, self._state.parked[mint])

    def forget(self, mint: Mint) -> int | None:
        """The route is closed: tell from when on the mint's events were not handed on, if so.

        Its trades stay parked in the books, and in the journal for a later start.
        """
        parked = self._state.parked.pop(mint, None)
        return None if parked is None else parked.from_us

    def _hand_on(self, mint: Mint, parked: Parked) -> None:
        tracker = self._context.ref(tracker_name(mint))
        room = min(BATCH, tracker.room)
        if room == 0:
            return
        is_anew = parked.records is None
        if parked.records is None:
            parked.records = self._history.records(
                since_us=parked.from_us, before_seq=parked.last_seq + 1, mint=mint
            )
        found = (_event_of(record, mint, parked.next_seq) for record in parked.records)
        events = list(itertools.islice((event for event in found if event is not None), room))
        if events and tracker.offer(TradesArrived(tuple(events))):
            self._handed_on(mint, parked, events)
            return
        # A refused batch is looked up anew: the iterator has passed it.
        parked.records = None
        if is_anew and not events:
            self._give_up(mint, parked)

    def _give_up(self, mint: Mint, parked: Parked) -> None:
        """Go on without what the journal does not have: it could not be written at the time."""
        self._context.log.error("parked_trades_lost", mint=mint, trades=parked.trades)
        self._unpark(mint, parked)

    def _unpark(self, mint: Mint, parked: Parked) -> None:
        del self._state.parked[mint]
        self._tell(mint, TradesUnparked(parked.number))
        self._context.ledger.move(Place.PARKED, Place.DEAD, parked.trades)

    def _handed_on(self, mint: Mint, parked: Parked, events: list[Trade | Migration]) -> None:
        trades = sum(isinstance(event, Trade) for event in events)
        self._context.ledger.move(Place.PARKED, Place.QUEUED, trades)
        parked.trades -= trades
        parked.next_seq, parked.from_us = events[-1].seq + 1, events[-1].arrived_us
        if parked.next_seq > parked.last_seq:
            self._unpark(mint, parked)
            self._context.log.info("unparked", mint=mint)

    def _tell(self, mint: Mint, message: TradesParked | TradesUnparked) -> None:
        self._context.ref(tracker_name(mint)).offer(message)


def _event_of(record: Record, mint: Mint, next_seq: int) -> Trade | Migration | None:
    if not isinstance(record, Frame) or record.seq < next_seq:
        return None
    decoded = decode(record.data, record.seq, record.at_us)
    event = decoded.buy if isinstance(decoded, Coin) else decoded
    if isinstance(event, Trade | Migration) and event.mint == mint:
        return event
    return None
