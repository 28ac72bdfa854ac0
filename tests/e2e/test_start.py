"""A start with many streams: ready means that every one of them is subscribed."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.extras

from simulator.process import start_simulator
from tests.support.service import Service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

COINS = 300


def insert_streams(dsn: str) -> None:
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        psycopg2.extras.execute_values(
            cursor,
            "INSERT INTO coin_streams (token_address) VALUES %s",
            [(f"Many{number}pump",) for number in range(COINS)],
        )


def test_service_is_ready_once_every_stream_is_subscribed(dsn: str, tmp_path: Path) -> None:
    insert_streams(dsn)
    with (
        start_simulator(["simulate", "--seed", "3"]) as server,
        Service(
            tmp_path / "state",
            WS_URI=server.uri,
            PUMPPORTAL_API_KEY="funded",
            DB_DSN=dsn,
            SUBSCRIBE_BATCH_SIZE=100,
            SUBSCRIBE_BATCH_INTERVAL=3,
        ) as service,
    ):

        def waits_for_coins() -> bool:
            answer = service.get("/readyz")
            return answer.status_code == 503 and "coins are not subscribed yet" in answer.text

        # The first coin leaves at once, the others after the interval of a batch
        wait_until(waits_for_coins, what="a start that is not complete")
        before: Any = server.stats()["subscribed_keys"]

        service.wait_ready()
        after: Any = server.stats()["subscribed_keys"]
        assert before < COINS <= after
        assert service.json("/feed")["routes"] == COINS
        assert service.stop() == 0
