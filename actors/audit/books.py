"""Each mint's trades and rows, held against each other in one pass over the journal. Pure.

Purpose: every trade that has to be in a row is in exactly one, and every row says what its trades
say.
Guarantees: a row counts as right only if it says exactly what its trades say: those that were due,
or all that the journal has of its window (after a crash a row may begin before the fact that says
that its coin is tracked).
Relies on: records come in the order of the journal, and rows before the trades of their windows.
Bounds: memory grows with the rows and trades of about two minutes, with the trades of coins that
nobody tracks (the last hour's), and with 4,096 identities of 16 bytes for each mint.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from actors.audit.figures import FigureDifference, Row, differences, figures_of
from actors.audit.report import AuditFinding, AuditReport, AuditVerdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.audit.reading import Seen, SeenTrade

US_PER_SECOND: Final = 1_000_000
MEMORY_US: Final = 600 * US_PER_SECOND
MEMORY_TRADES: Final = 4_096
"""A trade that comes again within both counts once."""
CACHED_US: Final = 3_700 * US_PER_SECOND
"""A coin waits for its tracking for an hour at most (COIN_CACHE_SECONDS)."""
LAG_US: Final = 60 * US_PER_SECOND
"""Trades in no row are judged so long after their arrival: what ends a tracking comes behind it."""
ENDING_US: Final = 10 * US_PER_SECOND
"""A tracker that ended by its coin's age still gets trades until its route is closed."""
_SET_BACK: Final = "the clock was set back behind it"

Span = tuple[int, int]
Spans = dict[str, tuple[Span, ...]]


class AuditRules(msgspec.Struct, frozen=True):
    """What was asked for, and the settings that figures are measured by."""

    since_us: int
    until_us: int
    whale_lamports: int | None
    """None: it has changed meanwhile, and whales are not compared."""
    full_lamports: int
    """Virtual SOL from which on a coin leaves its curve."""
    covered_from_us: int
    """From here on the journal was read, without a hole at its beginning."""
    set_back_us: int = 0
    """Up to here the journal was set back, and rows may have other times than their frames."""


class Evidence(msgspec.Struct, frozen=True):
    """What is known beside journal and rows, read before both."""

    journal_id: int = 0
    """Whose numbers the journal gives; 0: nobody knows."""
    released_us: int = 0
    """What arrived earlier is in rows, on disk, or given up."""
    rows_readable: bool = True
    tracked: frozenset[str] = frozenset()
    """Mints that were tracked before the first record."""
    spooled: Spans = {}
    """Windows of candles on disk."""
    dead_windows: Spans = {}
    dead_trades: Mapping[str, frozenset[Span]] = {}
    """Trades in dead letters by number and arrival."""
    set_aside: Spans = {}
    """Windows of the tables of conflicts and of rows ahead of the clock."""


class _CountedTrade:
    """A row and the trades of its window."""

    __slots__ = ("overlaps", "row", "trades")

    def __init__(self, row: Row, overlaps: int | None) -> None:
        self.row = row
        self.overlaps = overlaps
        """End of an earlier window that reaches into this one."""
        self.trades: list[SeenTrade] = []


class _MintAccount:
    """One mint."""

    __slots__ = (
        "created", "creator", "ends_us", "loose", "migrated_us", "recent", "rows", "rows_end_us",
        "told", "tracked",
    )  # fmt: skip

    def __init__(self, *, tracked: bool) -> None:
        self.tracked = tracked
        self.told = False
        """Whether a fact has said so."""
        self.created = False
        self.creator: str | None = None
        self.migrated_us: int | None = None
        """It has left its curve while it waited in the cache."""
        self.ends_us: int | None = None
        """From here on the tracker takes nothing more, as its coin has left the curve."""
        self.rows_end_us = 0
        self.rows: list[_CountedTrade] = []
        self.loose: list[SeenTrade] = []
        """In no row."""
        self.recent: OrderedDict[bytes, int] = OrderedDict()

    def knows(self, trade: SeenTrade) -> bool:
        """Say whether the trade came before, and remember it."""
        recent = self.recent
        self.forget_before(trade.at_us - MEMORY_US)
        if trade.identity in recent:
            return True
        recent[trade.identity] = trade.at_us
        if len(recent) > MEMORY_TRADES:
            recent.popitem(last=False)
        return False

    def forget_before(self, at_us: int) -> None:
        while self.recent and next(iter(self.recent.values())) < at_us:
            self.recent.popitem(last=False)

    def spanning(self, at_us: int) -> list[_CountedTrade]:
        return [held for held in self.rows if held.row.start_us <= at_us < held.row.end_us]


class Accounts:
    """See the module's docstring."""

    def __init__(self, rules: AuditRules, evidence: Evidence, report: AuditReport) -> None:
        self._rules = rules
        self._evidence = evidence
        self._report = report
        self._books: dict[str, _MintAccount] = {}
        self._gaps: list[Span] = []
        self._left_out_us: set[int] = set()

    def _book(self, mint: str) -> _MintAccount:
        book = self._books.get(mint)
        if book is None:
            book = self._books[mint] = _MintAccount(tracked=mint in self._evidence.tracked)
        return book

    # What comes in.

    def add_rows(self, rows: Iterable[Row], creators: Mapping[str, str]) -> None:
        """Take rows in the order of their beginnings, before any trade of their windows."""
        for row in rows:
            book = self._book(row.mint)
            overlaps = book.rows_end_us if row.start_us < book.rows_end_us else None
            book.rows.append(_CountedTrade(row, overlaps))
            book.rows_end_us = max(book.rows_end_us, row.end_us)
        for mint, creator in creators.items():
            book = self._book(mint)
            book.creator = book.creator or creator

    def take(self, seen: Seen) -> None:
        """Take what a frame says."""
        book = self._book(seen.mint)
        if seen.creator is not None:
            book.created = True
            book.creator = book.creator or seen.creator
        if seen.trade is not None:
            self._take_trade(book, seen.trade)

    def migrate(self, mint: str, at_us: int) -> None:
        """Take note that a coin has left its curve."""
        book = self._book(mint)
        if book.tracked:
            _end(book, at_us)
        else:
            book.migrated_us = at_us

    def _take_trade(self, book: _MintAccount, trade: SeenTrade) -> None:
        if book.knows(trade):
            self._report.duplicates += 1
            return
        spanning = book.spanning(trade.at_us)
        for held in spanning:
            held.trades.append(trade)
        if not spanning:
            book.loose.append(trade)
        if book.tracked:
            self._make_due(book, trade)

    def _make_due(self, book: _MintAccount, trade: SeenTrade) -> None:
        if book.ends_us is not None and trade.at_us >= book.ends_us:
            return
        trade.due = True
        reserves = trade.virtual_lamports
        if reserves is not None and reserves >= self._rules.full_lamports:
            _end(book, trade.at_us + 1)

    # Facts.

    def start(self, mint: str) -> None:
        """From here on the mint's trades go to a tracker; after a restart this is said again."""
        book = self._book(mint)
        book.told = True
        if not book.tracked and not book.created:
            # Nobody has remembered what came before.
            book.recent.clear()
        book.tracked = True

    def stop(self, mint: str, at_us: int, *, ended: bool) -> None:
        """From here on they go to nobody."""
        book = self._book(mint)
        if not book.tracked and not book.told:
            for trade in book.loose:
                self._make_due(book, trade)
        if ended and book.ends_us is None:
            self._forgive_the_last(mint, book, at_us)
        book.told = True
        book.tracked = book.created = False
        book.ends_us = book.migrated_us = None
        book.recent.clear()

    def hand_over(self, mint: str, from_seq: int) -> None:
        """The mint's cached trades, from this number on, have gone to its tracker; 0: none."""
        book = self._book(mint)
        if from_seq <= 0:
            return
        waiting = (*book.loose, *(trade for held in book.rows for trade in held.trades))
        for trade in sorted(waiting, key=lambda each: each.seq):
            if trade.seq >= from_seq and not trade.due:
                self._make_due(book, trade)
        if book.migrated_us is not None:
            _end(book, book.migrated_us)
        for trade in book.loose:
            trade.due = trade.due and (book.ends_us is None or trade.at_us < book.ends_us)

    def gap(self, from_us: int, to_us: int) -> None:
        """Something between these two instants is not in the journal."""
        self._gaps.append((from_us, to_us))

    def leave_out(self, at_us: int) -> None:
        """The frame of this instant failed each time it was replayed."""
        self._left_out_us.add(at_us)

    def _forgive_the_last(self, mint: str, book: _MintAccount, at_us: int) -> None:
        from_us = max(at_us - ENDING_US, book.rows_end_us)
        for trade in book.loose:
            if trade.due and trade.at_us >= from_us:
                trade.due = False
                self._say_trade(
                    mint, trade, (AuditVerdict.UNCHECKED, "its tracker ended about that time")
                )

    # Verdicts.

    def settle(self, position_us: int, *, to_the_end: bool = False) -> None:
        """Judge what lies far enough behind the position in the journal."""
        loose_us = position_us + 1 if to_the_end else position_us - LAG_US
        for mint in list(self._books):
            book = self._books[mint]
            open_rows = []
            for held in book.rows:
                if to_the_end or held.row.end_us <= position_us:
                    self._judge_row(held, book, position_us)
                else:
                    open_rows.append(held)
            book.rows = open_rows
            book.forget_before(position_us - MEMORY_US)
            book.loose = [trade for trade in book.loose if self._keeps(mint, trade, loose_us)]
            if not (book.tracked or book.told or book.rows or book.loose or book.recent):
                del self._books[mint]

    def _keeps(self, mint: str, trade: SeenTrade, before_us: int) -> bool:
        if trade.at_us >= before_us:
            return True
        if trade.due:
            was_moved = trade.at_us <= self._rules.set_back_us
            said = (
                (AuditVerdict.UNCHECKED, _SET_BACK) if was_moved else self._explanation(mint, trade)
            )
            self._say_trade(mint, trade, said)
            return False
        return trade.at_us >= before_us - CACHED_US

    def _judge_row(self, held: _CountedTrade, book: _MintAccount, position_us: int) -> None:
        row, mint = held.row, held.row.mint
        unchecked = self._why_unchecked(row)
        if unchecked:
            self._say_row(AuditVerdict.UNCHECKED, held, unchecked)
        elif held.overlaps is not None:
            self._say_row(AuditVerdict.OVERLAP, held, "its window lies over another row's")
        elif not held.trades and row.end_us > position_us:
            self._say_row(AuditVerdict.UNCHECKED, held, "its window reaches past the journal's end")
        elif not held.trades:
            self._say_row(AuditVerdict.EXTRA, held, "the journal has no trade of this window")
        else:
            self._compare(held, book, is_set_aside=(row.start_us, row.end_us) in self._aside(mint))

    def _why_unchecked(self, row: Row) -> str | None:
        if row.journal_id not in {None, self._evidence.journal_id}:
            return "it was written from another journal"
        if row.start_us <= self._rules.set_back_us:
            return _SET_BACK
        if row.start_us < self._rules.covered_from_us or self._has_gap(row):
            return "the journal does not hold all of its window"
        return None

    def _compare(self, held: _CountedTrade, book: _MintAccount, *, is_set_aside: bool) -> None:
        due = [trade for trade in held.trades if trade.due]
        if not self._differences(held, due, book) or not self._differences(held, held.trades, book):
            self._say_row(AuditVerdict.OK, held, "")
            return
        kept = [trade for trade in due if not self._is_given_up(held.row.mint, trade)]
        if len(kept) < len(due) and not self._differences(held, kept, book):
            gone = f"{len(due) - len(kept)} of its trades are dead letters"
            self._say_row(AuditVerdict.EXPLAINED, held, gone)
        elif is_set_aside:
            self._say_row(
                AuditVerdict.EXPLAINED, held, "another candle of it is kept as a conflict"
            )
        else:
            found = self._differences(held, due or held.trades, book)
            columns = ", ".join(each.column for each in found)
            self._say_row(AuditVerdict.DIFFERENT, held, f"says something else in {columns}", found)

    def _differences(
        self, held: _CountedTrade, trades: list[SeenTrade], book: _MintAccount
    ) -> tuple[FigureDifference, ...]:
        computed = figures_of(
            trades, creator=book.creator, whale_lamports=self._rules.whale_lamports
        )
        return differences(held.row, computed)

    def _explanation(self, mint: str, trade: SeenTrade) -> tuple[AuditVerdict, str]:
        """Say why a trade that is due is in no row."""
        evidence = self._evidence
        if self._is_given_up(mint, trade) or _lies_in(trade, evidence.dead_windows.get(mint)):
            return AuditVerdict.EXPLAINED, "is a dead letter"
        if _lies_in(trade, self._aside(mint)):
            return AuditVerdict.EXPLAINED, "lies in a candle that was set aside"
        if _lies_in(trade, evidence.spooled.get(mint)):
            return AuditVerdict.PENDING, "waits on disk for the database"
        if trade.at_us >= evidence.released_us:
            return AuditVerdict.PENDING, "is on its way"
        if not evidence.rows_readable:
            return AuditVerdict.UNCHECKED, "the database does not answer"
        return AuditVerdict.MISSING, "is in no row"

    def _is_given_up(self, mint: str, trade: SeenTrade) -> bool:
        dead = self._evidence.dead_trades.get(mint, frozenset())
        return (trade.seq, trade.at_us) in dead or trade.at_us in self._left_out_us

    def _aside(self, mint: str) -> tuple[Span, ...]:
        return self._evidence.set_aside.get(mint, ())

    def _has_gap(self, row: Row) -> bool:
        return any(from_us < row.end_us and to_us >= row.start_us for from_us, to_us in self._gaps)

    # What goes out.

    def _say_row(
        self,
        verdict: AuditVerdict,
        held: _CountedTrade,
        reason: str,
        found: tuple[FigureDifference, ...] = (),
    ) -> None:
        row = held.row
        if not self._rules.since_us < row.end_us <= self._rules.until_us:
            return
        self._report.add(
            AuditFinding(
                verdict, row.mint, row.start_us, row.end_us, len(held.trades), reason, found
            )
        )

    def _say_trade(self, mint: str, trade: SeenTrade, said: tuple[AuditVerdict, str]) -> None:
        if not self._rules.since_us <= trade.at_us < self._rules.until_us:
            return
        verdict, reason = said
        self._report.add(
            AuditFinding(verdict, mint, trade.at_us, trade.at_us + 1, 1, reason, is_run=True)
        )


def _end(book: _MintAccount, at_us: int) -> None:
    """The coin has left its curve: its window is the last, without one it ends at once."""
    if book.ends_us is None:
        spanning = book.spanning(at_us - 1) or book.spanning(at_us)
        book.ends_us = max((held.row.end_us for held in spanning), default=at_us)


def _lies_in(trade: SeenTrade, spans: tuple[Span, ...] | None) -> bool:
    return any(start_us <= trade.at_us < end_us for start_us, end_us in spans or ())
