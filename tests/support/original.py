"""The rows that the asyncio program writes of a recording: its loop on the recording's clock.

`bench.original` has what it does with a trade, this what it does around it. Each coin has a timer
of its own, which the loop looks at once a second; a window ends when the loop sees that it is over,
and is written then. A coin ends when its virtual reserves reach 99.5 % of 85 SOL, and what its
buffer holds is lost. A row whose rounded figures are those of the row before is not written.
"""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bench.original import OriginalBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

INTERVAL_S: Final = 5.0
_TICK_S: Final = 1.0
_FULL_SOL: Final = 85.0
_GRADUATED_PCT: Final = 99.5

COLUMNS: Final = {
    "mint": "varchar(64)",
    "timestamp": "timestamptz",
    "phase_id_at_time": "int",
    "price_open": "numeric(30,18)",
    "price_high": "numeric(30,18)",
    "price_low": "numeric(30,18)",
    "price_close": "numeric(30,18)",
    "market_cap_close": "numeric(20,2)",
    "bonding_curve_pct": "numeric(10,4)",
    "virtual_sol_reserves": "numeric(20,6)",
    "is_koth": "boolean",
    "volume_sol": "numeric(20,6)",
    "buy_volume_sol": "numeric(20,6)",
    "sell_volume_sol": "numeric(20,6)",
    "num_buys": "int",
    "num_sells": "int",
    "unique_wallets": "int",
    "num_micro_trades": "int",
    "dev_sold_amount": "numeric(20,6)",
    "max_single_buy_sol": "numeric(20,6)",
    "max_single_sell_sol": "numeric(20,6)",
    "net_volume_sol": "numeric(20,6)",
    "volatility_pct": "numeric(10,4)",
    "avg_trade_size_sol": "numeric(20,6)",
    "whale_buy_volume_sol": "numeric(20,6)",
    "whale_sell_volume_sol": "numeric(20,6)",
    "num_whale_buys": "int",
    "num_whale_sells": "int",
    "buy_pressure_ratio": "numeric(10,6)",
    "unique_signer_ratio": "numeric(10,6)",
}
"""Of `coin_metrics` as the original makes it: no key, no start of a window."""


class OriginalRow(NamedTuple):
    """A row as the loop hands it to the database; what this does not name is not written."""

    mint: str
    timestamp_s: float
    phase_id_at_time: int
    price_open: float
    price_high: float
    price_low: float
    price_close: float
    virtual_sol_reserves: float
    volume_sol: float
    buy_volume_sol: float
    sell_volume_sol: float
    num_buys: int
    num_sells: int


class _Entry:
    """One coin of the watchlist."""

    def __init__(self, began_s: float) -> None:
        self.buffer = OriginalBuffer()
        self.next_flush_s = began_s + INTERVAL_S
        self.signature = ""


def rows_of_original(
    recording: Path,
    mints: Collection[str],
    *,
    runs_on_s: float = 10.0,
    is_lost: Callable[[str, float], bool] = lambda _mint, _at_s: False,
) -> Iterator[OriginalRow]:
    """Play a recording through the loop, and give the rows that it writes.

    Args:
        recording: Of the feed.
        mints: The watchlist; each coin begins with the first frame of all.
        runs_on_s: Seconds that the loop goes on behind the last frame.
        is_lost: Whether the insert of a coin's row at a time (Unix seconds) fails. The buffer is
            empty by then.
    """
    watchlist: dict[str, _Entry] = {}
    last_look_s = 0.0
    for at_s, frame in _turns(recording, runs_on_s):
        if not last_look_s:
            last_look_s = at_s
            watchlist = {mint: _Entry(at_s) for mint in sorted(mints)}
        entry = watchlist.get(frame.get("mint", ""))
        if entry is not None and frame.get("txType") in {"buy", "sell"}:
            entry.buffer.process_trade(frame)
        if at_s - last_look_s >= _TICK_S:
            last_look_s = at_s
            for row in _look(watchlist, at_s):
                if not is_lost(row.mint, at_s):
                    yield row


def _turns(recording: Path, runs_on_s: float) -> Iterator[tuple[float, dict[str, Any]]]:
    """Give every turn of the loop: a frame, or a second of silence."""
    last_s = 0.0
    for at_s, frame in _frames(recording):
        while last_s and at_s - last_s > _TICK_S:
            last_s += _TICK_S
            yield last_s, {}
        last_s = at_s
        yield at_s, frame
    for second in range(1, round(runs_on_s) + 1):
        yield last_s + second, {}


def _frames(recording: Path) -> Iterator[tuple[float, dict[str, Any]]]:
    data = recording.read_bytes()
    for line in (gzip.decompress(data) if recording.suffix == ".gz" else data).splitlines():
        found = json.loads(line)
        if found["received_at"] is not None:
            yield found["received_at"], found["message"]


def _look(watchlist: dict[str, _Entry], now_s: float) -> Iterator[OriginalRow]:
    """Do what `check_lifecycle_and_flush` does."""
    for mint, entry in list(watchlist.items()):
        buf = entry.buffer.figures
        if buf["v_sol"] / _FULL_SOL * 100 >= _GRADUATED_PCT:
            del watchlist[mint]
            continue
        if now_s < entry.next_flush_s:
            continue
        entry.next_flush_s = now_s + INTERVAL_S
        signature = f"{buf['close']:.10f}_{buf['vol']:.6f}_{buf['buys'] + buf['sells']}"
        if signature != entry.signature:
            entry.signature = signature
            entry.buffer = OriginalBuffer()
            yield _row(mint, now_s, buf)


def _row(mint: str, at_s: float, buf: dict[str, Any]) -> OriginalRow:
    return OriginalRow(
        mint=mint,
        timestamp_s=at_s,
        phase_id_at_time=1,
        price_open=buf["open"] or 0.0,
        price_high=buf["high"],
        price_low=0.0 if buf["open"] is None else buf["low"],
        price_close=buf["close"],
        virtual_sol_reserves=buf["v_sol"],
        volume_sol=buf["vol"],
        buy_volume_sol=buf["vol_buy"],
        sell_volume_sol=buf["vol_sell"],
        num_buys=buf["buys"],
        num_sells=buf["sells"],
    )
