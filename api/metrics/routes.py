"""Figures for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from api.problems import refused
from api.services import services
from telemetry import METRICS_CONTENT_TYPE

if TYPE_CHECKING:
    from flask_openapi3.types import ResponseDict

blueprint = APIBlueprint("metrics", __name__, abp_tags=[Tag(name="metrics")])

_TEXT: ResponseDict = {
    200: {"description": "OK", "content": {"text/plain": {"schema": {"type": "string"}}}},
    **refused(400),
}


@blueprint.get(
    "/metrics",
    summary="Metrics in Prometheus' text format",
    responses=_TEXT,
    openapi_extensions={"security": []},
)
def metrics() -> Response:
    """Give every metric, at most one second old."""
    return Response(services().telemetry.render(), content_type=METRICS_CONTENT_TYPE)
