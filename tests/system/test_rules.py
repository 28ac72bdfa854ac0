"""When each shipped alert fires, and when it does not yet, on made-up figures of one service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.system.prometheus import promtool

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

SHIPPED = Path(__file__).parents[2] / "deploy" / "prometheus"


def constant(value: float) -> str:
    """Write a series that stays as it is for an hour; samples are 15 s apart."""
    return f"{value}+0x240"


HEALTHY = {
    'up{job="mintwatch"}': constant(1),
    'process_start_time_seconds{job="mintwatch"}': constant(1_700_000_000),
    'mintwatch_feed_state{state="live"}': constant(1),
    'mintwatch_feed_state{state="discovery_only"}': constant(0),
    'mintwatch_feed_state{state="silent"}': constant(0),
    "unified_db_connected": constant(1),
    "unified_n8n_available": constant(1),
    "unified_n8n_buffer_size": constant(10),
    'unified_db_errors_total{type="retry"}': "0+1x240",
    'unified_db_errors_total{type="dead"}': constant(0),
    "mintwatch_spool_rows": constant(0),
    "mintwatch_spool_oldest_age_seconds": constant(0),
    "mintwatch_spool_bytes": constant(80),
    "mintwatch_spool_limit_bytes": constant(100),
    'mintwatch_ledger{place="parked"}': constant(0),
    "mintwatch_journal_bytes": constant(500),
    "mintwatch_journal_limit_bytes": constant(1000),
    'mintwatch_journal_state{state="ok"}': constant(1),
    'mintwatch_journal_state{state="full"}': constant(0),
    'mintwatch_journal_state{state="failed"}': constant(0),
    "mintwatch_workers_lost": constant(0),
    "mintwatch_n8n_oldest_age_seconds": constant(30),
    "mintwatch_ledger_balanced": constant(1),
    "mintwatch_late_trades_total": constant(0),
    'mintwatch_dead_letters_total{kind="tracker"}': constant(3),
    'mintwatch_restarts_total{kind="connection"}': constant(2),
    'mintwatch_actors{kind="tracker",state="running"}': constant(500),
    'mintwatch_actors{kind="tracker",state="quarantined"}': constant(0),
    'mintwatch_mailbox_oldest_age_seconds{kind="tracker"}': constant(0.2),
    "mintwatch_clock_offset_seconds": constant(0.01),
    'mintwatch_problems{kind="coins"}': constant(0),
    'mintwatch_window_to_commit_seconds_bucket{le="1"}': "0+100x240",
    'mintwatch_window_to_commit_seconds_bucket{le="30"}': "0+100x240",
    'mintwatch_window_to_commit_seconds_bucket{le="+Inf"}': "0+100x240",
}


class Trouble(NamedTuple):
    """Series that differ from the healthy ones; the alert is not there yet, then it is."""

    alert: str
    series: dict[str, str]
    not_at: str
    at: str


TROUBLES = (
    Trouble("MintwatchDown", {'up{job="mintwatch"}': constant(0)}, "45s", "1m"),
    Trouble(
        "MintwatchProcessRestarts",
        {'process_start_time_seconds{job="mintwatch"}': "1+0x19 2+0x19 3+0x19 4+0x180"},
        "14m",
        "15m",
    ),
    Trouble(
        "MintwatchFeedNotLive",
        {
            'mintwatch_feed_state{state="live"}': constant(0),
            'mintwatch_feed_state{state="silent"}': constant(1),
        },
        "1m45s",
        "2m",
    ),
    Trouble(
        "MintwatchFeedDiscoveryOnly",
        {
            'mintwatch_feed_state{state="live"}': constant(0),
            'mintwatch_feed_state{state="discovery_only"}': constant(1),
        },
        "1m45s",
        "2m",
    ),
    Trouble("MintwatchDatabaseAway", {"unified_db_connected": constant(0)}, "45s", "1m"),
    Trouble("MintwatchSpoolGrowing", {"mintwatch_spool_rows": "0+10x240"}, "5m", "5m15s"),
    Trouble(
        "MintwatchSpoolOld", {"mintwatch_spool_oldest_age_seconds": "0+15x240"}, "16m", "16m15s"
    ),
    Trouble("MintwatchSpoolNearBound", {"mintwatch_spool_bytes": constant(81)}, "45s", "1m"),
    Trouble(
        "MintwatchJournalFilling",
        {"mintwatch_journal_bytes": constant(901), "mintwatch_spool_rows": constant(1)},
        "4m45s",
        "5m",
    ),
    Trouble(
        "MintwatchTradesParked",
        {'mintwatch_ledger{place="parked"}': constant(1)},
        "59m45s",
        "60m",
    ),
    Trouble(
        "MintwatchJournalFull",
        {
            'mintwatch_journal_state{state="ok"}': "1+0x19 0+0x220",
            'mintwatch_journal_state{state="full"}': "0+0x19 1+0x220",
        },
        "4m45s",
        "5m",
    ),
    Trouble(
        "MintwatchJournalFailed",
        {'mintwatch_journal_state{state="failed"}': constant(1)},
        "15s",
        "30s",
    ),
    Trouble("MintwatchWorkersLost", {"mintwatch_workers_lost": constant(1)}, "45s", "1m"),
    Trouble("MintwatchN8nOld", {"mintwatch_n8n_oldest_age_seconds": "0+15x240"}, "31m", "31m15s"),
    Trouble(
        "MintwatchRowsRefused",
        {'unified_db_errors_total{type="dead"}': "0+0x19 1+0x220"},
        "4m45s",
        "5m",
    ),
    Trouble(
        "MintwatchCommitsLate",
        {'mintwatch_window_to_commit_seconds_bucket{le="1"}': constant(0)},
        "9m45s",
        "11m",
    ),
    Trouble(
        "MintwatchMailboxOld",
        {'mintwatch_mailbox_oldest_age_seconds{kind="tracker"}': constant(31)},
        "1m45s",
        "2m",
    ),
    Trouble("MintwatchLedgerUnbalanced", {"mintwatch_ledger_balanced": constant(0)}, "45s", "1m"),
    Trouble(
        "MintwatchLateTrades", {"mintwatch_late_trades_total": "0+0x19 1+0x220"}, "4m45s", "5m"
    ),
    Trouble(
        "MintwatchDeadLetters",
        {'mintwatch_dead_letters_total{kind="tracker"}': "3+0x19 4+0x220"},
        "4m45s",
        "5m",
    ),
    Trouble(
        "MintwatchActorRestarts",
        {'mintwatch_restarts_total{kind="connection"}': "2+0x19 3+0x220"},
        "4m45s",
        "5m",
    ),
    Trouble(
        "MintwatchTrackerQuarantined",
        {'mintwatch_actors{kind="tracker",state="quarantined"}': "0+0x19 1+0x220"},
        "4m45s",
        "5m",
    ),
    Trouble("MintwatchProblem", {'mintwatch_problems{kind="coins"}': constant(2)}, "45s", "1m"),
    Trouble("MintwatchClockOffset", {"mintwatch_clock_offset_seconds": constant(-3)}, "45s", "1m"),
    Trouble("MintwatchN8nBacklog", {"unified_n8n_buffer_size": constant(101)}, "9m", "10m"),
    Trouble("MintwatchN8nBacklog", {"unified_n8n_available": constant(0)}, "9m", "10m"),
)


def check(folder: Path, series: dict[str, str], expected: dict[str, set[str]]) -> None:
    """Have promtool evaluate the rules; `expected` names the firing alerts by time."""
    test = {
        "rule_files": [str(SHIPPED / "rules.yml")],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": s, "values": v} for s, v in series.items()],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": time,
                        "exp_samples": [
                            {"labels": f'{{alertname="{alert}"}}', "value": 1}
                            for alert in sorted(alerts)
                        ],
                    }
                    for time, alerts in expected.items()
                ],
            }
        ],
    }
    file = folder / "rules_test.yml"
    # YAML is a superset of JSON.
    file.write_text(json.dumps(test))
    assert promtool("test", "rules", file) == (0, f"Unit Testing:  {file}\n  SUCCESS\n\n")


def test_shipped_files_pass_promtool() -> None:
    code, said = promtool("check", "config", SHIPPED / "prometheus.yml")

    assert code == 0, said
    assert "1 rule files found" in said
    assert "FAILED" not in said


def test_healthy_service_fires_nothing_for_an_hour(tmp_path: Path) -> None:
    check(tmp_path, HEALTHY, {time: set() for time in ("1m", "5m", "15m", "30m", "60m")})


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.alert)
def test_alert_fires_when_its_trouble_has_lasted_and_not_before(
    trouble: Trouble, tmp_path: Path
) -> None:
    series = HEALTHY | trouble.series

    check(tmp_path, series, {trouble.not_at: set(), trouble.at: {trouble.alert}})


def test_full_journal_that_is_all_in_rows_is_no_alert(tmp_path: Path) -> None:
    check(tmp_path, HEALTHY | {"mintwatch_journal_bytes": constant(1000)}, {"60m": set()})


def test_bounds_that_nobody_has_set_are_no_alert(tmp_path: Path) -> None:
    unset = {
        "mintwatch_journal_limit_bytes": constant(0),
        "mintwatch_spool_limit_bytes": constant(0),
    }
    waiting = {"mintwatch_spool_rows": constant(1)}

    check(tmp_path, HEALTHY | unset | waiting, {"60m": set()})


@pytest.mark.parametrize(
    "trouble",
    [
        "FeedNotLive", "LedgerUnbalanced", "LateTrades", "JournalFilling", "JournalFull",
        "JournalFailed", "SpoolOld", "SpoolNearBound", "N8nBacklog", "N8nOld",
        "TrackerQuarantined", "TradesParked", "DeadLetters", "WorkersLost", "ActorRestarts",
        "ProcessRestarts", "DatabaseAway", "ClockOffset", "Problem",
    ],
)  # fmt: skip
def test_trouble_an_operator_must_hear_of_has_an_alert(trouble: str) -> None:
    assert f"- alert: Mintwatch{trouble}\n" in (SHIPPED / "rules.yml").read_text()


def test_every_shipped_alert_is_tried_and_says_what_to_do() -> None:
    text = (SHIPPED / "rules.yml").read_text()
    blocks = text.split("- alert: ")[1:]

    assert {block.split()[0] for block in blocks} == {trouble.alert for trouble in TROUBLES}
    for block in blocks:
        for key in ("severity:", "summary:", "description:", "action:"):
            assert key in block, f"{block.split()[0]} has no {key}"
