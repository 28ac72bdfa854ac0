"""/analytics: windows, trends, where the current price comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import Phase
from actors.protocol.supervisor import CachedCoinReport, GetLiveCoin
from api import create_app
from api.analytics.views import WindowsRefused, performance, tolerance_us, windows_of
from db.candles import PricePoint
from tests.api.fakes import MINT, NOON_US, TRACKED, settings_of
from tests.api.test_database_routes import COIN, stream, write

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from db.pool import Pool
    from telemetry import Telemetry
    from tests.api.fakes import FakeSupervisor


@pytest.fixture
def at_noon(supervisor: FakeSupervisor, telemetry: Telemetry, pool: Pool) -> FlaskClient:
    """The application, at noon."""
    app = create_app(supervisor, settings_of(), telemetry, pool, now_us=lambda: NOON_US)
    return app.test_client()


def row(clock: str, price: str) -> str:
    return (
        "INSERT INTO coin_metrics (mint, timestamp, price_close) "
        f"VALUES ('{MINT}', '2026-07-03 {clock}+00', {price})"
    )


def windows(client: FlaskClient, query: str) -> dict[str, Any]:
    answer = client.get(f"/analytics/{MINT}?windows={query}").json
    assert answer is not None
    performance: dict[str, Any] = answer["performance"]
    return performance


def test_newest_row_is_compared_with_the_rows_at_the_windows_starts(
    at_noon: FlaskClient, dsn: str
) -> None:
    write(dsn, stream(MINT, 1, "true"))
    write(
        dsn, row("11:54:30", "0.00000005"), row("11:58:59", "0.0000001"), row("12:00", "0.00000011")
    )

    answer = at_noon.get(f"/analytics/{MINT}?windows=1m,5")

    assert answer.json == {
        "mint": MINT,
        "current_price": 1.1e-7,
        "last_updated": "2026-07-03T12:00:00+00:00",
        "is_active": True,
        "performance": {
            "1m": {
                "price_change_pct": pytest.approx(10.0),
                "old_price": 1e-7,
                "trend": "UP",
                "data_found": True,
                "data_age_seconds": 61.0,
            },
            "5": {
                "price_change_pct": pytest.approx(120.0),
                "old_price": 5e-8,
                "trend": "UP",
                "data_found": True,
                "data_age_seconds": 330.0,
            },
        },
    }


def test_windows_are_those_of_the_original_by_default(at_noon: FlaskClient, dsn: str) -> None:
    write(dsn, COIN)

    answer = at_noon.get(f"/analytics/{MINT}").json

    assert answer is not None
    assert list(answer["performance"]) == ["30s", "1m", "3m", "5m", "15m", "30m", "1h"]
    assert {found["trend"] for found in answer["performance"].values()} == {"NO_DATA"}
    assert (answer["current_price"], answer["last_updated"]) == (None, None)
    assert answer["is_active"] is False


def test_open_candle_gives_the_current_price(
    at_noon: FlaskClient, dsn: str, supervisor: FakeSupervisor
) -> None:
    write(dsn, row("11:59:00", "0.00000003"))
    supervisor.replies[GetLiveCoin] = TRACKED

    answer = at_noon.get(f"/analytics/{MINT}?windows=30s").json

    assert answer is not None
    assert answer["current_price"] == 3.0e-8
    assert answer["last_updated"] == "2026-07-03T12:00:00+00:00"
    assert answer["is_active"] is True
    assert answer["performance"]["30s"]["trend"] == "FLAT"
    assert supervisor.asked == [GetLiveCoin(MINT)]


def test_row_without_a_price_is_passed_over(at_noon: FlaskClient, dsn: str) -> None:
    write(dsn, row("11:58:00", "0.00000002"), row("12:00", "NULL"))

    answer = at_noon.get(f"/analytics/{MINT}?windows=1m").json

    assert answer is not None
    assert answer["current_price"] == 2e-8
    assert answer["last_updated"] == "2026-07-03T11:58:00+00:00"


def test_row_near_a_windows_start_is_at_most_two_of_the_longest_intervals_older(
    at_noon: FlaskClient, dsn: str
) -> None:
    write(dsn, row("11:57:00", "0.00000002"))

    found = windows(at_noon, "59s,60s,180s")

    # The longest interval is 60 s.
    assert [found[name]["data_found"] for name in ("59s", "60s", "180s")] == [False, True, True]
    assert found["59s"] == {
        "price_change_pct": None,
        "old_price": None,
        "trend": "NO_DATA",
        "data_found": False,
        "data_age_seconds": None,
    }


def test_cached_coin_is_known_and_has_no_data(
    at_noon: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.replies[GetLiveCoin] = CachedCoinReport(
        mint=MINT,
        discovered_us=NOON_US,
        n8n_sent=False,
        activated=False,
        subscription_active=True,
        cached_trades=3,
    )

    assert windows(at_noon, "1m")["1m"]["trend"] == "NO_DATA"


def test_unknown_mint_is_not_found(at_noon: FlaskClient) -> None:
    answer = at_noon.get("/analytics/nobody")

    assert answer.status_code == 404
    assert b"No coin has this mint" in answer.data


@pytest.mark.parametrize(
    "query", ["", "0", "0s", "5d", "-1m", "1.5m", "m", "1m,,5m", "721h", ",".join(["1m"] * 21)]
)
def test_windows_that_cannot_be_read_are_refused(at_noon: FlaskClient, query: str) -> None:
    answer = at_noon.get(f"/analytics/{MINT}?windows={query}")

    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["detail"].endswith(".")


def test_analytics_need_the_database(lonely: FlaskClient) -> None:
    assert lonely.get(f"/analytics/{MINT}").status_code == 503


def test_windows_are_read_in_their_units() -> None:
    assert windows_of("30s,1m,5,1h,720h") == {
        "30s": 30,
        "1m": 60,
        "5": 300,
        "1h": 3_600,
        "720h": 2_592_000,
    }


def test_refusal_names_the_window() -> None:
    with pytest.raises(WindowsRefused, match="'5d'"):
        windows_of("1m,5d")


@pytest.mark.parametrize(
    ("price", "old", "trend"),
    [
        (1.011, 1.0, "UP"),
        (101.0, 100.0, "FLAT"),
        (1.0, 1.0, "FLAT"),
        (99.0, 100.0, "FLAT"),
        (0.989, 1.0, "DOWN"),
        (1.0, 0.0, "NO_DATA"),
        (None, 1.0, "NO_DATA"),
        (1.0, None, "NO_DATA"),
    ],
)
def test_trend_begins_beyond_one_percent(
    price: float | None, old: float | None, trend: str
) -> None:
    point = None if old is None else PricePoint(NOON_US - 60_000_000, old)

    found = performance(price, point, NOON_US)

    assert found.trend == trend
    assert found.data_found is (trend != "NO_DATA")
    assert found.data_age_seconds == (None if trend == "NO_DATA" else 60.0)


def test_tolerance_follows_the_regular_phases() -> None:
    phases = (Phase(1, "a", 5, 0, 10), Phase(2, "b", 90, 10, 20), Phase(99, "c", 4_000, 20, 30))

    assert tolerance_us(phases) == 180_000_000
    assert tolerance_us(()) == 120_000_000
