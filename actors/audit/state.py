"""What outlives an instance of the auditor. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from actors.audit.report import WRONG, AuditFinding, AuditReport, AuditVerdict
from actors.protocol.auditor import AuditStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

REMEMBERED_US: Final = 3_600 * 1_000_000
MOST_REMEMBERED: Final = 1_000
_EXAMPLES: Final = 3

Key = tuple[AuditVerdict, str, int, int]


class AuditorState:
    """Counts of this process, and the differences of the last hour, each once."""

    def __init__(self, started_us: int) -> None:
        self.whales_since_us = started_us
        """Since when it is known what makes a whale."""
        self.audited_us = 0
        """How far the last round reached."""
        self.set_back_us: int | None = None
        """Up to where the journal was set back; None: nobody has looked."""
        self._rounds = 0
        self._counts: Counter[AuditVerdict] = Counter()
        self._checked = 0
        self._wrong: dict[Key, tuple[int, AuditFinding]] = {}

    def take(self, report: AuditReport, now_us: int) -> Iterator[AuditFinding]:
        """Count a round, and give the differences that are new."""
        self._rounds += 1
        self._counts += report.counts
        self._checked += report.checked
        for key in [key for key, (at, _) in self._wrong.items() if at < now_us - REMEMBERED_US]:
            del self._wrong[key]
        for finding in report.worst():
            key = (finding.verdict, finding.mint, finding.start_us, finding.end_us)
            is_known = key in self._wrong or len(self._wrong) >= MOST_REMEMBERED
            if finding.verdict in WRONG and not is_known:
                self._wrong[key] = (now_us, finding)
                yield finding

    def status(self, last_at_us: int | None, last_error: str | None = None) -> AuditStatus:
        """Say it all."""
        wrong = Counter(verdict for verdict, *_ in self._wrong)
        newest = [finding for _, finding in self._wrong.values()][: -_EXAMPLES - 1 : -1]
        return AuditStatus(
            rounds=self._rounds,
            checked=self._checked,
            ok=self._counts[AuditVerdict.OK],
            pending=self._counts[AuditVerdict.PENDING],
            explained=self._counts[AuditVerdict.EXPLAINED],
            unchecked=self._counts[AuditVerdict.UNCHECKED],
            missing=wrong[AuditVerdict.MISSING],
            different=wrong[AuditVerdict.DIFFERENT],
            overlap=wrong[AuditVerdict.OVERLAP],
            extra=wrong[AuditVerdict.EXTRA],
            since_us=min((at for at, _ in self._wrong.values()), default=None),
            last_at_us=last_at_us,
            examples=tuple(sentence(finding) for finding in newest),
            last_error=last_error,
        )


def sentence(finding: AuditFinding) -> str:
    """Write a difference for a person."""
    where = f"{finding.mint}, {finding.trades} trades from {finding.start_us} us on"
    return f"{finding.verdict.value}: {where}: {finding.reason}"
