"""Trades that their tracker cannot take now: parked, and handed on later from the journal.

Purpose: one coin that is paused, in quarantine or behind never stops the socket and loses nothing.
Guarantees: once an event of a mint was refused, everything later of that mint is parked too, so its
order holds; what is handed on later is what the journal has, in the order it has it; a mint whose
events are all handed on is routed as before. The journal is read only as far as a tracker has room,
and for `LOOK_S` at a time.
Relies on: everything parked is in the journal, because a slice is journalled before it is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors.connection.frames import decode
from actors.connection.journal_records import Frame
from actors.control import tracker_name
from actors.domain import Coin, Migration, Mint, Place, Trade
from actors.tracker.messages import TradesArrived, TradesParked, TradesUnparked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actors.connection.history import History
    from actors.connection.journal_records import Record
    from actors.connection.state import ConnectionState
    from actors.runtime import Context

RETRY_S: Final = 0.25
"""Between two looks whether a tracker has room again."""
LOOK_S: Final = 0.01
"""How long the journal is read before the socket is looked at again."""
BATCH: Final = 512
"""Events handed on at once."""


@dataclass(slots=True)
class _Span:
    """Events parked without a break, by their numbers."""

    first_seq: int
    last_seq: int


class Parked:
    """What is parked of one mint."""

    def __init__(self, first: Trade | Migration) -> None:
        self.number = first.seq
        """What the tracker knows this time of parking by; a later one has a higher number."""
        self.from_us = first.arrived_us
        """No event that is still to be handed on arrived earlier."""
        self.trades = 0
        """Those that are still to be handed on."""
        self.trades_total = 0
        self.records: Iterator[Record | None] | None = None
        """Where the journal is being read, between two looks."""
        self.is_barren = False
        """Nothing was found since reading began."""
        self._spans: list[_Span] = []
        self._is_interrupted = True

    @property
    def next_seq(self) -> int:
        """The first event that is still to be handed on."""
        return self._spans[0].first_seq

    @property
    def last_seq(self) -> int:
        """The last one."""
        return self._spans[-1].last_seq

    def add(self, events: Sequence[Trade | Migration]) -> int:
        """Note further events; return how many of them are trades."""
        if self._is_interrupted:
            self._spans.append(_Span(events[0].seq, events[-1].seq))
            self._is_interrupted = False
        self._spans[-1].last_seq = events[-1].seq
        trades = _trades_in(events)
        self.trades += trades
        self.trades_total += trades
        return trades

    def interrupt(self) -> None:
        """What arrives before the next event that is added here is not parked."""
        self._is_interrupted = True

    def holds(self, seq: int) -> bool:
        """Whether an event of this number is parked."""
        return any(span.first_seq <= seq <= span.last_seq for span in self._spans)

    def pass_by(self, events: Sequence[Trade | Migration]) -> bool:
        """Note that these were handed on; return whether they were the last ones."""
        last = events[-1]
        self.trades -= _trades_in(events)
        self.from_us = last.arrived_us + 1
        self._spans = [span for span in self._spans if span.last_seq > last.seq]
        if self._spans:
            self._spans[0].first_seq = max(self._spans[0].first_seq, last.seq + 1)
        return not self._spans


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

    def next_seq(self, mint: Mint) -> int | None:
        """Give the number of the next event to hand on; None: nothing waits."""
        parked = self._state.parked.get(mint)
        return None if parked is None else parked.next_seq

    def park(self, mint: Mint, events: Sequence[Trade | Migration]) -> None:
        """Count events, which are in the journal, as parked."""
        parked = self._state.parked.get(mint)
        is_new = parked is None
        if parked is None:
            parked = self._state.parked[mint] = Parked(events[0])
        trades = parked.add(events)
        self._context.ledger.move(Place.QUEUED, Place.PARKED, trades)
        self._context.telemetry.trades_parked.inc(trades)
        if is_new:
            self._announce(mint, parked)
            self._context.log.warning("parked", mint=mint, cause="its tracker takes no messages")
            self._context.note(mint, "parked", trades=trades)

    def _announce(self, mint: Mint, parked: Parked) -> None:
        self._tell(mint, TradesParked(parked.number, parked.from_us))

    def hand_on(self, *, at_once: bool = False) -> None:
        """Hand on what is parked, as far as trackers have room, for about `LOOK_S`.

        Trackers are asked every `RETRY_S`, or now; where reading has begun it goes on each time.
        """
        parked = self._state.parked
        if not parked:
            return
        now_s = self._context.monotonic_s()
        is_time = at_once or now_s - self._tried_s >= RETRY_S
        if is_time:
            self._tried_s = now_s
        until_s = now_s + LOOK_S
        for mint in [each for each in parked if is_time or parked[each].records is not None]:
            self._hand_on(mint, parked[mint], until_s)
            if self._context.monotonic_s() >= until_s:
                self._put_last(mint)
                return

    def _put_last(self, mint: Mint) -> None:
        """Let the others come first the next time."""
        parked = self._state.parked.pop(mint, None)
        if parked is not None:
            self._state.parked[mint] = parked

    # Routes.

    def interrupt(self, mint: Mint) -> None:
        """The route is closed: what arrives before it is open again is not parked."""
        parked = self._state.parked.get(mint)
        if parked is not None:
            parked.interrupt()

    def resume(self, mint: Mint) -> None:
        """The route is open again, to a tracker that does not know what waits for it."""
        parked = self._state.parked.get(mint)
        if parked is not None:
            parked.records = None
            self._announce(mint, parked)

    def leave(self, mint: Mint) -> int | None:
        """Leave what waits to the next start; give from when on events were not handed on.

        It stays parked in the books, and in the journal.
        """
        parked = self._state.parked.pop(mint, None)
        return None if parked is None else parked.from_us

    def give_up(self, mint: Mint, cause: str) -> None:
        """Go on without what waits; its trades are dead."""
        parked = self._state.parked.pop(mint)
        self._context.ledger.move(Place.PARKED, Place.DEAD, parked.trades)
        self._context.log.error("parked_trades_lost", mint=mint, trades=parked.trades, cause=cause)
        self._context.note(mint, "parked_trades_lost", trades=parked.trades, cause=cause)
        self._tell(mint, TradesUnparked(parked.number))

    # Handing on.

    def _hand_on(self, mint: Mint, parked: Parked, until_s: float) -> None:
        tracker = self._context.ref(tracker_name(mint))
        room = min(BATCH, tracker.room)
        if room == 0:
            return
        if parked.records is None:
            parked.records = self._history.steps(
                since_us=parked.from_us, before_seq=parked.last_seq + 1, mint=mint
            )
            parked.is_barren = True
        events, is_at_end = self._look_up(mint, parked, room, until_s)
        if events:
            parked.is_barren = False
            # The reading has passed what is refused, so it begins anew then.
            is_at_end = not self._offer(mint, parked, events) or is_at_end
        if is_at_end:
            parked.records = None
            if parked.is_barren:
                self.give_up(mint, "the journal could not be written when they came")

    def _look_up(
        self, mint: Mint, parked: Parked, room: int, until_s: float
    ) -> tuple[list[Trade | Migration], bool]:
        """Read the next events, at most `room`; say whether the journal has no more of them."""
        events: list[Trade | Migration] = []
        for record in parked.records or ():
            event = _event_of(record, mint, parked)
            if event is not None:
                events.append(event)
            if len(events) == room or self._context.monotonic_s() >= until_s:
                return events, False
        return events, True

    def _offer(self, mint: Mint, parked: Parked, events: list[Trade | Migration]) -> bool:
        ledger, trades = self._context.ledger, _trades_in(events)
        ledger.move(Place.PARKED, Place.QUEUED, trades)
        if not self._context.ref(tracker_name(mint)).offer(TradesArrived(tuple(events))):
            ledger.move(Place.QUEUED, Place.PARKED, trades)
            return False
        if parked.pass_by(events):
            self._unpark(mint, parked)
        return True

    def _unpark(self, mint: Mint, parked: Parked) -> None:
        if parked.trades:
            self.give_up(mint, "the journal could not be written when they came")
            return
        del self._state.parked[mint]
        self._tell(mint, TradesUnparked(parked.number))
        self._context.log.info("unparked", mint=mint)
        self._context.note(mint, "unparked", trades=parked.trades_total)

    def _tell(self, mint: Mint, message: TradesParked | TradesUnparked) -> None:
        self._context.ref(tracker_name(mint)).offer(message)


def _trades_in(events: Sequence[Trade | Migration]) -> int:
    return sum(isinstance(event, Trade) for event in events)


def _event_of(record: Record | None, mint: Mint, parked: Parked) -> Trade | Migration | None:
    if not isinstance(record, Frame) or not parked.holds(record.seq):
        return None
    decoded = decode(record.data, record.seq, record.at_us)
    event = decoded.buy if isinstance(decoded, Coin) else decoded
    if isinstance(event, Trade | Migration) and event.mint == mint:
        return event
    return None
