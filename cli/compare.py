"""`mintwatch compare`: the rows of the original and ours, side by side, and why they differ.

Unlike its neighbours it asks no service: it reads two databases, and writes nothing.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
import psycopg

from actors.compare.judging import Rules
from actors.compare.reasons import Reason
from actors.compare.rows import BUYS, SELLS, VOLUME, Precision
from actors.compare.run import Known, OutOfOrderError, compare
from cli.client import settings_of_caller
from cli.database import dsn_of
from cli.output import as_json_option, say
from cli.tables import pairs, table
from cli.times import US_PER_SECOND, instant, iso, now_us
from db.compare import STATEMENT_S, ComparedTable, NotComparableError, Side, open_compared
from db.errors import DatabaseError, DsnError, one_line
from settings.masking import hide, is_masked_dsn, mask_dsn, spelled, texts_of_dsn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.compare.judging import ComparedHour
    from actors.compare.report import CompareReport, Total
    from actors.compare.rows import Sums

EXIT_NOTHING_COMPARED: Final = 3
EXIT_DIFFERENCE: Final = 4
_LINES: Final = 50
"""Hours shown to a person; `--json` has up to 10,000 that differ, and as many that agree."""
_REACH_US: Final = 3_600 * US_PER_SECOND
"""Rows are read so far before and behind, for windows over the ends. Windows are shorter."""
_OPEN_US: Final = 60 * US_PER_SECOND
"""A row is written by then when its window is over."""
_USUAL_INTERVAL_S: Final = 60
_LAMPORTS_PER_SOL: Final = 1_000_000_000
_COUNTS: Final = ("rows", "trades", "buys", "sells")
_SINGLE_PART: Final = 1e-6
"""What floats of four bytes leave of a sum."""


class NotCompared(click.ClickException):
    """One of the databases cannot be read."""

    exit_code = EXIT_NOTHING_COMPARED


class _Given(NamedTuple):
    """One of the two databases, as it was named."""

    option: str
    dsn: str
    side: Side

    def text(self) -> str:
        """Name it without a secret."""
        return f"{self.option} ({mask_dsn(self.dsn)})"

    def hidden(self, error: BaseException) -> str:
        """Give an error's words without a secret, as one line with a full stop."""
        words = hide(one_line(error), spelled(texts_of_dsn(self.dsn)))
        return words if words.endswith((".", "?", "!")) else f"{words}."


def _connection_string(
    _context: click.Context, option: click.Parameter, given: str | None
) -> str | None:
    """Take a connection string; `-` asks for it without showing it."""
    if given is None:
        return None
    if given == "-":
        given = str(click.prompt(option.opts[0], hide_input=True, err=True))
    if is_masked_dsn(given):
        raise click.BadParameter("it holds ***, but the real password is expected.")
    if not given.strip() or mask_dsn(given) == "***":
        raise click.BadParameter(
            "it cannot be read: expected postgresql://user:password@host:5432/database or "
            "key=value pairs; escape special characters of a password in an address as %XX."
        )
    return given


@click.command("compare")
@click.option(
    "--theirs",
    required=True,
    callback=_connection_string,
    metavar="DSN",
    help="The original's database; - asks for it without showing it.",
)
@click.option(
    "--ours",
    callback=_connection_string,
    metavar="DSN",
    help="The database of mintwatch; else the one that the settings name.",
)
@click.option("--since", callback=instant, default="1d", help="90s, 10m, 2h, 1d, or an ISO time.")
@click.option("--until", callback=instant, help="The same; else as far as windows are over.")
@click.option("--mint", help="This coin alone.")
@as_json_option
def compare_command(
    *, theirs: str, ours: str | None, since: int, until: int | None, mint: str | None, as_json: bool
) -> None:
    """Hold the original's rows against ours, coin by coin and hour by hour, with the reason.

    Exit codes: 0, both sides have the same trades; 4, something is lacking; 3, nothing could be
    compared.
    """
    if until is not None and until <= since:
        raise click.UsageError("--until has to be later than --since.")
    with ExitStack() as stack:
        left = _Given("--theirs", theirs, Side.THEIRS)
        right = _Given("--ours", ours or _own_dsn(stack), Side.OURS)
        found = _Comparison(_opened(left, stack), _opened(right, stack), left, right)
        report, until = found.report(since, until, mint)
    say(_answer(report, since, until), _lines(report, since, until), as_json=as_json)
    sys.exit(_exit_code(report))


def _exit_code(report: CompareReport) -> int:
    if report.differing:
        return EXIT_DIFFERENCE
    return 0 if report.hours else EXIT_NOTHING_COMPARED


def _own_dsn(stack: ExitStack) -> str:
    try:
        return dsn_of(settings_of_caller(), stack)
    except DatabaseError as error:
        raise NotCompared(str(error)) from error


def _opened(given: _Given, stack: ExitStack) -> ComparedTable:
    try:
        conn = open_compared(given.dsn, given.side)
    except DsnError as error:
        raise NotCompared(f"{given.text()} cannot be used: {given.hidden(error)}") from None
    except psycopg.Error as error:
        raise NotCompared(f"{given.text()} cannot be reached: {given.hidden(error)}") from None
    stack.callback(conn.close)
    with _reading(given):
        return ComparedTable(conn, given.side)


@contextmanager
def _reading(given: _Given) -> Iterator[None]:
    """Turn what goes wrong while a database is read into one sentence."""
    try:
        yield
    except NotComparableError as error:
        raise NotCompared(f"{given.text()} {error}{_remedy(given.side)}.") from None
    except psycopg.errors.QueryCanceled:
        raise NotCompared(
            f"{given.text()} did not give its rows within {STATEMENT_S:g} s: ask for less time."
        ) from None
    except psycopg.Error as error:
        raise NotCompared(f"{given.text()} cannot be read: {given.hidden(error)}") from None


def _remedy(side: Side) -> str:
    if side is Side.OURS:
        return ": name the database that mintwatch writes to, or run `mintwatch migrate` on it"
    return ": name the database that the original writes to"


class _Comparison:
    """Two tables that can be compared."""

    def __init__(
        self, theirs: ComparedTable, ours: ComparedTable, left: _Given, right: _Given
    ) -> None:
        self._theirs = theirs
        self._ours = ours
        self._left = left
        self._right = right
        self._notes: list[str] = []

    def report(
        self, since_us: int, until_us: int | None, mint: str | None
    ) -> tuple[CompareReport, int]:
        """Compare; give the report, and until when rows were compared."""
        intervals_s, longest_s = self._intervals()
        until_us = self._settled(since_us, until_us, longest_s)
        rules = Rules(
            since_us=since_us,
            until_us=until_us,
            intervals={phase: s * US_PER_SECOND for phase, s in intervals_s.items()},
            precision=self._precision(),
        )
        from_us, to_us = since_us - _REACH_US, until_us + _REACH_US
        known = self._known(from_us, to_us, mint)
        try:
            report = compare(
                self._rows(self._theirs, self._left, from_us, to_us, mint),
                self._rows(self._ours, self._right, from_us, to_us, mint),
                known,
                rules,
            )
        except OutOfOrderError as error:
            raise NotCompared(
                f"The databases sort mints differently ({one_line(error)}): ask for one with "
                "--mint."
            ) from None
        report.notes += self._notes
        return report, until_us

    def _known(self, from_us: int, to_us: int, mint: str | None) -> Known:
        with _reading(self._right):
            gaps = self._ours.gaps(from_us, to_us, mint)
            bought = self._ours.creators_buys(from_us, to_us, mint)
        if bought is None:
            self._notes.append("too many coins were discovered to know the buys of their creators")
        return Known(gaps, bought or {})

    def _intervals(self) -> tuple[dict[int, int], int]:
        """Tell how long their windows are by phase, and the longest of both sides, in seconds."""
        with _reading(self._left):
            theirs = self._theirs.intervals_s()
        with _reading(self._right):
            ours = self._ours.intervals_s()
        if not theirs:
            self._notes.append("theirs has no ref_coin_phases: the intervals are those of ours")
        longest_s = max((*theirs.values(), *ours.values()), default=_USUAL_INTERVAL_S)
        return theirs or ours, longest_s

    def _settled(self, since_us: int, until_us: int | None, longest_s: int) -> int:
        """Leave out what may still be in open windows."""
        settled_us = now_us() - longest_s * US_PER_SECOND - _OPEN_US
        if until_us is None or until_us > settled_us:
            if until_us is not None:
                self._notes.append(f"later than {iso(settled_us)} windows may still be open")
            until_us = settled_us
        if until_us <= since_us:
            raise NotCompared(
                f"No window since {iso(since_us)} is over: ask for an earlier time, as the longest "
                f"window takes {longest_s} s."
            )
        return until_us

    def _precision(self) -> Precision:
        theirs, ours = self._theirs, self._ours
        if not theirs.has_time_zone:
            self._notes.append("their timestamp has no time zone: it is read as UTC")
        if theirs.holds_both:
            self._notes.append("theirs has rows of both: those without window_start are compared")
        usual = Precision()
        is_single = theirs.is_single() or ours.is_single()
        return Precision(
            their_row_lamports=theirs.volume_off_lamports(),
            our_row_lamports=ours.volume_off_lamports(),
            volume_part=_SINGLE_PART if is_single else usual.volume_part,
            price_sol=max(theirs.price_off_sol(), ours.price_off_sol()),
            price_part=_SINGLE_PART if is_single else usual.price_part,
        )

    def _rows(
        self, side: ComparedTable, given: _Given, from_us: int, to_us: int, mint: str | None
    ) -> Iterator[Any]:
        with _reading(given):
            yield from side.rows(from_us, to_us, mint)


# What is said.


def _answer(report: CompareReport, since_us: int, until_us: int) -> dict[str, Any]:
    largest = report.largest()
    return {
        "since": iso(since_us),
        "until": iso(until_us),
        "coins": report.coins,
        "hours": report.hours,
        "differing": report.differing,
        "reasons": {reason.value: report.counts[reason] for reason in Reason},
        "theirs": _total(report.theirs),
        "ours": _total(report.ours),
        "notes": report.notes,
        "left_out": report.noted - len(largest),
        "differences": [_shown(hour) for hour in largest],
    }


def _total(total: Total) -> dict[str, Any]:
    return {"rows": total.rows, **_figures(total.figures)}


def _figures(figures: tuple[int, ...]) -> dict[str, Any]:
    names = ("volume_sol", "buy_volume_sol", "sell_volume_sol")
    return {
        "trades": figures[BUYS] + figures[SELLS],
        "buys": figures[BUYS],
        "sells": figures[SELLS],
        **{name: _sol(each) for name, each in zip(names, figures[VOLUME:], strict=True)},
    }


def _sol(lamports: int) -> float:
    return lamports / _LAMPORTS_PER_SOL


def _shown(hour: ComparedHour) -> dict[str, Any]:
    return {
        "mint": hour.mint,
        "from": iso(hour.from_us),
        "to": iso(hour.to_us),
        "reason": hour.reason.value,
        "says": hour.says,
        "theirs": _sums(hour.theirs),
        "ours": _sums(hour.ours),
    }


def _sums(sums: Sums) -> dict[str, Any]:
    return {
        "rows": sums.rows,
        **_figures(sums.figures),
        "price_high": sums.prices.high_sol,
        "price_low": sums.prices.low_sol,
        "first": None if sums.first_us is None else iso(sums.first_us),
        "last": None if sums.last_us is None else iso(sums.last_us),
    }


def _lines(report: CompareReport, since_us: int, until_us: int) -> Iterator[str]:
    largest = report.largest()
    if largest:
        head = ("reason", "mint", "hour", "rows", "trades", "SOL", "why")
        yield from table(head, [_cells(hour) for hour in largest[:_LINES]])
        if report.noted > _LINES:
            yield (
                f"... and {report.noted - _LINES:,} more; --json has up to 10,000 that differ, and "
                "--mint MINT shows those of one coin."
            )
        yield ""
    totals = (_total(report.theirs), _total(report.ours))
    counts = ((name, *(f"{each[name]:,}" for each in totals)) for name in _COUNTS)
    volume = ("SOL", *(f"{each['volume_sol']:,.3f}" for each in totals))
    yield from table(("", "theirs", "ours"), [*counts, volume])
    yield ""
    yield from pairs(
        [
            ("compared", f"{report.hours:,} hours of {report.coins:,} coins"),
            ("from", iso(since_us)),
            ("to", iso(until_us)),
            *((reason.value, report.counts[reason]) for reason in Reason),
            *(("note", note) for note in report.notes),
        ]
    )


def _cells(hour: ComparedHour) -> tuple[str, ...]:
    theirs, ours = hour.theirs, hour.ours
    return (
        hour.reason.value,
        hour.mint,
        f"{iso(hour.from_us)[:16]}Z",
        f"{theirs.rows:,} / {ours.rows:,}",
        f"{theirs.trades:,} / {ours.trades:,}",
        f"{_sol(theirs.lamports):,.3f} / {_sol(ours.lamports):,.3f}",
        hour.says,
    )
