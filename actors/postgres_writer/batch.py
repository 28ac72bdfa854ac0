"""What a writer gathers, and in which batches it leaves. Pure: time comes in as an argument."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from actors.backoff import backoff_s
from actors.domain import AllTimeHigh, Candle, Coin, FeedGap, Mint
from actors.protocol.postgres_writer import (
    AthReached,
    CandleClosed,
    GapRecorded,
    StoreCoin,
    StoreTrade,
    StreamChange,
    StreamEnded,
    StreamPhaseChanged,
    StreamStarted,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Item = (
    CandleClosed
    | AthReached
    | StreamStarted
    | StreamPhaseChanged
    | StreamEnded
    | GapRecorded
    | StoreTrade
    | StoreCoin
)
"""Everything a writer writes."""

_T = TypeVar("_T")

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0

_TICK_S: Final = 1e-6
"""What is due in less is due: a timer for the rest of a rounded sum would never end."""


class Contents(msgspec.Struct, frozen=True):
    """A batch, sorted by table. Inside each tuple the order of arrival is kept."""

    candles: tuple[Candle, ...]
    aths: tuple[AllTimeHigh, ...]
    """At most one a mint: the highest."""
    changes: tuple[StreamChange, ...]
    trades: tuple[StoreTrade, ...]
    """Those that came with their candle, and those sent again."""
    coins: tuple[Coin, ...]
    """Descriptions sent again."""
    gaps: tuple[FeedGap, ...]


class Backlog:
    """What is in memory and not written, oldest first.

    Guarantees: `oldest` gives items in the order they were added, so those of one mint stay in
    order; only an all-time high takes the place of an earlier one of its mint that still waits,
    since the two commute with everything but the start of the stream, which lies before both.
    Not guaranteed: a bound; whoever adds looks at `rows` first.
    """

    def __init__(self) -> None:
        self._items: deque[_Waiting] = deque()
        self._waiting_aths: dict[Mint, _Waiting] = {}
        self.rows = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item, now_s: float) -> None:
        """Append an item.

        Args:
            item: What is to be written.
            now_s: Monotonic time, for its age.
        """
        if isinstance(item, AthReached) and self._merge(item):
            return
        held = _Waiting(item, now_s)
        self._items.append(held)
        self.rows += rows_of(item)
        if isinstance(item, AthReached):
            self._waiting_aths[item.ath.mint] = held

    def oldest(self, rows: int) -> tuple[Item, ...]:
        """Look at the oldest items, until they make `rows` rows; they stay until `drop`."""
        taken = []
        for held in self._items:
            taken.append(held.item)
            rows -= rows_of(held.item)
            if rows <= 0:
                break
        return tuple(taken)

    def drop(self, count: int) -> None:
        """Forget the `count` oldest items, because they are written, stored or given up."""
        for _ in range(count):
            held = self._items.popleft()
            self.rows -= rows_of(held.item)
            if isinstance(held.item, AthReached):
                self._waiting_aths.pop(held.item.ath.mint, None)

    def due_in_s(self, now_s: float, batch_rows: int, batch_age_s: float) -> float | None:
        """Say in how many seconds a batch should leave; None when there is nothing to write.

        That is at once when `batch_rows` rows wait, else when the oldest item reaches its age.
        """
        if not self._items:
            return None
        if self.rows >= batch_rows:
            return 0.0
        left_s = self._items[0].added_s + batch_age_s - now_s
        return left_s if left_s > _TICK_S else 0.0

    @property
    def oldest_window_us(self) -> int | None:
        """From where on the journal is needed for what waits: windows, stream begins and ends."""
        return min((us for held in self._items if (us := _needs_from(held.item))), default=None)

    def _merge(self, item: AthReached) -> bool:
        held = self._waiting_aths.get(item.ath.mint)
        if held is None:
            return False
        if isinstance(held.item, AthReached) and held.item.ath.price_sol < item.ath.price_sol:
            held.item = item
        return True


def _needs_from(item: Item) -> int | None:
    """Tell the earliest arrival that this item could be derived from again."""
    match item:
        case CandleClosed(candle):
            return candle.window_start_us
        case StreamStarted(coin):
            return coin.arrived_us
        case StreamEnded(at_us=at_us):
            return at_us
        case _:
            return None


class _Waiting:
    __slots__ = ("added_s", "item")

    def __init__(self, item: Item, added_s: float) -> None:
        self.item = item
        self.added_s = added_s


def sort_out(items: Sequence[Item]) -> Contents:
    """Sort a batch by the tables it goes to."""
    closed = [item for item in items if isinstance(item, CandleClosed)]
    return Contents(
        candles=tuple(item.candle for item in closed),
        aths=_highest(_aths(items)),
        changes=tuple(item for item in items if isinstance(item, StreamChange)),
        trades=tuple(_stored(items)),
        coins=tuple(item.coin for item in items if isinstance(item, StoreCoin)),
        gaps=tuple(item.gap for item in items if isinstance(item, GapRecorded)),
    )


def halves(items: Sequence[_T]) -> tuple[Sequence[_T], Sequence[_T]]:
    """Cut a batch of at least two in the middle; the first half is the older one."""
    middle = len(items) // 2
    return items[:middle], items[middle:]


def pause_s(failures: int, jitter: float) -> float:
    """Say how long to wait after the n-th failure in a row: 0.5 s doubling to 30 s.

    Args:
        failures: At least 1.
        jitter: A random number in 0..1 that shortens the pause by up to a half, so that writers
            that lost the same database do not all come back at the same moment.
    """
    return backoff_s(failures, FIRST_PAUSE_S, LONGEST_PAUSE_S, chance=jitter, jitter=0.5)


def mint_of(item: Item) -> Mint | None:
    """Name the mint an item is about; None for a gap of the whole feed."""
    match item:
        case CandleClosed():
            return item.candle.mint
        case AthReached():
            return item.ath.mint
        case StreamStarted() | StoreCoin():
            return item.coin.mint
        case StoreTrade():
            return item.trade.mint
        case GapRecorded():
            return item.gap.mint
        case _:
            return item.mint


def trades_of(item: Item) -> int:
    """Count the received trades that an item brings into the database."""
    return item.candle.num_trades if isinstance(item, CandleClosed) else 0


def rows_of(item: Item) -> int:
    """Count the rows that an item becomes: one, and one for each trade that is stored with it."""
    return 1 + len(item.trades) if isinstance(item, CandleClosed) else 1


def _stored(items: Iterable[Item]) -> Iterator[StoreTrade]:
    for item in items:
        if isinstance(item, CandleClosed):
            yield from (StoreTrade(trade, item.candle.phase_id) for trade in item.trades)
        elif isinstance(item, StoreTrade):
            yield item


def _aths(items: Iterable[Item]) -> Iterator[AllTimeHigh]:
    for item in items:
        if isinstance(item, AthReached | CandleClosed) and item.ath is not None:
            yield item.ath


def _highest(aths: Iterable[AllTimeHigh]) -> tuple[AllTimeHigh, ...]:
    highest: dict[Mint, AllTimeHigh] = {}
    for ath in aths:
        known = highest.get(ath.mint)
        if known is None or ath.price_sol > known.price_sol:
            highest[ath.mint] = ath
    return tuple(highest.values())
