"""One audit: the journal's records in their order, with the rows of the time they have reached.

Guarantees: works beside a running service. What was released is read first, rows next, frames last,
so a row that is read here has all its frames read behind it, and what was released is in the rows.
Bounds: see `books`. The journal is read from the segment that holds `since` less the memory for
repetitions (10 minutes) and the longest window, and its first segment is looked through for where
it was set back. Rows are read ten seconds at a time; those from before the journal are counted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from actors.audit.books import LAG_US, MEMORY_US, US_PER_SECOND, Accounts, AuditRules, Evidence
from actors.audit.evidence import dead_letters, spooled_windows
from actors.audit.facts import Extent, number, released_us, set_back_us
from actors.audit.figures import Row
from actors.audit.reading import read_frame
from actors.audit.report import AuditReport
from actors.journal.numbering import read_name
from actors.journal.reader import JournalReader
from actors.journal.records import FactRecord, FrameRecord

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from actors.audit.books import Spans

JOURNAL: Final = "journal"
STEP_RECORDS: Final = 512
"""Looked through in one step: up to some 20 ms when all are frames of mints that are asked for."""
SLICE_US: Final = 10 * US_PER_SECOND
"""Rows are read for so long at once, by their beginnings: of 100 coins some 200, in 20 ms."""
WINDOW_US: Final = 60 * US_PER_SECOND
"""The longest window there is, as long as nobody says otherwise."""
_MINTS: Final = re.compile(rb'"mint"\s*:\s*"([^"]*)"')
FOREVER_US: Final = 2**62
_GRADUATION: Final = 0.995


class RowLike(Protocol):
    """A row, however it was read."""

    @property
    def mint(self) -> str:
        """The coin."""

    @property
    def start_us(self) -> int:
        """Begin of its window."""


class Rows(Protocol):
    """Where rows are read from; `db.audit.AuditQueries` is one."""

    def longest_window_s(self) -> int:
        """How long a window can be."""

    def rows(self, from_us: int, to_us: int, mints: Sequence[str] | None) -> Sequence[RowLike]:
        """Rows whose windows begin in `[from_us, to_us)`, in that order."""

    def rows_over(self, at_us: int, mints: Sequence[str] | None) -> Sequence[RowLike]:
        """Rows whose windows begin before this instant and end behind it."""

    def count_rows(self, from_us: int, to_us: int, mints: Sequence[str] | None) -> int:
        """How many rows have windows that end in `(from_us, to_us]`."""

    def creators(self, mints: Sequence[str]) -> Mapping[str, str]:
        """Who created these coins."""

    def tracked_before(self, at_us: int, mints: Sequence[str] | None) -> frozenset[str]:
        """Coins that are active, and had rows by then."""

    def set_aside(
        self, from_us: int, to_us: int | None, mints: Sequence[str] | None
    ) -> Mapping[str, tuple[tuple[int, int], ...]]:
        """Windows of candles that are kept beside the table; `to_us` None: up to the last."""


class Question(msgspec.Struct, frozen=True):
    """What to audit, and the settings that figures are measured by."""

    since_us: int
    until_us: int = FOREVER_US
    mints: frozenset[str] | None = None
    """None: all."""
    whale_lamports: int | None = None
    """None: whales are not compared."""
    initial_sol: float = 30.0
    full_sol: float = 85.0


def audit(
    state_dir: Path, rows: Rows | None, question: Question, *, extent: Extent | None = None
) -> Generator[None, None, AuditReport]:
    """Audit in steps; give the report at the end.

    Args:
        state_dir: Where the journal, the spool and the dead letters lie.
        rows: None: the database does not answer, and only what waits can be told.
        question: What to audit.
        extent: What `facts` finds, if that is known already; released may be less than is now.

    Yields:
        After every `STEP_RECORDS` records, and after each reading of rows.

    Raises:
        psycopg.Error: What `rows` raises.
    """
    return (yield from _Run(state_dir, rows, question).steps(extent))


class _Run:
    """One pass."""

    def __init__(self, state_dir: Path, rows: Rows | None, question: Question) -> None:
        self._state_dir = state_dir
        self._folder = state_dir / JOURNAL
        self._rows = rows
        self._question = question
        self._reader = JournalReader(self._folder)
        self._report = AuditReport()
        self._needles = frozenset(mint.encode() for mint in question.mints or ())
        self._loaded_us = 0
        """Rows that begin earlier were read."""
        self._position_us = 0
        self._damages = 0
        self._asked: set[str] = set()
        self._books = Accounts(self._rules(0, 0), Evidence(), self._report)

    def steps(self, extent: Extent | None) -> Generator[None, None, AuditReport]:
        reach_us = self._reach_us()
        begin_us = max(0, self._question.since_us - MEMORY_US - reach_us)
        first_us = self._first_us()
        if first_us is None:
            return self._report
        covered_us = max(begin_us, first_us)
        if extent is None:
            released = yield from released_us(self._folder, begin_us)
            extent = Extent(released, (yield from set_back_us(self._folder)))
        evidence = yield from self._evidence(extent.released_us, begin_us)
        self._books = Accounts(self._rules(covered_us, extent.set_back_us), evidence, self._report)
        self._report.from_us = max(covered_us, self._question.since_us)
        self._begin_rows(covered_us)
        yield
        # Facts from before the first frame of all have no time yet.
        from_us = 0 if begin_us <= first_us else begin_us
        for count, record in enumerate(self._reader.steps(since_us=from_us), 1):
            if record is None:
                yield
                continue
            # What ends a tracking, or begins it, comes behind its trades.
            if record.at_us >= self._question.until_us + LAG_US:
                break
            self._note_damage(record.at_us)
            if isinstance(record, FrameRecord) and record.at_us >= self._loaded_us:
                self._books.settle(record.at_us)
                yield
                yield from self._load_through(record.at_us)
            self._take(record)
            if count % STEP_RECORDS == 0:
                yield
        yield from self._load_through(self._position_us)
        self._books.settle(self._position_us, to_the_end=True)
        self._report.to_us = self._position_us
        return self._report

    # Before the pass.

    def _reach_us(self) -> int:
        if self._rows is None:
            return WINDOW_US
        return max(WINDOW_US, self._rows.longest_window_s() * US_PER_SECOND)

    def _rules(self, covered_from_us: int, set_back_us: int) -> AuditRules:
        question = self._question
        full_sol = question.initial_sol + _GRADUATION * question.full_sol
        return AuditRules(
            since_us=question.since_us,
            until_us=question.until_us,
            whale_lamports=question.whale_lamports,
            full_lamports=round(full_sol * 1e9),
            covered_from_us=covered_from_us,
            set_back_us=set_back_us,
        )

    def _first_us(self) -> int | None:
        """Tell when the journal begins: its first frame, not its first name; None: it is empty."""
        reader = JournalReader(self._folder)
        return next((record.at_us for record in reader.records() if record.at_us > 0), None)

    def _evidence(self, released: int, begin_us: int) -> Generator[None, None, Evidence]:
        remarks, mints = self._report.remarks, self._mints()
        until_us = self._question.until_us
        letters = yield from dead_letters(self._state_dir, remarks, mints)
        spooled = yield from spooled_windows(self._state_dir, remarks, mints)
        rows = self._rows
        tracked: frozenset[str] = frozenset()
        aside: Spans = {}
        if rows is not None:
            tracked = rows.tracked_before(begin_us, mints)
            yield
            aside = dict(
                rows.set_aside(begin_us, None if until_us == FOREVER_US else until_us, mints)
            )
            yield
        return Evidence(
            journal_id=_id_of(self._folder),
            released_us=released,
            rows_readable=rows is not None,
            tracked=tracked,
            spooled=spooled,
            dead_windows=letters.windows,
            dead_trades=letters.trades,
            set_aside=aside,
        )

    def _begin_rows(self, covered_us: int) -> None:
        """Count the rows from before the journal, and read those that reach into it."""
        self._loaded_us = covered_us
        if self._rows is None:
            return
        before_us = min(covered_us, self._question.until_us)
        if self._question.since_us < before_us:
            self._report.leave_unchecked(
                self._rows.count_rows(self._question.since_us, before_us, self._mints())
            )
        self._add(self._rows.rows_over(covered_us, self._mints()))

    # The pass.

    def _note_damage(self, at_us: int) -> None:
        """Take note of what could not be read before this instant, before windows are judged."""
        damages = self._reader.unreadable_lines + self._reader.unreadable_segments
        if damages > self._damages:
            self._damages = damages
            self._books.gap(self._position_us, at_us)

    def _take(self, record: FrameRecord | FactRecord) -> None:
        if isinstance(record, FactRecord):
            self._take_fact(record)
            self._position_us = max(self._position_us, record.at_us)
            return
        self._position_us = record.at_us
        self._take_frame(record)

    def _load_through(self, at_us: int) -> Generator[None, None, None]:
        """Read the rows that begin up to this instant, and those of a slice at most behind it.

        All frames before it were taken: rows of a time without frames are judged at once.
        """
        while self._loaded_us <= at_us:
            from_us, self._loaded_us = self._loaded_us, self._loaded_us + SLICE_US
            if self._rows is None:
                continue
            found = self._rows.rows(from_us, self._loaded_us, self._mints())
            self._add(found)
            yield
            if found and self._loaded_us <= at_us:
                self._books.settle(at_us)

    def _add(self, found: Sequence[RowLike]) -> None:
        if self._rows is None:
            return
        new = {row.mint for row in found} - self._asked
        self._asked |= new
        creators = self._rows.creators(sorted(new)) if new else {}
        self._books.add_rows(
            (msgspec.convert(row, Row, from_attributes=True) for row in found), creators
        )

    def _mints(self) -> list[str] | None:
        wanted = self._question.mints
        return None if wanted is None else sorted(wanted)

    def _take_frame(self, frame: FrameRecord) -> None:
        if self._question.mints is not None and not self._may_be_asked_for(frame.data):
            return
        seen = read_frame(frame.data, frame.seq, frame.at_us)
        if seen is None or not self._is_asked_for(seen.mint):
            return
        if seen.migrates:
            self._books.migrate(seen.mint, frame.at_us)
        else:
            self._books.take(seen)

    def _may_be_asked_for(self, data: bytes) -> bool:
        # A mint can be hidden from a search by escaped characters.
        return b"\\" in data or not self._needles.isdisjoint(_MINTS.findall(data))

    def _is_asked_for(self, mint: str | None) -> bool:
        wanted = self._question.mints
        return wanted is None or mint in wanted

    def _take_fact(self, fact: FactRecord) -> None:
        books, mint = self._books, fact.mint
        match fact.name:
            case "journal_gap":
                books.gap(self._position_us, fact.at_us)
            case "frame_left_out":
                books.leave_out(number(fact, "frame_us"))
            case "tracker_started" if mint is not None and self._is_asked_for(mint):
                books.start(mint)
            case "tracker_stopped" if mint is not None and self._is_asked_for(mint):
                books.stop(mint, fact.at_us, ended=bool(fact.details.get("ended")))
            case "handed_over" if mint is not None and self._is_asked_for(mint):
                books.hand_over(mint, number(fact, "from_seq"))
            case _:
                pass


def _id_of(journal: Path) -> int:
    """Give the id of the journal's numbers; 0: it has none that can be read."""
    try:
        name = read_name(journal)
    except OSError:
        return 0
    return 0 if name is None else name.journal_id
