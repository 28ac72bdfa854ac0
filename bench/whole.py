"""The whole path: `mintwatch run` in a process of its own, from frames to committed rows.

A market of 400 coins is recorded first. It is played once as a recording (`FEED=replay:...`) and
once by the local PumpPortal server over a WebSocket, as fast as the service reads. The time runs
from the first trade until the process has written every row and ended in order, so it includes
the drain. The server shares the machine.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import psycopg2
import psycopg2.extras

from bench.figures import Figure
from bench.postgres import fresh_database
from simulator.market import MarketConfig
from simulator.process import start_simulator
from simulator.replay import record_market
from tests.support.service import Service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

COINS: Final = 400
TRADES_PER_S: Final = 400
SECONDS: Final = 125
LIMIT_S: Final = 60.0
NEEDED_PER_S: Final = 400
"""Ten times the trades of the whole market: what the service has to keep up with."""


class _Line(msgspec.Struct):
    received_at: float
    message: dict[str, Any]


def run() -> list[Figure]:
    """Play some 50,000 trades twice; takes about half a minute."""
    return [
        Figure(
            f"{what}, trades until committed",
            "1/s",
            _measure(play),
            NEEDED_PER_S,
            "ten times the market's trades",
        )
        for what, play in (("recording", _from_file), ("WebSocket", _over_websocket))
    ]


class Market(msgspec.Struct, frozen=True):
    """A recorded market, and where it is to be played."""

    file: Path
    mints: int
    trades: int
    state: Path
    dsn: str


def _measure(play: Callable[[Market], float]) -> float:
    """Play the market into an empty database and give the trades a second."""
    with tempfile.TemporaryDirectory(prefix="mintwatch-bench-") as home, fresh_database() as dsn:
        market = _record(Path(home), dsn)
        took_s = play(market)
        _check(market)
    return market.trades / took_s


def _record(home: Path, dsn: str) -> Market:
    file = home / "market.jsonl"
    config = MarketConfig(coins=COINS, trades_per_second=TRADES_PER_S, bonk_share=0)
    record_market(file, 1, SECONDS, config, kinds={"buy", "sell"})
    with file.open("rb") as recorded:
        lines = [msgspec.json.decode(line, type=_Line) for line in recorded]
    mints = sorted({line.message["mint"] for line in lines})
    _insert_streams(dsn, mints, lines[0].received_at)
    return Market(file, len(mints), len(lines), home / "state", dsn)


def _from_file(market: Market) -> float:
    with Service(
        market.state, FEED=f"replay:{market.file}", DB_DSN=market.dsn, LOG_LEVEL="WARNING"
    ) as service:
        service.wait_received(1)
        began = time.perf_counter()
        _expect_end(service.wait(LIMIT_S))
        return time.perf_counter() - began


def _over_websocket(market: Market) -> float:
    player = ["replay", str(market.file), "--speed", "0", "--wait-keys", str(market.mints)]
    with (
        start_simulator([*player, "--hold"]) as server,
        Service(
            market.state,
            WS_URI=server.uri,
            PUMPPORTAL_API_KEY="funded",
            DB_DSN=market.dsn,
            LOG_LEVEL="WARNING",
        ) as service,
    ):
        wait_until(lambda: server.stats()["subscribed_keys"] == market.mints, LIMIT_S, "keys")
        server.fault("start")
        began = time.perf_counter()
        service.wait_received(market.trades, LIMIT_S)
        _expect_end(service.stop(LIMIT_S))
        return time.perf_counter() - began


def _expect_end(exit_code: int) -> None:
    if exit_code != 0:
        raise RuntimeError(f"expected exit code 0, found {exit_code}")


def _insert_streams(dsn: str, mints: list[str], started_s: float) -> None:
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        psycopg2.extras.execute_values(
            cursor,
            "INSERT INTO coin_streams (token_address, started_at) VALUES %s",
            [(mint, started_s) for mint in mints],
            template="(%s, to_timestamp(%s))",
            page_size=1_000,
        )


def _check(market: Market) -> None:
    with (
        closing(psycopg2.connect(market.dsn)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT sum(num_buys + num_sells) FROM coin_metrics")
        [(found,)] = cursor.fetchall()
    if found != market.trades:
        raise RuntimeError(f"expected {market.trades} trades in rows, found {found}")
