"""From a crash dossier to what the API shows of it: secrets masked. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.actors.schemas import Dossier, DossierSummary
from api.actors.views import handled_of
from api.health.views import iso

if TYPE_CHECKING:
    from actors.runtime.inspection.crash_reports import CrashReport, CrashSummary
    from telemetry import Redactor


def summary_of(found: CrashSummary, redactor: Redactor) -> DossierSummary:
    """Show a failure in short."""
    return DossierSummary(
        id=found.id,
        at=iso(found.at_us),
        actor=found.actor,
        kind=found.kind,
        error=redactor.text(found.error),
        message=found.message,
        decision=found.decision,
    )


def dossier_of(found: CrashReport, redactor: Redactor) -> Dossier:
    """Show all that is on record of a failure, whose texts are bounded where they are kept."""
    return Dossier(
        **summary_of(found.line, redactor).model_dump(),
        traceback=redactor.text(found.traceback),
        summary=_masked(found.summary, redactor),
        recent=[handled_of(message, redactor) for message in found.recent],
        state=_masked(found.state, redactor),
        restart_after_seconds=found.restart_after_s,
        restarts=found.restarts,
    )


def _masked(text: str | None, redactor: Redactor) -> str | None:
    return None if text is None else redactor.text(text)
