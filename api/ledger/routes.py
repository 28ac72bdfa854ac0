"""The ledger: where every received trade is."""

from __future__ import annotations

from typing import Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from actors.protocol.supervisor import GetLedger, LedgerReport
from api.ledger.schemas import LedgerResponse
from api.problems import answers
from api.services import services

blueprint = APIBlueprint("ledger", __name__, abp_tags=[Tag(name="ledger")])


@blueprint.get(
    "/ledger",
    summary="Where every received trade is",
    responses=answers(LedgerResponse, 504),
)
def read_ledger() -> dict[str, Any]:
    """Give the trades received since the start, and how many of them each place holds."""
    report: LedgerReport = services().ask(GetLedger())
    return LedgerResponse(
        received=report.received, places=report.places, balanced=report.balanced
    ).model_dump()
