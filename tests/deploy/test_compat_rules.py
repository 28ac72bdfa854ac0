"""The successor's metric names: all of them, each from a metric of ours that exists."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from telemetry import Telemetry
from tests.system.prometheus import promtool

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Path(__file__).parents[2] / "deploy" / "prometheus" / "compat-rules.yml"
THEIRS = {
    "find_active_streams", "find_cache_size", "find_coins_discovered_total",
    "find_coins_filtered_total", "find_db_connected", "find_metrics_saved_total",
    "find_n8n_batches_sent_total", "find_phase_switches_total", "find_transactions_saved_total",
    "find_ws_connected", "find_ws_reconnects_total",
}  # fmt: skip


def rules() -> Iterator[tuple[str, str]]:
    """Give each rule's name and expression."""
    lines = [line.strip() for line in FILE.read_text("utf-8").splitlines()]
    written = [line for line in lines if line.startswith(("- record: ", "expr: "))]
    for record, expression in zip(written[::2], written[1::2], strict=True):
        yield record.removeprefix("- record: "), expression.removeprefix("expr: ")


def kinds() -> dict[str, tuple[str, frozenset[str]]]:
    """Give the kind and the labels of every sample of ours, by its name."""
    text = Telemetry().render().decode()
    return {
        sample.name: (family.type, frozenset(sample.labels))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_name_of_the_successor_is_recorded_once() -> None:
    names = [name for name, _ in rules()]

    assert sorted(names) == sorted(THEIRS)


def test_every_expression_names_a_metric_of_ours_of_the_same_kind() -> None:
    ours = kinds()

    found = {name: ours[expression] for name, expression in rules()}

    assert {name for name, (kind, _) in found.items() if kind == "counter"} == {
        name for name in THEIRS if name.endswith("_total")
    }
    assert {name: labels for name, (_, labels) in found.items() if labels} == {
        "find_coins_filtered_total": {"reason"}
    }


def test_shipped_configuration_names_the_file_and_leaves_it_out() -> None:
    text = (FILE.parent / "prometheus.yml").read_text("utf-8")

    assert re.search(r"^ *# *- compat-rules\.yml\b", text, re.MULTILINE)


@pytest.mark.system
def test_promtool_finds_no_mistake() -> None:
    code, said = promtool("check", "rules", "--lint-fatal", FILE)

    assert code == 0, said
    assert f"{len(THEIRS)} rules found" in said


@pytest.mark.system
def test_recorded_series_have_the_figures_and_labels_of_ours(tmp_path: Path) -> None:
    series = {
        'unified_coins_filtered_total{job="mintwatch",reason="bad_name"}': "0+2x8",
        'unified_coins_filtered_total{job="mintwatch",reason="spam_burst"}': "7+0x8",
        'mintwatch_trades_stored_total{job="mintwatch"}': "0+5x8",
        'unified_coins_tracked{job="mintwatch"}': "41+0x8",
    }
    expected = {
        "find_coins_filtered_total": [('job="mintwatch",reason="bad_name"', 16),
                                      ('job="mintwatch",reason="spam_burst"', 7)],
        "find_transactions_saved_total": [('job="mintwatch"', 40)],
        "find_active_streams": [('job="mintwatch"', 41)],
    }  # fmt: skip
    test = {
        "rule_files": [str(FILE)],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": s, "values": v} for s, v in series.items()],
                "promql_expr_test": [
                    {
                        "expr": name,
                        "eval_time": "2m",
                        "exp_samples": [
                            {"labels": f"{name}{{{labels}}}", "value": value}
                            for labels, value in samples
                        ],
                    }
                    for name, samples in expected.items()
                ],
            }
        ],
    }
    file = tmp_path / "compat_test.yml"
    # YAML is a superset of JSON.
    file.write_text(json.dumps(test))

    code, said = promtool("test", "rules", file)

    assert code == 0, said
