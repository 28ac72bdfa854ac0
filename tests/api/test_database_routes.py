"""/database/...: what is read from PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2
import pytest

from actors.domain import Mint
from actors.protocol.supervisor import CachedCoinReport, GetLiveCoin
from tests.api.fakes import MINT, NOON_US, TRACKED

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.api.fakes import FakeSupervisor


def write(dsn: str, *statements: str) -> None:
    """Write as another program would, through another driver."""
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        connection.close()


def stream(mint: str, phase_id: int, active: str) -> str:
    return (
        "INSERT INTO coin_streams (token_address, current_phase_id, is_active, started_at) "
        f"VALUES ('{mint}', {phase_id}, {active}, '2026-07-03 12:00:00+00')"
    )


def candle(mint: str, minute: int) -> str:
    return (
        "INSERT INTO coin_metrics (mint, timestamp, price_close, volume_sol, num_buys) "
        f"VALUES ('{mint}', '2026-07-03 12:{minute:02}:00+00', 0.000000028, 1.5, 3)"
    )


COIN = (
    "INSERT INTO discovered_coins (token_address, name, symbol, discovered_at) "
    f"VALUES ('{MINT}', 'Coin', 'C', '2026-07-03 12:00:00+00')"
)


def test_phases_are_given_by_id(client: FlaskClient) -> None:
    answer = client.get("/database/phases")

    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["count"] == 5
    assert answer.json["phases"][0] == {
        "id": 1,
        "name": "Baby Zone",
        "interval_seconds": 5,
        "min_age_minutes": 0,
        "max_age_minutes": 10,
    }
    assert [phase["id"] for phase in answer.json["phases"]] == [1, 2, 3, 99, 100]


def test_streams_are_given_newest_first(client: FlaskClient, dsn: str) -> None:
    write(dsn, stream("one", 1, "true"), stream("two", 2, "true"), stream("three", 99, "false"))

    answer = client.get("/database/streams?limit=2").json

    assert answer is not None
    assert (answer["count"], answer["limit"]) == (2, 2)
    assert [row["token_address"] for row in answer["streams"]] == ["three", "two"]
    row = answer["streams"][1]
    assert row["current_phase_id"] == 2
    assert row["is_active"] is True
    assert row["started_at"] == "2026-07-03T12:00:00+00:00"


def test_streams_are_counted(client: FlaskClient, dsn: str) -> None:
    write(dsn, stream("one", 1, "true"), stream("two", 1, "true"), stream("three", 99, "false"))

    answer = client.get("/database/streams/stats")

    assert answer.json == {
        "total_streams": 3,
        "active_streams": 2,
        "ended_streams": 1,
        "streams_by_phase": {"1": 2, "99": 1},
    }


def test_candles_are_given_newest_first(client: FlaskClient, dsn: str) -> None:
    write(dsn, candle("one", 1), candle("two", 3), candle("one", 2))

    answer = client.get("/database/metrics").json

    assert answer is not None
    assert (answer["count"], answer["limit"], answer["mint_filter"]) == (3, 100, None)
    assert [row["mint"] for row in answer["metrics"]] == ["two", "one", "one"]
    assert answer["metrics"][0]["price_close"] == 2.8e-8
    assert answer["metrics"][0]["volume_sol"] == 1.5
    assert answer["metrics"][0]["timestamp"] == "2026-07-03T12:03:00+00:00"


def test_candles_of_one_coin(client: FlaskClient, dsn: str) -> None:
    write(dsn, candle("one", 1), candle("two", 3), candle("one", 2))

    answer = client.get("/database/metrics?mint=one&limit=1").json

    assert answer is not None
    assert (answer["count"], answer["limit"], answer["mint_filter"]) == (1, 1, "one")
    assert answer["metrics"][0]["timestamp"] == "2026-07-03T12:02:00+00:00"


@pytest.mark.parametrize("path", ["/database/streams", "/database/metrics"])
@pytest.mark.parametrize("limit", ["0", "1001", "-1", "ten", "1e3", "", "99999999999999999999"])
def test_limit_out_of_bounds_is_refused(client: FlaskClient, path: str, limit: str) -> None:
    answer = client.get(f"{path}?limit={limit}")

    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["detail"].startswith("The request does not fit (limit: ")


def test_limit_at_its_bound_is_taken(client: FlaskClient) -> None:
    assert client.get("/database/streams?limit=1000").json == {
        "streams": [],
        "count": 0,
        "limit": 1000,
    }


def test_misspelled_parameter_is_refused(client: FlaskClient) -> None:
    answer = client.get("/database/streams?limt=5")

    assert answer.status_code == 400
    assert b"limt" in answer.data


def test_coin_is_given_with_all_that_is_known(
    client: FlaskClient, dsn: str, supervisor: FakeSupervisor
) -> None:
    write(dsn, COIN, stream(MINT, 2, "true"), candle(MINT, 1), candle(MINT, 2))
    supervisor.replies[GetLiveCoin] = TRACKED

    answer = client.get(f"/database/coins/{MINT}").json

    assert answer is not None
    assert list(answer) == ["coin", "stream", "latest_metrics", "live_tracking"]
    assert answer["coin"]["name"] == "Coin"
    assert answer["stream"]["phase_name"] == "Survival Zone"
    assert answer["latest_metrics"]["timestamp"] == "2026-07-03T12:02:00+00:00"
    assert answer["live_tracking"] == {
        "price_open": 2.8e-8,
        "price_high": 3.1e-8,
        "price_low": 2.8e-8,
        "price_close": 3.0e-8,
        "volume_sol": 12.5,
        "buy_volume_sol": 8.25,
        "sell_volume_sol": 4.25,
        "num_buys": 31,
        "num_sells": 12,
        "unique_wallets": 27,
        "market_cap_sol": 30.0,
        "interval_seconds": 5,
        "next_flush_seconds": 3.2,
    }


def test_coin_of_the_cache_is_given_before_it_has_rows(
    client: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.replies[GetLiveCoin] = CachedCoinReport(
        mint=MINT,
        discovered_us=NOON_US + 1,
        n8n_sent=True,
        activated=False,
        subscription_active=True,
        cached_trades=17,
    )

    answer = client.get(f"/database/coins/{MINT}")

    assert answer.status_code == 200
    assert answer.json == {
        "coin": None,
        "stream": None,
        "latest_metrics": None,
        "live_tracking": {
            "status": "in_cache",
            "discovered_at": "2026-07-03T12:00:00.000001+00:00",
            "n8n_sent": True,
            "activated": False,
            "subscription_active": True,
            "cached_trades": 17,
        },
    }


def test_coin_that_is_not_live_has_no_live_tracking(client: FlaskClient, dsn: str) -> None:
    write(dsn, COIN)

    answer = client.get(f"/database/coins/{MINT}").json

    assert answer is not None
    assert (answer["stream"], answer["live_tracking"]) == (None, None)


@pytest.mark.parametrize(
    ("path", "mint"),
    [(MINT, MINT), ("a%2Fb", "a/b"), ("%2F%2F", "//"), ("%25", "%"), ("'--", "'--")],
)
def test_unknown_coin_is_not_found(
    client: FlaskClient, supervisor: FakeSupervisor, path: str, mint: str
) -> None:
    answer = client.get(f"/database/coins/{path}")

    assert answer.status_code == 404
    assert answer.json is not None
    assert answer.json["detail"] == "No coin has this mint: check it for a missing character."
    assert supervisor.asked == [GetLiveCoin(Mint(mint))]


@pytest.mark.parametrize("path", ["x" * 65, "%20", "caf%C3%A9", "a%00b"])
def test_text_that_is_no_mint_is_refused(client: FlaskClient, path: str) -> None:
    assert client.get(f"/database/coins/{path}").status_code == 400


def test_silent_supervisor_is_named(client: FlaskClient, supervisor: FakeSupervisor) -> None:
    supervisor.silent = f"tracker:{MINT}"

    answer = client.get(f"/database/coins/{MINT}")

    assert answer.status_code == 504
    assert answer.json is not None
    assert answer.json["detail"].startswith(
        f"The actor tracker:{MINT} did not answer within 3 s: try again"
    )


@pytest.mark.parametrize(
    "path",
    [
        "/database/phases",
        "/database/streams",
        "/database/streams/stats",
        "/database/metrics",
        f"/database/coins/{MINT}",
    ],
)
def test_database_that_is_away_is_said_so(lonely: FlaskClient, path: str) -> None:
    answer = lonely.get(path)

    assert answer.status_code == 503
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Retry-After"] == "5"
    assert b"check DB_DSN" in answer.data
    assert b"hunter2" not in answer.data
