"""What a real Prometheus makes of the service, with the configuration that is shipped."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from simulator.process import start_simulator
from tests.support.service import Service
from tests.support.waiting import wait_until
from tests.system.needs import MARKET
from tests.system.prometheus import Prometheus, promtool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import PostgresServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

SHIPPED = Path(__file__).parents[2] / "deploy" / "prometheus"
SELECTOR = re.compile(
    r"\b(?:up|process_\w+|(?:instance:)?(?:unified|mintwatch)_[\w:]+)(?:\{[^}]*\})?"
)
FUNCTIONS = {"rate", "increase", "deriv", "changes", "abs", "histogram_quantile", "sum"}
WORDS = FUNCTIONS | {"without", "state", "and", "or"}
REFUSED_SAMPLES = (
    "prometheus_target_scrapes_exceeded_sample_limit_total",
    "prometheus_target_scrapes_sample_duplicate_timestamp_total",
    "prometheus_target_scrapes_sample_out_of_bounds_total",
    "prometheus_target_scrapes_sample_out_of_order_total",
)


@pytest.fixture(scope="module")
def prometheus(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("scraping") / "prometheus"
    with Prometheus(SHIPPED, folder, service.port) as running:
        yield running


def test_service_is_scraped_without_an_error(service: Service, prometheus: Prometheus) -> None:
    prometheus.wait_value("up == 1")
    samples = prometheus.wait_value("scrape_samples_scraped > 0")

    (target,) = prometheus.targets()
    assert (target["health"], target["lastError"]) == ("up", "")
    assert target["scrapeUrl"] == f"http://127.0.0.1:{service.port}/metrics"
    assert 500 < samples < 1000
    own = prometheus.own_metrics()
    assert {name: own[name] for name in REFUSED_SAMPLES} == dict.fromkeys(REFUSED_SAMPLES, 0)


def test_received_trades_grow_and_never_run_ahead_of_the_service(
    service: Service, prometheus: Prometheus
) -> None:
    first = prometheus.wait_value("unified_trades_received_total > 0")
    later = prometheus.wait_value(f"unified_trades_received_total > {first}")

    assert first < later <= service.json("/ledger")["received"]


def test_recording_rules_give_figures_once_rows_are_committed(prometheus: Prometheus) -> None:
    received = prometheus.wait_value("instance:unified_trades_received:rate1m > 0")
    committed = prometheus.wait_value("instance:unified_metrics_saved:rate1m > 0", 30)
    slowest_s = prometheus.wait_value("instance:mintwatch_window_to_commit_seconds:p99_5m > 0")

    assert 1 < received < 1000
    assert 0 < committed < 1000
    assert 0 < slowest_s < 5
    assert math.isfinite(slowest_s)


def test_every_rule_evaluates_and_a_healthy_service_meets_no_alert(prometheus: Prometheus) -> None:
    rules: list[dict[str, str]] = wait_until(
        lambda: (
            (rules := prometheus.rules()) and all(r["health"] != "unknown" for r in rules) and rules
        ),
        what="an evaluation of every rule",
    )

    assert {(rule["name"], rule["health"]) for rule in rules} == {(r["name"], "ok") for r in rules}
    assert prometheus.alerts() == set()


def test_every_series_that_a_rule_selects_exists(prometheus: Prometheus) -> None:
    prometheus.wait_value("instance:mintwatch_window_to_commit_seconds:p99_5m > 0", 30)
    queries = [rule["query"] for rule in prometheus.rules()]

    selectors = {found for query in queries for found in SELECTOR.findall(query)}
    rest = {
        word
        for query in queries
        for word in re.findall(r"[A-Za-z_:]+", re.sub(r"\[\w+\]", "", SELECTOR.sub("", query)))
    }

    assert rest <= WORDS, "a name that is neither a metric's nor a function's"
    assert len(selectors) > 20
    assert [name for name in sorted(selectors) if not prometheus.series(name)] == []


def test_refused_trades_meet_the_alert_for_discovery_only(dsn: str, tmp_path: Path) -> None:
    with (
        start_simulator([*MARKET, "--key-mode", "unfunded"]) as market,
        Service(tmp_path / "state", WS_URI=market.uri, DB_DSN=dsn) as service,
    ):
        wait_until(lambda: service.json("/feed")["state"] == "discovery_only", what="a refusal")
        with Prometheus(SHIPPED, tmp_path / "prometheus", service.port) as prometheus:
            met: set[str] = wait_until(prometheus.alerts, what="an alert")

        assert met == {"MintwatchFeedDiscoveryOnly"}


def test_killed_database_meets_its_alert_until_it_is_back(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    with (
        start_simulator(MARKET) as market,
        Service(
            tmp_path / "state",
            WS_URI=market.uri,
            PUMPPORTAL_API_KEY="funded",
            DB_DSN=own_postgres.dsn("mintwatch"),
            ACTIVATION="trades",
            ACTIVATION_MIN_TRADES=0,
        ) as service,
    ):
        service.wait_ready()
        with Prometheus(SHIPPED, tmp_path / "prometheus", service.port) as prometheus:
            prometheus.wait_value("unified_db_connected == 1")

            own_postgres.kill()
            met: set[str] = wait_until(prometheus.alerts, what="an alert")
            own_postgres.start()
            wait_until(lambda: not prometheus.alerts(), 30, "the end of the alert")

        assert met == {"MintwatchDatabaseAway"}


def test_promtool_has_no_complaint_about_the_exposition(service: Service) -> None:
    assert promtool("check", "metrics", text=service.get("/metrics").text) == (0, "")


def test_promtool_would_complain_about_a_bad_name() -> None:
    bad = "# HELP coins Coins.\n# TYPE coins counter\ncoins 1\n"

    code, said = promtool("check", "metrics", text=bad)

    assert code == 3
    assert "coins" in said
