"""What an audit has found: verdicts, and the figures behind them. Pure."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Any, Final

import msgspec

from actors.audit.figures import FigureDifference

KEPT: Final = 1_000
"""Findings kept of each verdict; counts go on past it."""


class AuditVerdict(StrEnum):
    """What became of a window, or of a run of trades in no window."""

    OK = "ok"
    MISSING = "missing"
    """Trades that have to be in a row, and are in none."""
    DIFFERENT = "different"
    """A row that says something else than its trades."""
    EXTRA = "extra"
    """A row without a single trade, although the journal covers its window."""
    OVERLAP = "overlap"
    """A row whose window lies over another row's: its trades are counted twice."""
    PENDING = "pending"
    """On its way: spooled, parked, queued, open, or not yet released."""
    EXPLAINED = "explained"
    """Given up, and kept where an operator finds it."""
    UNCHECKED = "unchecked"
    """The journal does not hold all of it."""


WRONG: Final = (
    AuditVerdict.MISSING,
    AuditVerdict.DIFFERENT,
    AuditVerdict.OVERLAP,
    AuditVerdict.EXTRA,
)
"""Worst first; each is an unexplained difference."""
CHECKED: Final = (AuditVerdict.OK, *WRONG, AuditVerdict.EXPLAINED)
ORDER: Final = (*WRONG, AuditVerdict.EXPLAINED, AuditVerdict.PENDING, AuditVerdict.UNCHECKED)


class AuditFinding(msgspec.Struct):
    """One window, or one run of trades of a mint, with its verdict and the reason in words."""

    verdict: AuditVerdict
    mint: str
    start_us: int
    end_us: int
    trades: int
    reason: str
    differences: tuple[FigureDifference, ...] = ()
    is_run: bool = False
    """Trades in no window; of two runs that follow each other one is made."""


class AuditReport:
    """Counts and findings of one audit. Bounded: `KEPT` findings of each verdict but ok."""

    def __init__(self) -> None:
        self.counts: Counter[AuditVerdict] = Counter()
        self.findings: dict[AuditVerdict, list[AuditFinding]] = {verdict: [] for verdict in ORDER}
        self.duplicates = 0
        """Trades that came again, and count once."""
        self.from_us: int | None = None
        """First and last instant that the journal covers of what was asked for."""
        self.to_us: int | None = None
        self.remarks: list[str] = []

    def add(self, finding: AuditFinding) -> None:
        """Count a finding and keep it; a run of trades goes on where the last one of it ended."""
        kept = self.findings.get(finding.verdict)
        if kept is not None and kept and _continues(kept[-1], finding):
            kept[-1].end_us = finding.end_us
            kept[-1].trades += finding.trades
            return
        self.counts[finding.verdict] += 1
        if kept is not None and len(kept) < KEPT:
            kept.append(finding)

    def leave_unchecked(self, rows: int) -> None:
        """Count rows whose windows ended before the journal begins."""
        if rows:
            self.counts[AuditVerdict.UNCHECKED] += rows
            self.remarks.append(f"{rows:,} windows ended before the journal begins")

    @property
    def checked(self) -> int:
        """Windows and runs with a verdict that is certain."""
        return sum(self.counts[verdict] for verdict in CHECKED)

    @property
    def wrong(self) -> int:
        """Windows and runs that nothing explains."""
        return sum(self.counts[verdict] for verdict in WRONG)

    def worst(self) -> list[AuditFinding]:
        """List what is kept, worst first."""
        return [finding for verdict in ORDER for finding in self.findings[verdict]]


def _continues(last: AuditFinding, finding: AuditFinding) -> bool:
    """Say whether both are runs of trades of one mint for one reason; windows never merge."""
    return (
        last.is_run
        and finding.is_run
        and (last.mint, last.reason) == (finding.mint, finding.reason)
        and last.end_us <= finding.start_us
    )


def shown(finding: AuditFinding) -> dict[str, Any]:
    """Write a finding for JSON."""
    found: dict[str, Any] = {
        "mint": finding.mint,
        "window_start_us": finding.start_us,
        "window_end_us": finding.end_us,
        "trades": finding.trades,
        "reason": finding.reason,
    }
    if finding.differences:
        found["differences"] = [msgspec.to_builtins(each) for each in finding.differences]
    return found
