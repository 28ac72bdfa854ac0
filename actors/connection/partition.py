"""One slice of frames to what has to be done with it. Pure.

A slice is what was read in one go. Its events are gathered by destination, in order of arrival, so
that a destination gets one message a slice: the tracker of a routed mint, or discovery for creates
and for mints it may hold.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from actors.connection.decoder import ControlFrame, Malformed, Unknown, decode
from actors.domain import Coin, FeedEvent, Migration, Mint, Trade
from actors.journal.records import FrameRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

RECENT_CREATES: Final = 4_096
"""Creates that discovery may not have decided on yet; past the bound the oldest is forgotten."""


class RawFrame(msgspec.Struct, frozen=True, gc=False):
    """One frame as it was read."""

    at_us: int
    frame: bytes
    seq: int | None = None
    """The number it was journalled with; None: the next one."""


class Routes(Protocol):
    """Who wants a mint."""

    def is_routed(self, mint: Mint) -> bool:
        """Whether a tracker takes its events."""

    def is_watched(self, mint: Mint) -> bool:
        """Whether discovery holds its coin."""


class NewMints:
    """Mints created lately: their first trades can overtake discovery's wish to watch them."""

    def __init__(self, limit: int = RECENT_CREATES) -> None:
        self._limit = limit
        self._mints: dict[Mint, None] = {}

    def add(self, mint: Mint) -> None:
        """A create of the mint arrived."""
        self._mints.pop(mint, None)
        self._mints[mint] = None
        if len(self._mints) > self._limit:
            del self._mints[next(iter(self._mints))]

    def discard(self, mint: Mint) -> None:
        """Discovery has said that it does not hold the mint."""
        self._mints.pop(mint, None)

    def __contains__(self, mint: Mint) -> bool:
        return mint in self._mints


class FrameBatch:
    """What one slice holds, sorted."""

    def __init__(self, next_seq: int) -> None:
        self.next_seq = next_seq
        self.records: list[FrameRecord] = []
        """Every frame that is not control, for the journal."""
        self.routed: dict[Mint, list[Trade | Migration]] = {}
        self.unrouted: list[FeedEvent] = []
        """For discovery."""
        self.marks: list[tuple[int, bool | ControlFrame]] = []
        """What the feed's state depends on, in order of arrival: control frames, and of each run of
        data frames of the same sort (whether they are trades) the first one.
        """
        self.kinds: Counter[str] = Counter()
        """Frames by kind: create, buy, sell, migrate, control, unknown, malformed."""
        self.malformed: Counter[str] = Counter()
        self.queued_trades = 0
        """Buys, sells and creators' buys that go into a mailbox."""
        self.orphans: dict[Mint, int] = {}
        """Trades of mints nobody wants."""
        self.seen: dict[Mint, int] = {}
        """When the first event of each mint arrived."""
        self.trade_mints: dict[Mint, int] = {}
        """When the first trade of each mint arrived."""
        self.first_data_us: int | None = None
        """When the first data frame arrived; malformed ones and control frames do not count."""
        self.last_data_us: int | None = None
        self.last_trade_us: int | None = None

    @property
    def billed(self) -> int:
        """Frames that the vendor charges for: buys and sells."""
        return self.kinds["buy"] + self.kinds["sell"]

    @property
    def orphan_trades(self) -> int:
        """Trades of mints nobody wants, together."""
        return sum(self.orphans.values())


def sort_slice(
    arrived: Sequence[RawFrame], first_seq: int, routes: Routes, recent: NewMints
) -> FrameBatch:
    """Decode a slice and sort its events by destination.

    Creates are entered into `recent`. Events are numbered from `first_seq` on; frames that are no
    event carry the number of the event before them, so that numbers never fall.
    """
    batch = FrameBatch(first_seq)
    for item in arrived:
        if item.seq is not None:
            batch.next_seq = item.seq
        decoded = decode(item.frame, batch.next_seq, item.at_us)
        if isinstance(decoded, Trade):
            _record(batch, item, is_event=True)
            _sort_trade(decoded, batch, routes, recent)
            _mark_data(batch, item.at_us, is_trade=True)
        elif isinstance(decoded, ControlFrame):
            batch.kinds["control"] += 1
            batch.marks.append((item.at_us, decoded))
        elif isinstance(decoded, Malformed):
            _record(batch, item, is_event=False)
            batch.kinds["malformed"] += 1
            batch.malformed[decoded.reason.value] += 1
        else:
            _record(batch, item, is_event=not isinstance(decoded, Unknown))
            _sort_other(decoded, batch, routes, recent)
            _mark_data(batch, item.at_us, is_trade=False)
    return batch


def _record(batch: FrameBatch, item: RawFrame, *, is_event: bool) -> None:
    seq = batch.next_seq
    if is_event:
        batch.next_seq = seq + 1
    else:
        seq = max(0, seq - 1)
    batch.records.append(FrameRecord(seq, item.at_us, item.frame))


def _mark_data(batch: FrameBatch, at_us: int, *, is_trade: bool) -> None:
    if batch.first_data_us is None:
        batch.first_data_us = at_us
    batch.last_data_us = at_us
    if not batch.marks or batch.marks[-1][1] is not is_trade:
        batch.marks.append((at_us, is_trade))


def _sort_other(
    event: Coin | Migration | Unknown, batch: FrameBatch, routes: Routes, recent: NewMints
) -> None:
    match event:
        case Coin():
            batch.kinds["create"] += 1
            batch.queued_trades += event.buy is not None
            batch.seen.setdefault(event.mint, event.arrived_us)
            recent.add(event.mint)
            batch.unrouted.append(_without_routed_buy(event, batch, routes))
        case Migration():
            batch.kinds["migrate"] += 1
            batch.seen.setdefault(event.mint, event.arrived_us)
            if routes.is_routed(event.mint):
                batch.routed.setdefault(event.mint, []).append(event)
            else:
                batch.unrouted.append(event)
        case Unknown():
            batch.kinds["unknown"] += 1


def _without_routed_buy(coin: Coin, batch: FrameBatch, routes: Routes) -> Coin:
    """Route the creator's buy of a tracked coin like any trade, so that it keeps its order.

    Discovery hears of the coin without it: on the way through there, later trades would overtake.
    """
    if coin.buy is None or not routes.is_routed(coin.mint):
        return coin
    batch.routed.setdefault(coin.mint, []).append(coin.buy)
    return msgspec.structs.replace(coin, buy=None)


def _sort_trade(trade: Trade, batch: FrameBatch, routes: Routes, recent: NewMints) -> None:
    mint = trade.mint
    batch.kinds["buy" if trade.is_buy else "sell"] += 1
    batch.last_trade_us = trade.arrived_us
    events = batch.routed.get(mint)
    if mint not in batch.trade_mints:
        batch.trade_mints[mint] = trade.arrived_us
        batch.seen.setdefault(mint, trade.arrived_us)
    if events is not None:
        # Routes do not change within a slice.
        events.append(trade)
    elif routes.is_routed(mint):
        batch.routed[mint] = [trade]
    elif routes.is_watched(mint) or mint in recent:
        batch.unrouted.append(trade)
    else:
        batch.orphans[mint] = batch.orphans.get(mint, 0) + 1
        return
    batch.queued_trades += 1
