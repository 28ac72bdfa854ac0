"""From metric definitions to the JSON of a dashboard for Grafana 10 and later. Pure."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deploy.grafana.queries import Query, queries, unit_of
from deploy.grafana.rows import ROWS, Panel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from telemetry import Definition, Telemetry

FILE: Final = Path(__file__).with_name("mintwatch.json")
SCHEMA_VERSION: Final = 39
"""Of Grafana 10.4; later ones read it and convert it themselves."""

_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS: Final = 24
_WIDTHS: Final = {"timeseries": 8, "stat": 4, "state": 4}
_HEIGHT: Final = 8


def build(telemetry: Telemetry) -> dict[str, Any]:
    """Build the dashboard.

    Raises:
        KeyError: A panel names a metric that there is not.
    """
    return {
        "uid": "mintwatch",
        "title": "mintwatch",
        "description": "Watches new coins on pump.fun. Made by `python -m deploy.grafana`.",
        "tags": ["mintwatch"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "timezone": "utc",
        "time": {"from": "now-3h", "to": "now"},
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": _variables()},
        "panels": list(_panels(telemetry)),
    }


def as_text(dashboard: dict[str, Any]) -> str:
    """Write a dashboard as the file holds it."""
    return json.dumps(dashboard, indent=2) + "\n"


def _variables() -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        {
            "name": "instance",
            "label": "Instance",
            "type": "query",
            "datasource": _DATASOURCE,
            "query": {"query": "label_values(unified_uptime_seconds, instance)", "refId": "names"},
            "refresh": 2,
            "includeAll": False,
            "multi": False,
        },
    ]


def _panels(telemetry: Telemetry) -> Iterator[dict[str, Any]]:
    """Lay the panels out, row by row, from left to right."""
    numbers, top = itertools.count(1), 0
    for row in ROWS:
        heading = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        yield {
            "id": next(numbers),
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": heading,
            "panels": [],
        }
        top, left = top + 1, 0
        for panel in row.panels:
            width = _WIDTHS[panel.kind]
            if left + width > _COLUMNS:
                top, left = top + _HEIGHT, 0
            grid = {"x": left, "y": top, "w": width, "h": _HEIGHT}
            yield _panel(telemetry, panel, next(numbers), grid)
            left += width
        top += _HEIGHT


def _panel(telemetry: Telemetry, panel: Panel, number: int, grid: dict[str, int]) -> dict[str, Any]:
    metrics = [telemetry.definitions[name] for name in panel.metrics]
    drawn = [query for metric in metrics for query in queries(metric, panel)]
    return {
        "id": number,
        "type": "timeseries" if panel.kind == "timeseries" else "stat",
        "title": panel.title,
        "description": " ".join(metric.text for metric in metrics),
        "datasource": _DATASOURCE,
        "gridPos": grid,
        "targets": [_target(panel, query, place) for place, query in enumerate(drawn)],
        "fieldConfig": {"defaults": _defaults(panel, metrics), "overrides": []},
        "options": _options(panel),
    }


def _target(panel: Panel, query: Query, place: int) -> dict[str, Any]:
    return {
        "refId": chr(ord("A") + place),
        "datasource": _DATASOURCE,
        "expr": query.expression,
        "legendFormat": query.legend,
        "instant": panel.kind != "timeseries",
        "range": panel.kind == "timeseries",
    }


def _defaults(panel: Panel, metrics: list[Definition]) -> dict[str, Any]:
    units = {unit_of(metric, panel) for metric in metrics}
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.bad_below is not None:
        steps = [{"color": "red", "value": None}, {"color": "green", "value": panel.bad_below}]
    elif panel.bad_from is not None:
        steps.append({"color": "red", "value": panel.bad_from})
    return {
        "unit": units.pop() if len(units) == 1 else "short",
        "thresholds": {"mode": "absolute", "steps": steps},
        "custom": {"fillOpacity": 5} if panel.kind == "timeseries" else {},
    }


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    is_judged = panel.bad_below is not None or panel.bad_from is not None
    return {
        "colorMode": "background" if is_judged else "value",
        "graphMode": "none",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "name" if panel.kind == "state" else "auto",
    }
