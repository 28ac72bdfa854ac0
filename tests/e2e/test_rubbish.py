"""Whatever a server says between good trades, every good trade is in the rows."""

from __future__ import annotations

import json
import random
import threading
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.e2e.rows import check_candles, check_health, coins, rows, stored_trades
from tests.support import independent
from tests.support.independent import Line
from tests.support.service import Service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MINTS = [f"GoodMint{number}pump" for number in range(8)]
CREATOR = "Creator1111111111111111111111111111111111111"
_TRADE = {
    "signature": "s",
    "mint": "Rubbish1pump",
    "traderPublicKey": "w",
    "txType": "buy",
    "tokenAmount": 5,
    "solAmount": 1,
    "pool": "pump",
}


def spoiled(field: str, literal: str) -> bytes:
    """Write any text where the value of a field of a good trade stands."""
    parts = (f'"{name}":{json.dumps(value)}' for name, value in _TRADE.items() if name != field)
    return f'{{{",".join(parts)},"{field}":{literal}}}'.encode()


def malformed() -> list[bytes]:
    """List frames of which nothing can be used."""
    rng = random.Random(11)
    amounts = ("NaN", "Infinity", "-Infinity", "1e308", "1e400", "-1", "-1e-9", "1e12")
    shapes = ("[]", "[1,2]", "{}", '{"a":[]}', '"12"', "true", '"\\u0000"')
    texts = ("[]", '["x"]', "{}", "12", "null", "true", '""')
    mints = ('"two words"', '"\\u0000"', '"\\ud800"', '"caf\\u00e9"', json.dumps("m" * 65))
    return [
        *(rng.randbytes(size) for size in (1, 7, 100, 10_000)),
        *(spoiled("solAmount", value) for value in (*amounts, *shapes)),
        # Without `solAmount` it is a trade of 2024; without `tokenAmount` it is none.
        *(spoiled("tokenAmount", value) for value in (*amounts, *shapes, "null")),
        *(spoiled("mint", value) for value in (*texts, *mints)),
        *(spoiled("signature", value) for value in texts),
        *(spoiled("traderPublicKey", value) for value in texts),
        *(spoiled("txType", value) for value in ("[]", "{}", "12", "null", "true")),
        *(b"", b"upstream request timeout", b"<html>", b'{"txType":"buy","mint":', b"\xff\xfe"),
        *(b"null", b"1", b"true", b'"text"', b"[]", b'[{"txType":"buy"}]', b"NaN", b"1e999"),
        *(b"[" * 100_000, b'{"a":' * 50_000, b"9" * 100_000, b'{"txType":"create"}'),
        *(b'{"txType":"buy"}', b'{"txType":"sell"}', b'{"txType":"migrate"}'),
        b'{"txType":"create","mint":["x"]}',
        b'{"txType":"migrate","mint":{"txType":"buy"}}',
        b"\x00" * 1000,
    ]


def not_for_us() -> list[bytes]:
    """List frames that are well formed and mean nothing here: control frames, unknown kinds."""
    return [
        b"{}",
        b'{"message":null}',
        b'{"message":["a",{"b":1}],"txTypo":"buy"}',
        b'{"errors":"Your \\u0000 favourite \\ud83d error"}',
        b'{"errors":' + json.dumps("e" * 100_000).encode() + b"}",
        b'{"errors":[[[[]]]]}',
        b'{"txType":"liquidate","mint":"x","amount":NaN}',
        b'{"txType":""}',
        b'{"txType":"\\ud800"}',
        b'{"txType":' + json.dumps("k" * 100_000).encode() + b"}",
    ]


def odd_creates() -> dict[str, bytes]:
    """List creates that are coins all the same, by mint."""
    names = {
        "OddNul": '"nul\\u0000inside"',
        "OddSurrogate": '"lone \\ud83d surrogate"',
        "OddRight": '"\\u202e\\u0645\\u0631"',
        "OddLong": json.dumps("L" * 97),
        "OddList": '["a","list"]',
        "OddNumber": "12",
        "OddNull": "null",
        "OddLines": '"two\\nlines\\u2028three  "',
    }
    made = {
        mint: (
            f'{{"signature":"s{mint}","mint":"{mint}","traderPublicKey":"{CREATOR}",'
            f'"txType":"create","initialBuy":0,"solAmount":0,"vTokensInBondingCurve":1073000000,'
            f'"vSolInBondingCurve":30,"marketCapSol":27.95,"name":{name},"symbol":{name},'
            f'"uri":{name},"twitter":{name},"is_mayhem_mode":{name},"pool":"pump"}}'
        ).encode()
        for mint, name in names.items()
    }
    made["OddLong"] = made["OddLong"].replace(b"L" * 97, b"L" * 10_000_000, 1)
    return made


def good_trades(count: int) -> list[dict[str, Any]]:
    """Make honest trades of several mints, with amounts that no double holds exactly."""
    rng = random.Random(12)
    return [
        {
            "signature": f"Signature{number}",
            "mint": rng.choice(MINTS),
            "traderPublicKey": f"Trader{rng.randrange(40)}",
            "txType": rng.choice(("buy", "sell")),
            "tokenAmount": rng.randrange(1, 10**13) / 10**6,
            "solAmount": rng.randrange(1, 5 * 10**9) / 10**9,
            "marketCapSol": 30 + rng.random(),
            "pool": "pump",
        }
        for number in range(count)
    ]


def good_create(mint: str) -> dict[str, Any]:
    """Make the create of a coin, without a creator's buy."""
    return {
        "signature": f"Create{mint}",
        "mint": mint,
        "traderPublicKey": CREATOR,
        "txType": "create",
        "initialBuy": 0,
        "solAmount": 0,
        "name": f"Coin {mint}",
        "symbol": mint[:10],
        "pool": "pump",
    }


class RawServer:
    """A feed that sends exactly the bytes it is told to, to one client at a time."""

    def __init__(self) -> None:
        self._client: ServerConnection | None = None
        self.keys: set[str] = set()
        self._server = serve(self._talk, "127.0.0.1", 0, compression=None, max_size=2**24)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def uri(self) -> str:
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/api/data"

    def send(self, frames: list[bytes]) -> None:
        """Send text frames; what is in them need not be text."""
        assert self._client is not None
        for frame in frames:
            self._client.send(frame, text=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        if self._client is not None:
            self._client.close()
        self._thread.join(10)

    def _talk(self, client: ServerConnection) -> None:
        self._client = client
        try:
            for call in client:
                self._answer(client, json.loads(call))
        except ConnectionClosed:
            pass

    def _answer(self, client: ServerConnection, call: dict[str, Any]) -> None:
        texts = {
            "subscribeNewToken": "Successfully subscribed to token creation events.",
            "subscribeMigration": "Subscribed to 'migration' events.",
            "subscribeTokenTrade": "Successfully subscribed to keys.",
        }
        client.send(json.dumps({"message": texts.get(call["method"], "Unsubscribed.")}))
        if call["method"] == "subscribeTokenTrade":
            self.keys |= set(call["keys"])


@contextmanager
def raw_server() -> Iterator[RawServer]:
    server = RawServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def feed() -> Iterator[RawServer]:
    with raw_server() as server:
        yield server


def mixed(good: list[bytes], bad: list[bytes]) -> list[bytes]:
    """Put rubbish at random places between good frames, whose order stays."""
    rng = random.Random(13)
    places = sorted(rng.randrange(len(good) + 1) for _ in bad)
    out: list[bytes] = []
    for index, frame in enumerate([*good, b""]):
        while places and places[0] == index:
            places.pop(0)
            out.append(bad[len(bad) - len(places) - 1])
        out.append(frame)
    return out[:-1]


def test_rubbish_between_good_trades_is_counted_and_costs_nothing(
    feed: RawServer, dsn: str, tmp_path: Path
) -> None:
    trades, odd = good_trades(2000), odd_creates()
    rubbish, foreign = malformed(), not_for_us()
    bad = [*rubbish, *foreign, *odd.values()]
    good = [json.dumps(trade).encode() for trade in trades]

    with Service(
        tmp_path,
        WS_URI=feed.uri,
        PUMPPORTAL_API_KEY="funded",
        DB_DSN=dsn,
        STORE_TRADES=True,
        ACTIVATION="trades",
        ACTIVATION_MIN_TRADES=0,
        SPAM_BURST_THRESHOLD=1000,
    ) as service:
        wait_until(lambda: service.json("/feed")["state"] == "live", what="a live feed")
        feed.send([json.dumps(good_create(mint)).encode() for mint in MINTS])
        wait_until(lambda: feed.keys >= set(MINTS), what="subscriptions")
        feed.send(mixed(good, bad))
        service.wait_received(len(trades))
        wait_until(lambda: coins(dsn).keys() >= odd.keys(), what="odd coins")
        ledger = check_health(service)
        frames = service.json("/feed")["frames"]
        metrics = service.metrics()
        assert service.stop() == 0

    assert ledger["received"] == len(trades)
    assert frames["malformed"] == len(rubbish)
    assert frames["unknown"] == sum(b'"txType"' in frame for frame in foreign)
    assert metrics["unified_trades_received_total"] == len(trades)
    assert coins(dsn).keys() == {*MINTS, *odd}
    lines = [Line(0, json.loads(json.dumps(t), parse_float=Decimal)) for t in trades]
    expected = {trade.identity: trade for trade in independent.trades(lines)}
    stored = stored_trades(dsn)
    assert [trade.identity for trade in stored] == list(expected)
    check_candles(
        rows(dsn),
        [expected[trade.identity]._replace(at_us=trade.at_us) for trade in stored],
        dict.fromkeys(MINTS, CREATOR),
    )
    assert "Traceback" not in service.log
