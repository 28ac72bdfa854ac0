"""What is measured against: the asyncio program that this one replaces, its hot path line by line.

It parses with the standard library, keeps floats in a dictionary for each coin, and writes no row.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

_LIMIT_S = 60.0


class OriginalBuffer:
    """The trade buffer of the asyncio program, line by line."""

    def __init__(self) -> None:
        self._ath = 0.0
        self._creator = "nobody"
        self._buffer: dict[str, Any] = {
            "open": None, "high": 0.0, "low": float("inf"), "close": 0.0, "vol": 0.0,
            "vol_buy": 0.0, "vol_sell": 0.0, "buys": 0, "sells": 0, "wallets": set(), "v_sol": 0.0,
            "mcap": 0.0, "dev_sold_amount": 0.0, "whale_buy_vol": 0.0, "whale_buys": 0,
            "micro_trades": 0,
        }  # fmt: skip

    @property
    def figures(self) -> dict[str, Any]:
        """What the buffer holds, by the names that the program gives it."""
        return self._buffer

    def process_trade(self, data: dict[str, Any]) -> None:
        buf = self._buffer
        sol = float(data.get("solAmount", 0))
        v_sol = float(data.get("vSolInBondingCurve", 0))
        v_tokens = float(data.get("vTokensInBondingCurve", 1))
        price = v_sol / v_tokens if v_tokens > 0 else 0
        trader = data.get("traderPublicKey", "")
        self._ath = max(self._ath, price)
        if buf["open"] is None:
            buf["open"] = price
        buf["close"] = price
        buf["high"] = max(buf["high"], price)
        buf["low"] = min(buf["low"], price)
        buf["vol"] += sol
        if data.get("txType") == "buy":
            buf["buys"] += 1
            buf["vol_buy"] += sol
            if sol >= 1.0:
                buf["whale_buy_vol"] += sol
                buf["whale_buys"] += 1
        else:
            buf["sells"] += 1
            buf["vol_sell"] += sol
            if trader == self._creator:
                buf["dev_sold_amount"] += sol
        if sol < 0.01:
            buf["micro_trades"] += 1
        buf["wallets"].add(trader)
        buf["v_sol"] = v_sol
        buf["mcap"] = price * 1_000_000_000


def read_trades(uri: str, mints: Sequence[str], trades: int) -> float:
    """Subscribe, and take so many trades in; give the seconds from the first to the last.

    Raises:
        TimeoutError: they did not all come within a minute.
    """
    return asyncio.run(asyncio.wait_for(_read_trades(uri, mints, trades), _LIMIT_S))


async def _read_trades(uri: str, mints: Sequence[str], trades: int) -> float:
    buffers: defaultdict[str, OriginalBuffer] = defaultdict(OriginalBuffer)
    async with connect(uri, compression=None) as socket:
        await socket.send('{"method": "subscribeNewToken"}')
        await socket.send(json.dumps({"method": "subscribeTokenTrade", "keys": list(mints)}))
        began = 0.0
        while trades:
            data = json.loads(await socket.recv())
            if data.get("txType") in ("buy", "sell"):
                began = began or time.perf_counter()
                buffers[data["mint"]].process_trade(data)
                trades -= 1
    return time.perf_counter() - began
