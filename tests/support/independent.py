"""What the rows must say, calculated a second time and in another way.

Reads a recording of the feed with the standard library alone and none of our code: decimals where
the service has doubles, one plain loop where it has actors. An error in the service's decoding,
duplicate memory or candles therefore cannot hide here as well.
"""

from __future__ import annotations

import gzip
import json
import re
import unicodedata
from collections import defaultdict
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

QUOTE_MINTS = frozenset(
    {
        "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
        "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB",
        "So11111111111111111111111111111111111111112",
    }
)
MICRO_LAMPORTS = 10_000_000
WHALE_LAMPORTS = 1_000_000_000

Json = dict[str, Any]


class Line(NamedTuple):
    """One frame of a recording and when it arrived, in microseconds; times rise strictly."""

    at_us: int
    frame: Json


class Identity(NamedTuple):
    """What makes a trade the same trade when it comes again."""

    signature: str
    mint: str
    trader: str
    kind: str
    token_units: int


class Trade(NamedTuple):
    """One buy or sell; a creator's buy inside the create is one."""

    at_us: int
    identity: Identity
    lamports: int | None
    """None: the frame does not say it."""
    price: float | None
    v_sol_lamports: int | None

    @property
    def mint(self) -> str:
        """The coin that was traded."""
        return self.identity.mint


class Figures(NamedTuple):
    """What is known of a set of trades of one mint. Amounts in lamports."""

    num_buys: int
    num_sells: int
    buy_lamports: int
    sell_lamports: int
    max_buy: int
    max_sell: int
    unique_wallets: int
    num_micro: int
    num_whale_buys: int
    num_whale_sells: int
    whale_buy_lamports: int
    whale_sell_lamports: int
    dev_sold: int | None
    price_open: float | None
    price_high: float | None
    price_low: float | None
    price_close: float | None
    v_sol_lamports: int | None


def read(path: Path) -> list[Line]:
    """Read a recording, or the simulator's log of what it sent."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    lines: list[Line] = []
    last_us = 0
    for text in data.splitlines():
        received_at = json.loads(text)["received_at"]
        at_us = 0 if received_at is None else round(received_at * 1_000_000)
        last_us = max(at_us, last_us + 1)
        frame = json.loads(text, parse_float=Decimal)["message"]
        lines.append(Line(last_us, frame))
    return lines


def creates(lines: Iterable[Line]) -> dict[str, Line]:
    """Find the first create of each coin, in order of arrival."""
    found: dict[str, Line] = {}
    for line in lines:
        if line.frame.get("txType") == "create" and line.frame["mint"] not in QUOTE_MINTS:
            found.setdefault(line.frame["mint"], line)
    return found


def migrated(lines: Iterable[Line]) -> set[str]:
    """Find the coins that left the curve."""
    return {line.frame["mint"] for line in lines if line.frame.get("txType") == "migrate"}


def creators(lines: Iterable[Line]) -> dict[str, str]:
    """Say who created each coin."""
    return {mint: line.frame["traderPublicKey"] for mint, line in creates(lines).items()}


def trades(lines: Iterable[Line]) -> list[Trade]:
    """List the trades in order of arrival, each once."""
    found: dict[Identity, Trade] = {}
    for line in lines:
        for trade in trades_of(line):
            found.setdefault(trade.identity, trade)
    return list(found.values())


def trades_of(line: Line) -> list[Trade]:
    """Give the trade that a line holds, if it holds one that counts."""
    kind = line.frame.get("txType")
    if line.frame.get("mint", "") in QUOTE_MINTS:
        return []
    if kind in {"buy", "sell"}:
        return [_trade(line, kind, "tokenAmount")]
    if kind == "create" and (line.frame.get("initialBuy") or 0) > 0:
        return [_trade(line, "buy", "initialBuy")]
    return []


class Outcome(NamedTuple):
    """What becomes of a recording's trades when every coin is tracked from its create on."""

    kept: list[Trade]
    """Those that are in rows, in order of arrival."""
    received: int
    duplicates: int
    orphans: int
    """Of coins without a create before them, or behind the end of their coin."""
    filtered: int
    """Buys in creates that carry a quote mint."""


def outcome(lines: Iterable[Line]) -> Outcome:
    """Follow each coin from its create to its graduation, window by window."""
    courses: dict[str, _Course] = {}
    seen: set[Identity] = set()
    kept: list[Trade] = []
    counts: dict[str, int] = defaultdict(int)
    for line in lines:
        mint, kind = line.frame.get("mint", ""), line.frame.get("txType")
        if mint in QUOTE_MINTS:
            counts["filtered"] += kind == "create" and (line.frame.get("initialBuy") or 0) > 0
            continue
        if kind == "create":
            courses.setdefault(mint, _Course(line.at_us))
        course = courses.get(mint)
        if kind == "migrate" and course is not None:
            course.migrate(line.at_us)
        for trade in trades_of(line):
            if course is None or not course.takes(trade):
                counts["orphans"] += 1
            elif trade.identity in seen:
                counts["duplicates"] += 1
            else:
                seen.add(trade.identity)
                kept.append(trade)
    left_out = counts["duplicates"], counts["orphans"], counts["filtered"]
    return Outcome(kept, len(kept) + sum(left_out), *left_out)


class _Course:
    """Where the windows of one coin end, and whether it has."""

    def __init__(self, created_us: int) -> None:
        self.created_us = created_us
        self.window_end_us = 0
        self.is_graduating = False
        self.end_us: int | None = None

    def takes(self, trade: Trade) -> bool:
        at_us = trade.at_us
        if self.is_graduating and self.end_us is None:
            self.end_us = self.window_end_us
        if self.end_us is not None and at_us >= self.end_us:
            return False
        if at_us >= self.window_end_us:
            minutes = (at_us - self.created_us) / 60_000_000
            cell_us = (5 if minutes < 10 else 30 if minutes < 60 else 60) * 1_000_000
            self.window_end_us = at_us - at_us % cell_us + cell_us
        v_sol = trade.v_sol_lamports
        if v_sol is not None and (v_sol - 30 * 10**9) * 1000 >= 995 * 85 * 10**9:
            self.is_graduating = True
        return True

    def migrate(self, at_us: int) -> None:
        if self.end_us is None:
            begun_us = 0 if self.is_graduating else at_us
            self.end_us = max(begun_us, self.window_end_us)
        self.is_graduating = True


def by_mint(found: Iterable[Trade]) -> dict[str, list[Trade]]:
    """Sort trades by mint, in order of arrival."""
    sorted_out: dict[str, list[Trade]] = defaultdict(list)
    for trade in found:
        sorted_out[trade.mint].append(trade)
    return dict(sorted_out)


def figures(found: list[Trade], creator: str | None) -> Figures:
    """Add up trades of one mint, given in order of arrival."""
    sides = [trade.identity.kind for trade in found]
    known = [(trade, trade.lamports) for trade in found if trade.lamports is not None]
    buys = [lamports for trade, lamports in known if trade.identity.kind == "buy"]
    sells = [lamports for trade, lamports in known if trade.identity.kind == "sell"]
    prices = [trade.price for trade in found if trade.price is not None]
    reserves = [trade.v_sol_lamports for trade in found if trade.v_sol_lamports is not None]
    dev_sold = sum(
        lamports
        for trade, lamports in known
        if trade.identity.kind == "sell" and trade.identity.trader == creator
    )
    return Figures(
        num_buys=sides.count("buy"),
        num_sells=sides.count("sell"),
        buy_lamports=sum(buys),
        sell_lamports=sum(sells),
        max_buy=max(buys, default=0),
        max_sell=max(sells, default=0),
        unique_wallets=len({trade.identity.trader for trade in found}),
        num_micro=sum(lamports < MICRO_LAMPORTS for lamports in (*buys, *sells)),
        num_whale_buys=sum(lamports >= WHALE_LAMPORTS for lamports in buys),
        num_whale_sells=sum(lamports >= WHALE_LAMPORTS for lamports in sells),
        whale_buy_lamports=sum(lamports for lamports in buys if lamports >= WHALE_LAMPORTS),
        whale_sell_lamports=sum(lamports for lamports in sells if lamports >= WHALE_LAMPORTS),
        dev_sold=None if creator is None else dev_sold,
        price_open=prices[0] if prices else None,
        price_high=max(prices, default=None),
        price_low=min(prices, default=None),
        price_close=prices[-1] if prices else None,
        v_sol_lamports=reserves[-1] if reserves else None,
    )


def filtered(lines: Iterable[Line], pattern: str, window_s: int, threshold: int) -> dict[str, int]:
    """Count the creates that a filter refuses, by reason; remembers everything, forgets nothing."""
    counts = {"quote_mint": 0, "bad_name": 0, "spam_burst": 0}
    seen: dict[tuple[str, str], list[int]] = defaultdict(list)
    for line in lines:
        if line.frame.get("txType") != "create":
            continue
        keys = [
            (field, _folded(line.frame.get(field) or ""))
            for field in ("name", "symbol")
            if _folded(line.frame.get(field) or "")
        ]
        after_us = line.at_us - window_s * 1_000_000
        if line.frame["mint"] in QUOTE_MINTS:
            counts["quote_mint"] += 1
        elif re.search(pattern, line.frame.get("name") or "", re.IGNORECASE):
            counts["bad_name"] += 1
        elif any(sum(at > after_us for at in seen[key]) >= threshold for key in keys):
            counts["spam_burst"] += 1
        else:
            for key in keys:
                seen[key].append(line.at_us)
    return counts


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()


def _trade(line: Line, kind: str, token_field: str) -> Trade:
    frame = line.frame
    identity = Identity(
        frame["signature"],
        frame["mint"],
        frame["traderPublicKey"],
        kind,
        _whole(frame[token_field], 6),
    )
    v_sol = frame.get("vSolInBondingCurve")
    return Trade(
        line.at_us,
        identity,
        _lamports(frame),
        _price(frame, token_field),
        None if v_sol is None else _whole(v_sol, 9),
    )


def _lamports(frame: Json) -> int | None:
    """Take what the frame says, else what a first buy must have cost on pump.fun's own curve."""
    if frame.get("solAmount") is not None:
        return _whole(frame["solAmount"], 9)
    v_sol, v_tokens = frame.get("vSolInBondingCurve"), frame.get("vTokensInBondingCurve")
    if frame["txType"] != "create" or not v_sol or not v_tokens or frame.get("pool") == "bonk":
        return None
    ratio = Decimal(v_sol) * Decimal(v_tokens) / 32_190_000_000
    paid = _whole(v_sol, 9) - 30 * 10**9
    return paid if abs(ratio - 1) <= Decimal("1e-6") and paid > 0 else None


def _whole(amount: Decimal | int, decimals: int) -> int:
    """Round an amount to its smallest unit."""
    return int(Decimal(amount).scaleb(decimals).to_integral_value(ROUND_HALF_EVEN))


def _price(frame: Json, token_field: str) -> float | None:
    """Find the price of one token, in SOL: reserves, else market cap, else the trade itself."""
    if frame.get("vSolInBondingCurve") and frame.get("vTokensInBondingCurve"):
        return float(frame["vSolInBondingCurve"]) / float(frame["vTokensInBondingCurve"])
    if frame.get("pool") == "pump-amm" and frame.get("solInPool") and frame.get("tokensInPool"):
        return float(frame["solInPool"]) / float(frame["tokensInPool"])
    if frame.get("marketCapSol"):
        return float(frame["marketCapSol"]) / 1e9
    if (frame.get("solAmount") or 0) >= Decimal("0.01") and frame[token_field] > 0:
        return float(frame["solAmount"]) / float(frame[token_field])
    return None
