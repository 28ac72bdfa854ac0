"""Trades that their tracker cannot take now: parked, and handed on later from the journal.

Purpose: one coin that is paused, in quarantine or behind never stops the socket and loses nothing.
Guarantees: once an event of a mint was refused, everything later of that mint is parked too, so its
order holds; what is handed on later is what the journal has, in the order it has it; a mint whose
events are all handed on is routed as before. The journal is read only while a tracker has room, for
`LOOK_S` at a time, and once for all mints together: to its present end, at which nothing is left of
those whose trackers kept up.
Relies on: everything parked is in the journal, because a slice is journalled before it is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.connection.decoder import decode
from actors.connection.parked import Parked, trades_among
from actors.domain import Coin, Drop, Migration, Mint, Place, Trade
from actors.journal.records import FrameRecord
from actors.protocol.tracker import TradesParked, TradesUnparked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actors.connection.state import ConnectionState
    from actors.journal.history import MintHistory
    from actors.journal.records import Record
    from actors.protocol.shard import Shard
    from actors.runtime import Context

RETRY_S: Final = 0.25
"""Between two looks whether a tracker has room again."""
LOOK_S: Final = 0.01
"""How long the journal is read before the socket is looked at again."""
BATCH: Final = 512
"""Events handed on at once."""


class _Walk:
    """One reading of the journal, for the mints whose trackers had room when it began."""

    def __init__(self, records: Iterator[Record | None], mints: set[Mint]) -> None:
        self.records = records
        self.mints = mints


class Parking:
    """See the module's docstring. One for each instance of the actor; the state outlives it."""

    def __init__(
        self, context: Context, state: ConnectionState, history: MintHistory, shard: Shard
    ) -> None:
        self._context = context
        self._state = state
        self._shard = shard
        self._history = history
        self._tried_s = 0.0
        self._walk: _Walk | None = None

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
        self._shard.tell(mint, TradesParked(parked.number, parked.from_us))

    def hand_on(self, *, at_once: bool = False) -> None:
        """Hand on what is parked, as far as trackers have room, for about `LOOK_S`.

        Trackers are asked every `RETRY_S`, or now; a reading that has begun goes on each time.
        """
        now_s = self._context.monotonic_s()
        if self._walk is None and (at_once or now_s - self._tried_s >= RETRY_S):
            self._tried_s = now_s
            self._walk = self._begin()
        if self._walk is not None:
            self._go_on(self._walk, now_s + LOOK_S)

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
            if self._walk is not None:
                # It may have passed what the new tracker has to begin with.
                self._walk.mints.discard(mint)
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
        dropped = self._context.telemetry.dropped
        dropped.labels(reason=Drop.PARKED_LOST.value).inc(parked.trades)
        self._context.log.error("parked_trades_lost", mint=mint, trades=parked.trades, cause=cause)
        self._context.note(mint, "parked_trades_lost", trades=parked.trades, cause=cause)
        self._shard.tell(mint, TradesUnparked(parked.number))

    # Handing on.

    def _begin(self) -> _Walk | None:
        """Begin to read for every mint whose tracker has room; None when there is none."""
        ready = {mint: parked for mint, parked in self._state.parked.items() if self._room(mint)}
        if not ready:
            return None
        for parked in ready.values():
            parked.is_barren = True
        since_us = min(parked.from_us for parked in ready.values())
        return _Walk(self._history.steps(since_us=since_us), set(ready))

    def _go_on(self, walk: _Walk, until_s: float) -> None:
        found: dict[Mint, list[Trade | Migration]] = {}
        is_at_end = True
        for record in walk.records:
            event = _event_of(record)
            if event is not None and self._is_wanted(walk, event):
                events = found.setdefault(event.mint, [])
                events.append(event)
                if len(events) == BATCH:
                    self._deliver(walk, event.mint, found.pop(event.mint))
            if not walk.mints or self._context.monotonic_s() >= until_s:
                is_at_end = not walk.mints
                break
        for mint, events in found.items():
            self._deliver(walk, mint, events)
        if is_at_end:
            self._end(walk)

    def _is_wanted(self, walk: _Walk, event: Trade | Migration) -> bool:
        parked = self._state.parked.get(event.mint) if event.mint in walk.mints else None
        return parked is not None and parked.holds(event.seq)

    def _deliver(self, walk: _Walk, mint: Mint, events: list[Trade | Migration]) -> None:
        """Hand events on as far as there is room; a later reading finds the rest."""
        parked = self._state.parked[mint]
        parked.is_barren = False
        taken = events[: self._room(mint)]
        if not taken or not self._offer(mint, parked, taken) or len(taken) < len(events):
            walk.mints.discard(mint)

    def _end(self, walk: _Walk) -> None:
        self._walk = None
        for mint in walk.mints:
            parked = self._state.parked.get(mint)
            if parked is not None and parked.is_barren:
                self.give_up(mint, "the journal could not be written when they came")

    def _room(self, mint: Mint) -> int:
        return self._shard.room(mint)

    def _offer(self, mint: Mint, parked: Parked, events: list[Trade | Migration]) -> bool:
        ledger, trades = self._context.ledger, trades_among(events)
        ledger.move(Place.PARKED, Place.QUEUED, trades)
        if not self._shard.deliver(mint, events):
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
        self._shard.tell(mint, TradesUnparked(parked.number))
        self._context.log.info("unparked", mint=mint)
        self._context.note(mint, "unparked", trades=parked.trades_total)


def _event_of(record: Record | None) -> Trade | Migration | None:
    if not isinstance(record, FrameRecord):
        return None
    decoded = decode(record.data, record.seq, record.at_us)
    event = decoded.buy if isinstance(decoded, Coin) else decoded
    return event if isinstance(event, Trade | Migration) else None
