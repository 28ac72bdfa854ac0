"""What may be lacking on one side in one hour of a coin, each with the rows that show it. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from actors.compare.reasons import Reason
from actors.compare.rows import BUY_VOLUME, BUYS, NOTHING, SELLS, Figures, Prices, Row
from actors.compare.sentences import clock, sol_text, span_text
from actors.compare.windows import CACHE_US, CLOCK_US, TICK_US, Span, holes, interval_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

GRADUATION_LAMPORTS: Final = 84_575_000_000
"""Virtual reserves at which the original ends a coin: 99.5 % of 85 SOL."""
_LAMPORTS_PER_SOL: Final = 1_000_000_000


class Graduation(msgspec.Struct, frozen=True):
    """Where the original ended a coin that goes on."""

    from_us: int
    """Rows of ours that end later may hold trades behind it."""
    reserves_lamports: int


class CoinRows(msgspec.Struct, frozen=True):
    """All rows of one coin that were read, each side in order of its ends."""

    mint: str
    theirs: Sequence[Row]
    ours: Sequence[Row]
    gaps: Sequence[Span] = ()
    """When we observed nothing; in order, and none lies over another."""
    creators_buy_lamports: int = 0
    """What the creator bought inside the create; 0: nothing, or nobody knows."""


class HourRows(msgspec.Struct, frozen=True):
    """The rows of one coin that end in `(from_us, to_us]`, as places in those of the coin."""

    coin: CoinRows
    from_us: int
    to_us: int
    their_places: range
    our_places: range

    @property
    def theirs(self) -> Sequence[Row]:
        """Rows of theirs in this hour."""
        return self.coin.theirs[self.their_places.start : self.their_places.stop]

    @property
    def ours(self) -> Sequence[Row]:
        """Rows of ours in this hour."""
        return self.coin.ours[self.our_places.start : self.our_places.stop]


class Excuse(msgspec.Struct, frozen=True):
    """A reason, the trades that may be lacking for it, and what shows it."""

    reason: Reason
    says: str
    ours: frozenset[int] = frozenset()
    """Rows of ours, by their places in the coin, whose trades they may lack."""
    theirs: frozenset[int] = frozenset()
    """Rows of theirs whose trades we may lack."""
    exactly: Figures = NOTHING
    """What they do lack of a row of ours, no more and no less."""
    prices: Prices = Prices()
    """Of what they do lack."""


def excuses_of(hour: HourRows, graduation: Graduation | None, differs: Figures) -> list[Excuse]:
    """Find the excuses of an hour, in the order of `Reason`, for a side that lacks trades.

    Args:
        hour: The rows.
        graduation: Where the original ended the coin.
        differs: Their figures less ours.
    """
    counts = (differs[BUYS], differs[SELLS])
    found: list[Excuse | None] = []
    if min(counts) < 0:
        creators = _creators_buy(hour) if differs[BUYS] < 0 else None
        found += [_early_graduation(hour, graduation), creators, _lost(hour), _only_ours(hour)]
    if max(counts) > 0:
        found += [_gap(hour), _only_theirs(hour)]
    return [excuse for excuse in found if excuse is not None]


def graduation_of(coin: CoinRows, intervals: Mapping[int, int]) -> Graduation | None:
    """Find where the original ended a coin at its own graduation; None: it did not.

    The window that is open then is lost with it. A coin whose rows go on behind that did not end.
    """
    reached = next((row for row in coin.ours if _reserves(row) >= GRADUATION_LAMPORTS), None)
    if reached is None:
        return None
    last = coin.theirs[-1] if coin.theirs else None
    window_us = interval_of(last or reached, intervals) + TICK_US
    from_us = reached.start_us - window_us
    if last is not None:
        if last.end_us > reached.end_us + window_us + CLOCK_US:
            return None
        from_us = max(from_us, last.end_us)
    return Graduation(from_us - CLOCK_US, _reserves(reached))


def _reserves(row: Row) -> int:
    return row.reserves_lamports or 0


def _early_graduation(hour: HourRows, graduation: Graduation | None) -> Excuse | None:
    if graduation is None:
        return None
    lacking = _places(hour.our_places, hour.ours, lambda row: row.end_us > graduation.from_us)
    if not lacking:
        return None
    sol = graduation.reserves_lamports / _LAMPORTS_PER_SOL
    theirs = hour.coin.theirs
    ended = f"their rows end at {clock(theirs[-1].end_us)}" if theirs else "they have no row"
    says = f"{ended}, the virtual reserves have reached {sol:.1f} SOL"
    return Excuse(Reason.EARLY_GRADUATION, says, ours=lacking)


def _creators_buy(hour: HourRows) -> Excuse | None:
    lamports = hour.coin.creators_buy_lamports
    if not lamports or hour.our_places.start > 0 or not hour.our_places:
        return None
    first = hour.coin.ours[0]
    if first.figures[BUYS] == 0 or first.figures[BUY_VOLUME] < lamports:
        return None
    return Excuse(
        Reason.CREATORS_BUY,
        f"the creator's own buy of {sol_text(lamports)} SOL is in our first row",
        exactly=(1, 0, lamports, lamports, 0),
        prices=Prices(first.high_sol, first.low_sol),
    )


def _lost(hour: HourRows) -> Excuse | None:
    """Find the rows of ours that lie in a hole of theirs, or reach into one.

    Windows of both sides begin at other times, so of a row that reaches there nobody can say which
    of its trades do. A coin that rests has such holes too, and such rows beside them.
    """
    if not hour.their_places:
        return None
    start, stop = hour.their_places.start, hour.their_places.stop
    found = holes(hour.coin.theirs[max(0, start - 1) : stop + 1])
    spans = [_over(found, row) for row in hour.ours]
    touched = {span for span in spans if span is not None}
    if not touched:
        return None
    lacking = (place for place, span in zip(hour.our_places, spans, strict=True) if span)
    more = f" and {len(touched) - 1} more" if len(touched) > 1 else ""
    says = f"a hole in their rows at {span_text(min(touched))}{more}"
    return Excuse(Reason.LOST, says, ours=frozenset(lacking))


def _gap(hour: HourRows) -> Excuse | None:
    gaps = hour.coin.gaps
    lacking = _places(hour.their_places, hour.theirs, lambda row: _over(gaps, row) is not None)
    if not lacking:
        return None
    first = _over(gaps, hour.coin.theirs[min(lacking)])
    assert first is not None  # noqa: S101 - it is over the row
    return Excuse(Reason.GAP, f"our feed_gaps has {span_text(first)}", theirs=lacking)


def _only_ours(hour: HourRows) -> Excuse | None:
    theirs = hour.coin.theirs
    began_us = theirs[0].start_us + CACHE_US if theirs else 0
    found = _alone(hour.our_places, hour.ours, hour.their_places, theirs, began_us)
    if found is None:
        return None
    return Excuse(Reason.ONLY_OURS, f"they have no row of it {found[1]}", ours=found[0])


def _only_theirs(hour: HourRows) -> Excuse | None:
    ours = hour.coin.ours
    began_us = ours[0].start_us if ours else 0
    found = _alone(hour.their_places, hour.theirs, hour.our_places, ours, began_us)
    if found is None:
        return None
    return Excuse(Reason.ONLY_THEIRS, f"we have no row of it {found[1]}", theirs=found[0])


def _alone(
    places: range,
    rows: Sequence[Row],
    other_places: range,
    others: Sequence[Row],
    others_began_us: int,
) -> tuple[frozenset[int], str] | None:
    """Find rows where the other side has none: in the hour, before its first or behind its last.

    One of them has to lie there as a whole; those that reach there count then as well.
    """
    if not other_places:
        return (frozenset(places), "in this hour") if places else None
    found: frozenset[int] = frozenset()
    where = []
    first_us, last_us = others_began_us, others[-1].end_us
    if other_places.start == 0 and any(row.end_us <= first_us + CLOCK_US for row in rows):
        found |= _places(places, rows, lambda row: row.start_us < first_us)
        where.append(f"before {clock(first_us)}")
    if other_places.stop == len(others) and any(row.start_us >= last_us - CLOCK_US for row in rows):
        found |= _places(places, rows, lambda row: row.end_us > last_us)
        where.append(f"behind {clock(last_us)}")
    return (found, " and ".join(where)) if where else None


def _places(places: range, rows: Sequence[Row], holds: Callable[[Row], bool]) -> frozenset[int]:
    return frozenset(place for place, row in zip(places, rows, strict=True) if holds(row))


def _over(spans: Sequence[Span], row: Row) -> Span | None:
    """Find the last span that a row lies over, or misses by less than a second."""
    place = bisect_left(spans, row.end_us + CLOCK_US, key=lambda span: span[0]) - 1
    if place >= 0 and spans[place][1] > row.start_us - CLOCK_US:
        return spans[place]
    return None


def merged(spans: Iterable[Span]) -> list[Span]:
    """Put spans in order, and those into one that lie over each other."""
    found: list[Span] = []
    for from_us, to_us in sorted(spans):
        if found and from_us <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], to_us))
        else:
            found.append((from_us, to_us))
    return found
