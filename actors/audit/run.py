"""One audit: the journal's records in their order, with the rows of the time they have reached.

Guarantees: works beside a running service. What was released is read first, rows next, frames last,
so a row that is read here has all its frames read behind it, and what was released is in the rows.
Bounds: see `books`. The journal is read from the segment that holds `since` less the memory for
repetitions (10 minutes) and the longest window; nothing older is opened.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from actors.audit.books import LAG_US, MEMORY_US, US_PER_SECOND, Books, Evidence, Rules
from actors.audit.evidence import dead_letters, spooled_windows
from actors.audit.figures import Row
from actors.audit.reading import read_frame
from actors.audit.report import Report
from actors.connection.journal_reader import JournalReader
from actors.connection.journal_records import Fact, Frame
from actors.connection.journal_segments import list_segments

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

JOURNAL: Final = "journal"
DRAINED: Final = "drained"
"""Everything that has arrived before this fact is in rows or on disk."""
STEP_RECORDS: Final = 512
"""Looked through in one step: up to some 20 ms when all are frames of mints that are asked for."""
SLICE_US: Final = 60 * US_PER_SECOND
"""Rows are read for so long at once, by their beginnings."""
WINDOW_US: Final = 60 * US_PER_SECOND
"""The longest window there is, as long as nobody says otherwise."""
ROWS_US: Final = 3_600 * US_PER_SECOND
"""Rows are read from so long before the journal on; what they hold is unchecked."""
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

    def creators(self, mints: Sequence[str]) -> Mapping[str, str]:
        """Who created these coins."""

    def tracked_before(self, at_us: int, mints: Sequence[str] | None) -> frozenset[str]:
        """Coins that are active, and had rows by then."""

    def set_aside(self, from_us: int) -> Mapping[str, tuple[tuple[int, int], ...]]:
        """Windows of candles that are kept beside the table."""


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
    state_dir: Path, rows: Rows | None, question: Question, *, released: int | None = None
) -> Generator[None, None, Report]:
    """Audit in steps; give the report at the end.

    Args:
        state_dir: Where the journal, the spool and the dead letters lie.
        rows: None: the database does not answer, and only what waits can be told.
        question: What to audit.
        released: As `released_us` gives it, if that is known already; never a later time.

    Yields:
        After every `STEP_RECORDS` records, and after each reading of rows.

    Raises:
        psycopg.Error: What `rows` raises.
    """
    return (yield from _Run(state_dir, rows, question, released).steps())


def released_us(folder: Path, begin_us: int) -> Generator[None, None, int]:
    """Find how far everything is in rows, on disk or given up; 0: nobody has said so.

    Looks in the newest segment of the journal, then from `begin_us` on.

    Yields:
        Now and then.
    """
    newest_us = max((segment.first_us for segment in list_segments(folder)), default=0)
    found_us = 0
    for since_us in (newest_us, begin_us):
        for number, record in enumerate(JournalReader(folder).steps(since_us=since_us)):
            if isinstance(record, Fact):
                found_us = max(found_us, _released_by(record))
            if record is None or number % (8 * STEP_RECORDS) == 0:
                yield
        if found_us:
            break
    return found_us


class _Run:
    """One pass."""

    def __init__(
        self, state_dir: Path, rows: Rows | None, question: Question, released: int | None
    ) -> None:
        self._state_dir = state_dir
        self._folder = state_dir / JOURNAL
        self._rows = rows
        self._question = question
        self._released = released
        self._reader = JournalReader(self._folder)
        self._report = Report()
        self._needles = frozenset(mint.encode() for mint in question.mints or ())
        self._loaded_us = 0
        self._position_us = 0
        self._damages = 0
        self._asked: set[str] = set()
        self._books = Books(self._rules(0), Evidence(), self._report)

    def steps(self) -> Generator[None, None, Report]:
        reach_us = self._reach_us()
        begin_us = max(0, self._question.since_us - MEMORY_US - reach_us)
        first_us = self._first_us()
        if first_us is None:
            return self._report
        covered_us = max(begin_us, first_us)
        released = self._released
        if released is None:
            released = yield from released_us(self._folder, begin_us)
        self._books = Books(
            self._rules(covered_us), self._evidence(released, begin_us), self._report
        )
        self._report.from_us = max(covered_us, self._question.since_us)
        self._loaded_us = max(0, begin_us - ROWS_US)
        # Facts from before the first frame of all have no time yet.
        from_us = 0 if begin_us <= first_us else begin_us
        for number, record in enumerate(self._reader.steps(since_us=from_us), 1):
            if record is None:
                yield
                continue
            # What ends a tracking, or begins it, comes behind its trades.
            if record.at_us >= self._question.until_us + LAG_US:
                break
            self._take(record)
            if number % STEP_RECORDS == 0:
                yield
        self._load(self._position_us + 1)
        self._books.settle(self._position_us, to_the_end=True)
        self._report.to_us = self._position_us
        return self._report

    # Before the pass.

    def _reach_us(self) -> int:
        if self._rows is None:
            return WINDOW_US
        return max(WINDOW_US, self._rows.longest_window_s() * US_PER_SECOND)

    def _rules(self, covered_from_us: int) -> Rules:
        question = self._question
        full_sol = question.initial_sol + _GRADUATION * question.full_sol
        return Rules(
            since_us=question.since_us,
            until_us=question.until_us,
            whale_lamports=question.whale_lamports,
            full_lamports=round(full_sol * 1e9),
            covered_from_us=covered_from_us,
        )

    def _first_us(self) -> int | None:
        """Tell when the journal begins: its first frame, not its first name; None: it is empty."""
        reader = JournalReader(self._folder)
        return next((record.at_us for record in reader.records() if record.at_us > 0), None)

    def _evidence(self, released: int, begin_us: int) -> Evidence:
        remarks = self._report.remarks
        letters = dead_letters(self._state_dir, remarks)
        spooled = spooled_windows(self._state_dir, remarks, self._mints())
        rows = self._rows
        return Evidence(
            released_us=released,
            rows_readable=rows is not None,
            tracked=frozenset() if rows is None else rows.tracked_before(begin_us, self._mints()),
            spooled=spooled,
            dead_windows=letters.windows,
            dead_trades=letters.trades,
            set_aside={} if rows is None else dict(rows.set_aside(begin_us)),
        )

    # The pass.

    def _take(self, record: Frame | Fact) -> None:
        damages = self._reader.unreadable_lines + self._reader.unreadable_segments
        if damages > self._damages:
            self._damages = damages
            self._books.gap(self._position_us, record.at_us)
        if isinstance(record, Fact):
            self._take_fact(record)
            self._position_us = max(self._position_us, record.at_us)
            return
        if record.at_us < self._position_us:
            # The clock was set back, and the fact that says so stands before this frame.
            self._books.set_clock_back()
            self._loaded_us = max(0, record.at_us - ROWS_US)
        self._position_us = record.at_us
        if record.at_us >= self._loaded_us:
            self._go_on(record.at_us)
        self._take_frame(record)

    def _go_on(self, at_us: int) -> None:
        """Judge what lies behind, and read the rows of what comes."""
        self._books.settle(at_us)
        self._load(at_us + SLICE_US)

    def _load(self, to_us: int) -> None:
        if self._rows is None or to_us <= self._loaded_us:
            self._loaded_us = max(self._loaded_us, to_us)
            return
        found = self._rows.rows(self._loaded_us, to_us, self._mints())
        self._loaded_us = to_us
        new = {row.mint for row in found} - self._asked
        self._asked |= new
        creators = self._rows.creators(sorted(new)) if new else {}
        self._books.add_rows(
            (msgspec.convert(row, Row, from_attributes=True) for row in found), creators
        )

    def _mints(self) -> list[str] | None:
        wanted = self._question.mints
        return None if wanted is None else sorted(wanted)

    def _take_frame(self, frame: Frame) -> None:
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

    def _take_fact(self, fact: Fact) -> None:
        books, mint = self._books, fact.mint
        match fact.name:
            case "journal_gap":
                books.gap(self._position_us, fact.at_us)
            case "frame_left_out":
                books.leave_out(_number(fact, "frame_us"))
            case "tracker_started" if mint is not None and self._is_asked_for(mint):
                books.start(mint)
            case "tracker_stopped" if mint is not None and self._is_asked_for(mint):
                books.stop(mint, fact.at_us, ended=bool(fact.details.get("ended")))
            case "handed_over" if mint is not None and self._is_asked_for(mint):
                books.hand_over(mint, _number(fact, "from_seq"))
            case _:
                pass


def _released_by(fact: Fact) -> int:
    match fact.name:
        case "released":
            return _number(fact, "before_us")
        case "drained":
            return fact.at_us + 1
        case _:
            return 0


def _number(fact: Fact, name: str) -> int:
    value = fact.details.get(name)
    return value if isinstance(value, int) else 0
