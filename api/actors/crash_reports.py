"""Dossiers: what is on record of each failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from actors.protocol.operator import GetDossier, GetDossiers
from api.actors.crash_report_views import dossier_of, summary_of
from api.actors.schemas import Dossier, DossierPath, DossiersQuery, DossiersResponse
from api.problems import ProblemError, answers
from api.services import services

if TYPE_CHECKING:
    from actors.runtime.inspection.crash_reports import CrashReport, CrashSummary

blueprint = APIBlueprint("dossiers", __name__, abp_tags=[Tag(name="dossiers")])

_UNKNOWN = "No dossier of this id is kept: see /dossiers; the oldest make room for the newest."


@blueprint.get("/dossiers", summary="Failures on record", responses=answers(DossiersResponse, 504))
def list_dossiers(query: DossiersQuery) -> dict[str, Any]:
    """Give the newest failures, of one actor if asked for."""
    known = services()
    found: tuple[CrashSummary, ...] = known.ask(GetDossiers(query.limit, query.actor))
    shown = [summary_of(summary, known.redactor) for summary in found]
    return DossiersResponse(dossiers=shown, count=len(shown), limit=query.limit).model_dump()


@blueprint.get(
    "/dossiers/<id>",
    summary="One failure",
    responses=answers(Dossier, 404, 504),
)
def read_dossier(path: DossierPath) -> dict[str, Any]:
    """Give all that is on record of a failure."""
    known = services()
    found: CrashReport | None = known.ask(GetDossier(path.id))
    if found is None:
        raise ProblemError(404, _UNKNOWN)
    return dossier_of(found, known.redactor).model_dump()
