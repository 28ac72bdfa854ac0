"""One coin, hour by hour: what differs, and which reason explains it. Pure.

Guarantees: every hour in which one side has a row gets one reason. What `windows` lets pass cancels
out: trades that an hour lacks because a window lies over its end are in the next hour, and no more
of them than that window holds. So a coin that lacks a trade now and then is found as soon as more
are missing than one window holds.
Not guaranteed: that a difference smaller than a window over the hour's end is found; where a coin
rests around it, there is no such window, and every trade counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from actors.compare.excuses import CoinRows, Excuse, Graduation, HourRows, excuses_of, graduation_of
from actors.compare.reasons import Reason
from actors.compare.rows import (
    HOUR_US,
    NOTHING,
    Figures,
    Precision,
    Prices,
    Sums,
    added,
    figures_of,
    larger,
    less,
    prices_of,
    smaller,
    sum_of,
)
from actors.compare.sentences import difference, price_difference
from actors.compare.windows import Cut, cut_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actors.compare.rows import Row


class Rules(msgspec.Struct, frozen=True):
    """What is compared, and by which measures."""

    since_us: int
    until_us: int
    intervals: Mapping[int, int]
    """How long a window of theirs is, by phase, microseconds."""
    precision: Precision


class ComparedHour(msgspec.Struct, frozen=True):
    """One coin in one hour, or in the part of it that was asked for: `(from_us, to_us]`."""

    mint: str
    from_us: int
    to_us: int
    reason: Reason
    says: str
    theirs: Sums
    ours: Sums

    @property
    def size(self) -> tuple[int, int]:
        """How large the difference is: in lamports, then in trades."""
        return (
            abs(self.theirs.lamports - self.ours.lamports),
            abs(self.theirs.trades - self.ours.trades),
        )


class _Moved(NamedTuple):
    """How many trades they count as later than a cut and we as earlier, at the least and most."""

    least: Figures
    most: Figures


class _Hour(NamedTuple):
    """One hour with all that its reason is decided by."""

    rows: HourRows
    theirs: Sums
    ours: Sums
    begin: Cut
    end: Cut
    off: Figures
    """What the columns may round away."""


def compared_hours(coin: CoinRows, rules: Rules) -> list[ComparedHour]:
    """Compare a coin hour by hour, in order.

    Args:
        coin: All its rows, and those of an hour before `since` and behind `until`, if there are.
        rules: What is compared.
    """
    walk = _Walk(coin, rules)
    for rows in _hours(coin, rules):
        walk.take(rows)
    return walk.found


class _Walk:
    """Goes through the hours of a coin, and knows what has moved over the end of each."""

    def __init__(self, coin: CoinRows, rules: Rules) -> None:
        self._coin = coin
        self._rules = rules
        self._graduation = graduation_of(coin, rules.intervals)
        self._cut = Cut()
        self._cut_us: int | None = None
        self._moved: _Moved | None = None
        """Over the last cut; None: whatever its windows hold."""
        self._open: tuple[int, _Judge] | None = None
        """The last hour that lacks what later ones have to have, and its place."""
        self.found: list[ComparedHour] = []

    def take(self, rows: HourRows) -> None:
        """Compare the next hour."""
        if self._cut_us != rows.from_us:
            self._cut = self._cut_at(rows.from_us)
            self._moved = self._open = None
        begin, self._cut = self._cut, self._cut_at(rows.to_us)
        self._cut_us = rows.to_us
        theirs, ours = sum_of(rows.theirs), sum_of(rows.ours)
        hour = _Hour(rows, theirs, ours, begin, self._cut, _off(theirs, ours, self._rules))
        judge = _Judge(hour, self._moved or _Moved(begin.least, begin.most), self._rules.precision)
        self._say(len(self.found), judge)
        self._moved = judge.moved
        self._look_back(judge)

    def _cut_at(self, at_us: int) -> Cut:
        return cut_at(at_us, self._coin.theirs, self._coin.ours, self._rules.precision)

    def _say(self, place: int, judge: _Judge) -> None:
        hour = judge.hour
        reason, says = judge.reason(self._graduation)
        self.found[place : place + 1] = [
            ComparedHour(
                self._coin.mint,
                hour.rows.from_us,
                hour.rows.to_us,
                reason,
                says,
                hour.theirs,
                hour.ours,
            )
        ]

    def _look_back(self, judge: _Judge) -> None:
        """Judge an earlier hour again when what it lacks cannot come any more."""
        is_agreeing = judge.differs_by_rounding
        if self._open is not None and is_agreeing:
            place, earlier = self._open
            earlier.narrow(self._cut)
            if judge.moved is None:
                self._say(place, earlier)
                self._open = None
        elif self.found[-1].reason is Reason.WINDOWS and not is_agreeing:
            self._open = len(self.found) - 1, judge
        else:
            self._open = None


def _hours(coin: CoinRows, rules: Rules) -> Iterator[HourRows]:
    """Give each hour, or part of one, in which a side has a row."""
    ends = {_hour_of(row) for side in (coin.theirs, coin.ours) for row in side}
    for hour in sorted(ends):
        from_us = max(hour * HOUR_US, rules.since_us)
        to_us = min((hour + 1) * HOUR_US, rules.until_us)
        theirs, ours = _within(coin.theirs, from_us, to_us), _within(coin.ours, from_us, to_us)
        if from_us < to_us and (theirs or ours):
            yield HourRows(coin, from_us, to_us, theirs, ours)


def _hour_of(row: Row) -> int:
    # A window that ends with the hour belongs to it.
    return (row.end_us - 1) // HOUR_US


def _within(rows: Sequence[Row], from_us: int, to_us: int) -> range:
    return range(
        bisect_right(rows, from_us, key=lambda row: row.end_us),
        bisect_right(rows, to_us, key=lambda row: row.end_us),
    )


def _off(theirs: Sums, ours: Sums, rules: Rules) -> Figures:
    return rules.precision.of_figures(
        theirs.rows,
        ours.rows,
        max(theirs.trades, ours.trades),
        max(theirs.lamports, ours.lamports),
    )


class _Judge:
    """Decides about one hour."""

    def __init__(self, hour: _Hour, moved: _Moved, precision: Precision) -> None:
        self.hour = hour
        self._before = moved
        self._end = _Moved(hour.end.least, hour.end.most)
        self._precision = precision
        self._differs = less(hour.theirs.figures, hour.ours.figures)
        self.differs_by_rounding = all(
            abs(figure) <= off for figure, off in zip(self._differs, hour.off, strict=True)
        )
        self._prices_agree = precision.same_prices(hour.theirs.prices, hour.ours.prices)
        self.moved: _Moved | None = None
        """Over the hour's end; None: what moved over its begin cannot have, or nobody knows."""

    def narrow(self, cut: Cut) -> None:
        """Take in what a later cut allows, when the hours in between agree."""
        self._end = _Moved(larger(self._end.least, cut.least), smaller(self._end.most, cut.most))

    def reason(self, graduation: Graduation | None) -> tuple[Reason, str]:
        """Find the reason, and say what shows it."""
        self.moved = None
        agreeing = self._agreeing()
        if agreeing is not None:
            self.moved = self._moved()
            return agreeing
        if self._explained([]):
            return Reason.WINDOWS, f"windows over the hour's ends: {self._says()}"
        excuses = excuses_of(self.hour.rows, graduation, self._differs)
        for excuse in excuses:
            if self._explained([excuse]):
                return excuse.reason, f"{excuse.says}: {self._says()}"
        if len(excuses) > 1 and self._explained(excuses):
            first = max(excuses, key=self._trades_of)
            says = "; ".join(each.says for each in excuses)
            return first.reason, f"{says}: {self._says()}"
        return Reason.OTHER, f"nothing explains it: {self._says()}"

    def _agreeing(self) -> tuple[Reason, str] | None:
        theirs, ours = self.hour.theirs, self.hour.ours
        if theirs == ours:
            return Reason.SAME, "all figures are equal"
        if theirs.figures == ours.figures and theirs.prices == ours.prices:
            return Reason.WINDOWS, "all figures are equal, the rows lie otherwise"
        if self.differs_by_rounding and self._prices_agree:
            return Reason.ROUNDING, f"rounded: {self._says()}"
        return None

    def _says(self) -> str:
        if self.differs_by_rounding and not self._prices_agree:
            figures = ""
        else:
            figures = difference(self._differs)
        prices = (self.hour.theirs.prices, self.hour.ours.prices)
        return figures or price_difference(*prices, self._precision)

    def _explained(self, excuses: Sequence[Excuse]) -> bool:
        """Say whether windows and these excuses explain the hour together."""
        coin = self.hour.rows.coin
        our_places = frozenset[int]().union(*(excuse.ours for excuse in excuses))
        their_places = frozenset[int]().union(*(excuse.theirs for excuse in excuses))
        we_alone = [coin.ours[place] for place in our_places]
        they_alone = [coin.theirs[place] for place in their_places]
        exactly, our_prices = NOTHING, prices_of(we_alone)
        for excuse in excuses:
            exactly, our_prices = added(exactly, excuse.exactly), our_prices + excuse.prices
        moved = self._moved(figures_of(we_alone), figures_of(they_alone), exactly)
        if moved is None or not self._prices_explained(our_prices, prices_of(they_alone)):
            return False
        self.moved = moved
        return True

    def _moved(
        self, we_alone: Figures = NOTHING, they_alone: Figures = NOTHING, exactly: Figures = NOTHING
    ) -> _Moved | None:
        """Work out what moved over the hour's end; None: more than windows there hold.

        Theirs less ours is what moved in at the begin, less what moved out at the end, less what we
        have alone, more what they have alone.

        Args:
            we_alone: What we have alone, at the most.
            they_alone: What they have alone, at the most.
            exactly: What we have alone besides, no more and no less.
        """
        off, differs = self.hour.off, added(self._differs, exactly)
        least = less(less(self._before.least, differs), added(we_alone, off))
        most = added(less(self._before.most, differs), added(they_alone, off))
        least, most = larger(least, self._end.least), smaller(most, self._end.most)
        return _Moved(least, most) if all(map(int.__le__, least, most)) else None

    def _prices_explained(self, we_alone: Prices, they_alone: Prices) -> bool:
        theirs, ours = self.hour.theirs.prices, self.hour.ours.prices
        begin, end = self.hour.begin, self.hour.end
        their_bounds = ours + begin.our_earlier + end.our_later + they_alone
        our_bounds = theirs + begin.their_earlier + end.their_later + we_alone
        return self._precision.is_within(theirs, their_bounds) and self._precision.is_within(
            ours, our_bounds
        )

    def _trades_of(self, excuse: Excuse) -> int:
        coin = self.hour.rows.coin
        lacking = [coin.ours[place] for place in excuse.ours]
        lacking += [coin.theirs[place] for place in excuse.theirs]
        buys, sells, *_ = added(figures_of(lacking), excuse.exactly)
        return buys + sells
