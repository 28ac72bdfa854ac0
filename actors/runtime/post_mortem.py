"""Takes down what is to be seen of a failed instance before it is let go of.

Guarantees: secrets are masked before a text is cut, so that no half of one remains.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.runtime.inspection.crash_reports import CrashReport
from actors.runtime.inspection.preview import summary_of
from actors.runtime.inspection.recent_messages import render
from actors.runtime.supervision import Restart, name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.runtime.cell import Cell
    from actors.runtime.clocks import Clock
    from actors.runtime.inspection.crash_reports import CrashReports
    from actors.runtime.inspection.recent_messages import RecentMessage
    from actors.runtime.supervision import Decision

ERROR_CHARS: Final = 500
TRACEBACK_CHARS: Final = 8_192
MESSAGE_CHARS: Final = 4_000
STATE_CHARS: Final = 8_192


def examine(
    reports: CrashReports, clock: Clock, cell: Cell, error: BaseException, poison: Any
) -> CrashReport | None:
    """Describe a failure; what was decided about it is still to be filled in.

    None: there were too many failures just now.
    """
    now_us, now_ns = clock.now_us(), clock.monotonic_ns()
    if not reports.admit(now_ns / 1e9):
        return None
    state, mask = cell.snapshot(STATE_CHARS), reports.mask
    return CrashReport(
        id=reports.next_id(now_us),
        at_us=now_us,
        actor=cell.name,
        kind=cell.spec.kind,
        error=mask(f"{type(error).__name__}: {error}")[:ERROR_CHARS],
        traceback=mask("".join(traceback.format_exception(error)))[-TRACEBACK_CHARS:],
        message=None if poison is None else type(poison).__name__,
        summary=None if poison is None else mask(summary_of(poison, MESSAGE_CHARS)),
        recent=tuple(_masked(render(entry, now_us, now_ns), mask) for entry in list(cell.recent)),
        state=None if state is None else mask(state),
        decision="",
        restart_after_s=None,
        restarts=cell.restarts,
    )


def decided(dossier: CrashReport, decision: Decision) -> CrashReport:
    """Fill in what was decided."""
    return msgspec.structs.replace(
        dossier,
        decision=name_of(decision),
        restart_after_s=decision.after_s if isinstance(decision, Restart) else None,
    )


def _masked(handled: RecentMessage, mask: Callable[[str], str]) -> RecentMessage:
    return msgspec.structs.replace(handled, summary=mask(handled.summary))
