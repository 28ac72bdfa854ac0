"""The whole path: `mintwatch run` in a process of its own, from frames to committed rows.

A market of 400 coins is recorded first. It is played as a recording (`FEED=replay:...`), and by the
local PumpPortal server over a WebSocket as fast as the service reads. The time runs from the first
trade until the process has written every row and ended in order, so it includes the drain. The
server shares the machine. Over the WebSocket all trades arrive within seconds, so there are far
fewer candles to write than from the recording, whose time is the recorded one.
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
from bench.original import read_trades
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
SECONDS: Final = 250
LIMIT_S: Final = 60.0


class _Line(msgspec.Struct):
    received_at: float
    message: dict[str, Any]


def run() -> list[Figure]:
    """Play some 100,000 trades three times; takes about half a minute."""
    peer = _measure(_original)
    return [
        Figure(
            f"whole path from a {what}, trades until committed",
            "1/s",
            _measure(play),
            peer,
            "the original's loop on the same socket, without rows",
        )
        for what, play in (("recording", _from_file), ("WebSocket", _over_websocket))
    ]


class Market(msgspec.Struct, frozen=True):
    """A recorded market, and where it is to be played."""

    file: Path
    mints: tuple[str, ...]
    trades: int
    started_s: float
    state: Path
    dsn: str


def _measure(play: Callable[[Market], float]) -> float:
    """Play the market into an empty database and give the trades a second."""
    with tempfile.TemporaryDirectory(prefix="mintwatch-bench-") as home, fresh_database() as dsn:
        market = _record(Path(home), dsn)
        return market.trades / play(market)


def _record(home: Path, dsn: str) -> Market:
    file = home / "market.jsonl"
    config = MarketConfig(coins=COINS, trades_per_second=TRADES_PER_S, bonk_share=0)
    record_market(file, 1, SECONDS, config, kinds={"buy", "sell"})
    with file.open("rb") as recorded:
        lines = [msgspec.json.decode(line, type=_Line) for line in recorded]
    mints = tuple(sorted({line.message["mint"] for line in lines}))
    return Market(file, mints, len(lines), lines[0].received_at, home / "state", dsn)


def _from_file(market: Market) -> float:
    _insert_streams(market, market.started_s)
    with Service(
        market.state, FEED=f"replay:{market.file}", DB_DSN=market.dsn, LOG_LEVEL="WARNING"
    ) as service:
        service.wait_received(1)
        began = time.perf_counter()
        return _ended(market, began, service.wait(LIMIT_S))


def _over_websocket(market: Market) -> float:
    _insert_streams(market, time.time())
    keys = len(market.mints)
    player = ["replay", str(market.file), "--speed", "0", "--wait-keys", str(keys)]
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
        wait_until(lambda: server.stats()["subscribed_keys"] == keys, LIMIT_S, "keys")
        server.fault("start")
        began = time.perf_counter()
        service.wait_received(market.trades, LIMIT_S)
        return _ended(market, began, service.stop(LIMIT_S))


def _original(market: Market) -> float:
    player = ["replay", str(market.file), "--speed", "0", "--wait-keys", str(len(market.mints))]
    with start_simulator(player) as server:
        return read_trades(f"{server.uri}?api-key=funded", market.mints, market.trades)


def _ended(market: Market, began: float, exit_code: int) -> float:
    """Give the seconds that it took, if it ended in order and wrote every trade."""
    took_s = time.perf_counter() - began
    if exit_code != 0:
        raise RuntimeError(f"expected exit code 0, found {exit_code}")
    _check(market)
    return took_s


def _insert_streams(market: Market, started_s: float) -> None:
    with (
        closing(psycopg2.connect(market.dsn)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        psycopg2.extras.execute_values(
            cursor,
            "INSERT INTO coin_streams (token_address, started_at) VALUES %s",
            [(mint, started_s) for mint in market.mints],
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
