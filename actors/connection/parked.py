"""What is parked of one mint: the numbers of its events, and how many of them are trades. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.domain import Migration, Trade

if TYPE_CHECKING:
    from collections.abc import Sequence


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
        self.is_barren = False
        """Nothing was found since the present reading began."""
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
        trades = trades_among(events)
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
        self.trades -= trades_among(events)
        self.from_us = last.arrived_us + 1
        self._spans = [span for span in self._spans if span.last_seq > last.seq]
        if self._spans:
            self._spans[0].first_seq = max(self._spans[0].first_seq, last.seq + 1)
        return not self._spans


def trades_among(events: Sequence[Trade | Migration]) -> int:
    """Count the trades of these events."""
    return sum(isinstance(event, Trade) for event in events)
