"""The shipped dashboard: complete, true to the metrics, and in a form Grafana takes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from telemetry import Telemetry
from tests.system.prometheus import promtool

FILE = Path(__file__).parents[2] / "deploy" / "grafana" / "mintwatch.json"
GRID_COLUMNS = 24
SERIES = re.compile(r"\b(?:unified|mintwatch)_\w+")


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def panels_of(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions_of(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in panels_of(dashboard) for target in panel["targets"]]


def by_title(dashboard: dict[str, Any], title: str) -> dict[str, Any]:
    (panel,) = [panel for panel in panels_of(dashboard) if panel["title"] == title]
    return panel


def test_every_metric_stands_on_the_dashboard(shipped: dict[str, Any]) -> None:
    drawn = {name for text in expressions_of(shipped) for name in SERIES.findall(text)}
    endings = ("", "_total", "_bucket", "_sum", "_count")

    missing = [
        definition.name
        for definition in Telemetry().definitions.values()
        if not drawn & {definition.name + ending for ending in endings}
    ]
    assert missing == []


def test_every_series_of_a_query_is_in_the_exposition(shipped: dict[str, Any]) -> None:
    text = Telemetry().render().decode()
    samples = {
        sample.name for family in text_string_to_metric_families(text) for sample in family.samples
    }
    # Its series come with the first request.
    samples.add("mintwatch_api_requests_total")

    used = {name for text in expressions_of(shipped) for name in SERIES.findall(text)}

    assert used <= samples
    assert len(used) > 80


def test_rows_are_those_an_operator_looks_for(shipped: dict[str, Any]) -> None:
    rows = [panel["title"] for panel in shipped["panels"] if panel["type"] == "row"]

    assert rows == [
        "At a glance", "Feed", "Candles", "Database", "n8n", "Actors", "Journal and spool", "API",
    ]  # fmt: skip


def test_form_is_that_of_grafana_10_and_later(shipped: dict[str, Any]) -> None:
    assert shipped["schemaVersion"] == 39
    assert {variable["name"]: variable["type"] for variable in shipped["templating"]["list"]} == {
        "datasource": "datasource",
        "instance": "query",
    }
    numbers = [panel["id"] for panel in shipped["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in panels_of(shipped):
        assert panel["type"] in {"timeseries", "stat"}
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"], panel["title"]
        assert panel["description"].endswith(".")
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_panels_neither_overlap_nor_leave_the_grid(shipped: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in shipped["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= GRID_COLUMNS
        cells = {
            (place["x"] + right, place["y"] + down)
            for right in range(place["w"])
            for down in range(place["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells


@pytest.mark.parametrize(
    ("title", "unit"),
    [
        ("Window end to commit", "s"),
        ("Journal on disk", "bytes"),
        ("Dispatcher busy", "percentunit"),
        ("Estimated cost", "suffix: SOL"),
        ("Last trade", "dateTimeFromNow"),
        ("Trades", "cps"),
        ("Coins tracked", "short"),
        ("Late trades", "short"),
    ],
)
def test_unit_is_that_of_the_metric(shipped: dict[str, Any], title: str, unit: str) -> None:
    assert by_title(shipped, title)["fieldConfig"]["defaults"]["unit"] == unit


@pytest.mark.system
def test_prometheus_can_read_every_query(shipped: dict[str, Any], tmp_path: Path) -> None:
    texts = [
        text.replace("$__rate_interval", "1m").replace("$instance", "127.0.0.1:8000")
        for text in expressions_of(shipped)
    ]
    rules = [{"record": f"drawn:{number}", "expr": text} for number, text in enumerate(texts)]
    file = tmp_path / "drawn.yml"
    # YAML is a superset of JSON.
    file.write_text(json.dumps({"groups": [{"name": "drawn", "rules": rules}]}))

    code, said = promtool("check", "rules", file)

    assert code == 0, said
    assert f"{len(texts)} rules found" in said
