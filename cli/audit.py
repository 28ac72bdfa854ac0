"""`mintwatch audit`: whether the rows are true, worked out a second time from the journal.

Unlike its neighbours it asks no service: it reads the journal and the database itself.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import click
import psycopg

from actors.audit.report import ORDER, WRONG, AuditReport, AuditVerdict, shown
from actors.audit.run import FOREVER_US, JOURNAL, Question, audit
from cli.client import settings_of_caller
from cli.database import dsn_of
from cli.output import as_json_option, say
from cli.tables import pairs, table
from cli.times import instant, iso
from db.audit import AuditQueries
from db.errors import DatabaseError, one_line
from db.pool import connect
from settings import SettingsError
from settings.store import HISTORY_BOUND, SettingsStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.audit.report import AuditFinding
    from settings import Settings

EXIT_NOTHING_CHECKED: Final = 3
EXIT_DIFFERENCE: Final = 4
_LAMPORTS_PER_SOL: Final = 1_000_000_000
_LINES: Final = 50
"""Findings shown to a person; `--json` has up to 1,000 of each verdict."""
_MOST_SHOWN: Final = 3
"""Columns of a difference shown in a line."""


@click.command("audit")
@click.option("--since", callback=instant, default="10m", help="90s, 10m, 2h, 1d, or an ISO time.")
@click.option("--until", callback=instant, help="The same; else up to now.")
@click.option("--mint", help="This coin alone.")
@as_json_option
def audit_command(*, since: int, until: int | None, mint: str | None, as_json: bool) -> None:
    """Hold the rows against the journal: missing, different or extra windows, with the reason.

    Exit codes: 0, all that was checked agrees; 4, an unexplained difference; 3, nothing could be
    checked.
    """
    if until is not None and until <= since:
        raise click.UsageError("--until has to be later than --since.")
    settings = settings_of_caller()
    if settings.feed_kind == "replay":
        click.echo("mintwatch: a recording that is replayed has no journal to check.", err=True)
        sys.exit(EXIT_NOTHING_CHECKED)
    question = Question(
        since_us=since,
        until_us=FOREVER_US if until is None else until,
        mints=None if mint is None else frozenset({mint}),
        whale_lamports=_whale_lamports(settings, since),
        initial_sol=settings.sol_reserves_initial,
        full_sol=settings.sol_reserves_full,
    )
    report = _audited(settings, question)
    say(_answer(report, since, until), _lines(report), as_json=as_json)
    sys.exit(_exit_code(report))


def _exit_code(report: AuditReport) -> int:
    if report.wrong:
        return EXIT_DIFFERENCE
    return 0 if report.checked else EXIT_NOTHING_CHECKED


def _whale_lamports(settings: Settings, since_us: int) -> int | None:
    """Give what made a whale all the time; None: it has changed, or nobody can say."""
    try:
        changes = SettingsStore(settings.state_dir).history(HISTORY_BOUND)
    except SettingsError:
        return None
    if any(each.at_us >= since_us and "whale_threshold_sol" in each.changed for each in changes):
        return None
    return round(settings.whale_threshold_sol * _LAMPORTS_PER_SOL)


def _audited(settings: Settings, question: Question) -> AuditReport:
    if not (settings.state_dir / JOURNAL).is_dir():
        report = AuditReport()
        report.remarks.append(f"{settings.state_dir} holds no journal: nothing can be checked")
        return report
    with ExitStack() as stack:
        rows, trouble = _open_rows(settings, stack)
        try:
            report = _through(settings, rows, question)
        except psycopg.Error as error:
            trouble = one_line(error)
            report = _through(settings, None, question)
    if trouble is not None:
        report.remarks.append(f"the database does not answer ({trouble}): no row was read")
    return report


def _open_rows(settings: Settings, stack: ExitStack) -> tuple[AuditQueries | None, str | None]:
    """Open the rows to read, or say why that is not possible."""
    try:
        dsn = dsn_of(settings, stack)
        conn = connect(dsn, application_name="mintwatch audit", autocommit=True)
        stack.callback(conn.close)
        conn.read_only = True
    except (DatabaseError, psycopg.Error) as error:
        return None, one_line(error)
    return AuditQueries(conn), None


def _through(settings: Settings, rows: AuditQueries | None, question: Question) -> AuditReport:
    steps = audit(settings.state_dir, rows, question)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            report: AuditReport = end.value
            return report


# What is said.


def _answer(report: AuditReport, since_us: int, until_us: int | None) -> dict[str, Any]:
    counts = {verdict.value: report.counts[verdict] for verdict in ORDER if verdict not in WRONG}
    wrong = {verdict.value: [shown(f) for f in report.findings[verdict]] for verdict in WRONG}
    return {
        "since": iso(since_us),
        "until": None if until_us is None else iso(until_us),
        "checked": report.checked,
        "ok": report.counts[AuditVerdict.OK],
        **counts,
        "duplicates": report.duplicates,
        "remarks": report.remarks,
        **wrong,
    }


def _lines(report: AuditReport) -> Iterator[str]:
    worst = report.worst()
    if worst:
        head = ("verdict", "mint", "window", "trades", "reason")
        yield from table(head, [_cells(finding) for finding in worst[:_LINES]])
        if len(worst) > _LINES:
            yield f"... and {len(worst) - _LINES} more; --json has them."
        yield ""
    yield from pairs(
        [
            ("checked", report.checked),
            ("ok", report.counts[AuditVerdict.OK]),
            *((verdict.value, report.counts[verdict]) for verdict in ORDER),
            *(("note", remark) for remark in report.remarks),
        ]
    )


def _cells(finding: AuditFinding) -> tuple[Any, ...]:
    reason = finding.reason
    if finding.differences:
        reason = "; ".join(
            f"{each.column} is {each.row}, should be {each.computed}"
            for each in finding.differences[:_MOST_SHOWN]
        )
    window = f"{iso(finding.start_us)} .. {iso(finding.end_us)[11:]}"
    return finding.verdict.value, finding.mint, window, finding.trades, reason
