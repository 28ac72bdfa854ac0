"""The way of a trade at 100, 1,000 and 10,000 coins, beside a loop that only reads and parses.

Then what grows with the number of coins: start, rest, memory, the drain of a saturated service;
and how long a change of the writers takes while trades flow.

`mintwatch run` in a process of its own tracks coins that a flood (`bench.flood`) trades as fast as
the service reads; everything that is on by default is on, PostgreSQL included. The time runs from
the flood's start until every trade is in its candle. The peer is the **bare loop**: the same
client library without its UTF-8 check, and one msgspec call a frame, from the same socket.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import psycopg2
import psycopg2.extras
import requests
import websocket

from bench.figures import Figure
from bench.flood import mints
from bench.postgres import fresh_database
from tests.support.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_S: Final = 120.0
SETTLE_S: Final = 3.0
ROUNDS: Final = (
    (100, 200_000, "turn"),
    (1_000, 150_000, "turn"),
    (10_000, 100_000, "turn"),
    (10_000, 150_000, "zipf"),
)
MANY: Final = 10_000
FEW: Final = 100
REST_S: Final = 10.0
QUIET_TRADES_PER_S: Final = 40
FLOW_TRADES_PER_S: Final = 2_000
SHAPES: Final = {"turn": "in turn", "zipf": "Zipf 1.1"}


class _Trade(msgspec.Struct, rename="camel"):
    mint: str
    signature: str
    tx_type: str
    trader_public_key: str
    sol_amount: float
    token_amount: float
    v_tokens_in_bonding_curve: float
    v_sol_in_bonding_curve: float
    market_cap_sol: float
    pool: str


class Flood:
    """A flood in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], coins: int, trades: int) -> None:
        self._process = process
        self.coins = coins
        self.trades = trades
        self.port = int(self._line())
        self.subscribed_after_s = 0.0
        """From the start of the service's process until it has subscribed to every coin."""

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def wait_subscribed(self) -> None:
        """Wait until every coin is subscribed."""
        if self._line() != "subscribed":
            raise RuntimeError("the service never subscribed to every coin")

    def send(self, trades: int | None = None) -> None:
        """Send so many of the trades, or all that are left."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{trades or ''}\n")
        self._process.stdin.flush()


@contextmanager
def flood(coins: int, trades: int, shape: str) -> Iterator[Flood]:
    """Start a flood; see `bench.flood`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.flood", str(coins), str(trades), shape],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Flood(process, coins, trades)
    finally:
        process.kill()
        process.wait()


@contextmanager
def flooded_service(source: Flood, *, ends: bool = True) -> Iterator[Service]:
    """Run a service that tracks every coin of a flood; it is ready for the first trade.

    With `ends` it is ended in order, and every trade has to be in a row.
    """
    with tempfile.TemporaryDirectory(prefix="mintwatch-bench-") as home, fresh_database() as dsn:
        insert_streams(dsn, source.coins)
        began = time.perf_counter()
        with Service(
            Path(home),
            WS_URI=f"ws://127.0.0.1:{source.port}/",
            PUMPPORTAL_API_KEY="funded",
            DB_DSN=dsn,
            LOG_LEVEL="WARNING",
            DRAIN_TIMEOUT="60",
        ) as service:
            source.wait_subscribed()
            source.subscribed_after_s = time.perf_counter() - began
            # What follows from the start is measured by itself.
            time.sleep(SETTLE_S)
            yield service
            if ends:
                exit_code = service.stop(LIMIT_S)
                if exit_code != 0:
                    raise RuntimeError(f"expected exit code 0, found {exit_code}")
                check_rows(dsn, source.trades)


def run() -> list[Figure]:
    """Flood the service in every shape, then see what grows; takes about four minutes."""
    rates = [
        Figure(
            f"whole path, {coins:,} coins {SHAPES[shape]}",
            "trades/s",
            service_rate(coins, trades, shape),
            bare_rate(coins, trades, shape),
            "the bare loop",
        )
        for coins, trades, shape in ROUNDS
    ]
    return [*rates, *growth(), *drain(), *patch_of_writers()]


def growth() -> list[Figure]:
    """Measure the start of 10,000 streams, their rest and their memory."""
    few = _at_rest(FEW)
    many = _at_rest(MANY)
    kib = (many.rss_bytes - few.rss_bytes) / (MANY - FEW) / 1024
    return [
        _less(f"start until {MANY:,} streams are subscribed", "s", many.start_s),
        _less(
            f"rest, {MANY:,} coins at {QUIET_TRADES_PER_S} trades/s", "% of a core", many.busy_pct
        ),
        _less("memory of a coin that rests, all of the process", "KiB", kib),
    ]


def _less(what: str, unit: str, ours: float) -> Figure:
    return Figure(what, unit, ours, more_is_better=False)


class _Rest(msgspec.Struct, frozen=True):
    start_s: float
    busy_pct: float
    rss_bytes: int


def _at_rest(coins: int) -> _Rest:
    trades = round(REST_S * QUIET_TRADES_PER_S)
    with flood(coins, trades, "turn") as source:
        with flooded_service(source) as service:
            before_s = _cpu_s(service)
            _flow(source, QUIET_TRADES_PER_S, REST_S)
            busy_pct = (_cpu_s(service) - before_s) / REST_S * 100
            rss_bytes = _stat(service)[21] * resource.getpagesize()
            wait_handled(service, trades)
        return _Rest(source.subscribed_after_s, busy_pct, rss_bytes)


def drain() -> list[Figure]:
    """Measure how long a saturated service takes to end in order."""
    with flood(MANY, 150_000, "turn") as source, flooded_service(source, ends=False) as service:
        source.send()
        service.wait_received(20_000, LIMIT_S)
        began = time.perf_counter()
        exit_code = service.stop(LIMIT_S)
        took_s = time.perf_counter() - began
    if exit_code != 0:
        raise RuntimeError(f"expected exit code 0 of a saturated service, found {exit_code}")
    return [_less(f"drain of a saturated service, {MANY:,} coins", "s", took_s)]


def patch_of_writers() -> list[Figure]:
    """Measure how long a change of the writers takes while trades flow."""
    trades = 5 * FLOW_TRADES_PER_S
    with flood(FEW, trades, "turn") as source, flooded_service(source) as service:
        flow = threading.Thread(target=_flow, args=(source, FLOW_TRADES_PER_S, 5.0))
        flow.start()
        taken_s = []
        for instances in (2, 4, 1):
            time.sleep(1.0)
            began = time.perf_counter()
            answer = service.ask("PATCH", "/actors/postgres-writer", {"instances": instances})
            taken_s.append(time.perf_counter() - began)
            if answer.status_code != requests.codes.ok:
                raise RuntimeError(f"PATCH of writers: {answer.status_code} {answer.text}")
        flow.join()
        wait_handled(service, trades)
    what = f"PATCH of the writers at {FLOW_TRADES_PER_S:,} trades/s, slowest of three"
    return [_less(what, "ms", max(taken_s) * 1_000)]


def _flow(source: Flood, trades_per_s: int, seconds: float) -> None:
    """Send trades evenly, ten times a second."""
    began = time.perf_counter()
    for step in range(round(seconds * 10)):
        source.send(trades_per_s // 10)
        time.sleep(max(0.0, began + (step + 1) / 10 - time.perf_counter()))


def _stat(service: Service) -> list[int]:
    """Give the numbers of /proc/PID/stat behind the name and state, which count as 0 and 1."""
    text = Path(f"/proc/{service.process.pid}/stat").read_text()
    return [0, *map(int, text.rpartition(")")[2].split()[1:])]


def _cpu_s(service: Service) -> float:
    found = _stat(service)
    return (found[11] + found[12]) / os.sysconf("SC_CLK_TCK")


def bare_rate(coins: int, trades: int, shape: str) -> float:
    """Give how many trades a second the bare loop reads."""
    decode = msgspec.json.Decoder(_Trade).decode
    with flood(coins, trades, shape) as source:
        client: Any = websocket.WebSocket(enable_multithread=False, skip_utf8_validation=True)
        client.connect(f"ws://127.0.0.1:{source.port}/", timeout=LIMIT_S)
        with closing(client):
            source.send()
            began = time.perf_counter()
            for _ in range(trades):
                decode(client.recv_data()[1])
            return trades / (time.perf_counter() - began)


def service_rate(coins: int, trades: int, shape: str) -> float:
    """Give how many trades a second the service takes into candles."""
    with flood(coins, trades, shape) as source, flooded_service(source) as service:
        source.send()
        began = time.perf_counter()
        wait_handled(service, trades)
        return trades / (time.perf_counter() - began)


def wait_handled(service: Service, trades: int) -> None:
    """Wait until every trade has arrived and has been handled by its tracker."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        ledger: dict[str, Any] = service.ledger()
        places = ledger["places"]
        if ledger["received"] >= trades and places["queued"] + places["parked"] == 0:
            return
        time.sleep(0.05)
    raise RuntimeError(f"expected {trades} trades handled within {LIMIT_S} s: {service.ledger()}")


def insert_streams(dsn: str, coins: int) -> None:
    """Have every coin of a flood tracked."""
    now = time.time()
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        psycopg2.extras.execute_values(
            cursor,
            "INSERT INTO coin_streams (token_address, started_at) VALUES %s",
            [(mint, now) for mint in mints(coins)],
            template="(%s, to_timestamp(%s))",
            page_size=1_000,
        )


def check_rows(dsn: str, trades: int) -> None:
    """Raise unless so many trades are in rows."""
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT sum(num_buys + num_sells) FROM coin_metrics")
        [(found,)] = cursor.fetchall()
    if found != trades:
        raise RuntimeError(f"expected {trades} trades in rows, found {found}")
