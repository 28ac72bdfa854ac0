"""The values every room speaks of.

Amounts are integers from the edge on: SOL in lamports (1e-9 SOL), tokens in base units (1e-6
token). Sums are therefore exact and do not depend on order. Times are integer microseconds since
1970-01-01 UTC and end in `_us`. Prices are floats, derived from reserves. Everything here is
immutable and can be serialised with msgspec.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NewType

import msgspec

Mint = NewType("Mint", str)
Wallet = NewType("Wallet", str)

LAMPORTS_PER_SOL: Final = 1_000_000_000
UNITS_PER_TOKEN: Final = 1_000_000
US_PER_SECOND: Final = 1_000_000
SUPPLY_TOKENS: Final = 1_000_000_000
"""Tokens in existence per coin; market cap is price times this."""

MICRO_TRADE_LAMPORTS: Final = 10_000_000
"""A trade below 0.01 SOL is a micro trade."""

QUOTE_MINTS: Final = frozenset(
    {
        "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
        "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB",
        "So11111111111111111111111111111111111111112",
    }
)
"""USDC, USDT and wrapped SOL: what coins are paid with, never coins."""

FINISHED_PHASE: Final = 99
GRADUATED_PHASE: Final = 100
"""Phases 1..98 are regular; these two say how a stream ended."""


class Trade(msgspec.Struct, frozen=True, gc=False, tag=True):
    """One buy or sell as it arrived.

    A creator's own buy, which the feed hides inside the create, is a Trade with `in_create` set.
    Its identity is `(signature, mint, trader, is_buy, token_units)`: one signature can hold several
    trades.
    """

    seq: int
    """Place in the order of arrival; goes on over restarts."""
    arrived_us: int
    mint: Mint
    signature: str
    trader: Wallet
    is_buy: bool
    sol_lamports: int | None
    """Net of fees, positive on both sides; None when the frame did not say how much."""
    token_units: int
    price_sol: float | None
    """SOL for one token after the trade, or None when the frame gives no honest price."""
    virtual_sol_lamports: int | None
    """Virtual SOL reserves after the trade; None on pools without a bonding curve."""
    virtual_token_units: int | None
    """Virtual token reserves after the trade; None on pools without a bonding curve."""
    pool: str
    in_create: bool = False


class Coin(msgspec.Struct, frozen=True, gc=False, tag=True):
    """One create frame: a coin that now exists, and the first trade its creator hid in it."""

    seq: int
    arrived_us: int
    mint: Mint
    creator: Wallet
    signature: str
    name: str
    """Cleaned of NUL and lone surrogates, cut to 255 characters; empty when the frame had none."""
    symbol: str
    """Cleaned, cut to 30 characters."""
    uri: str
    """Cleaned, cut to 2,048 characters."""
    pool: str
    bonding_curve_key: str
    is_mayhem: bool
    price_sol: float | None
    virtual_sol_lamports: int | None
    virtual_token_units: int | None
    market_cap_sol: float | None
    """As the frame says it, in SOL."""
    social_count: int | None
    """How many of twitter, telegram, website and discord the frame names; None when it has no such
    field.
    """
    buy: Trade | None
    """The creator's own buy; None when the coin was created without one."""
    frame: bytes
    """The create frame as JSON text (cleaned, at most 16 KiB), for the hand-over to n8n."""


class Migration(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A coin left the bonding curve for an AMM pool: the authoritative sign of graduation."""

    seq: int
    arrived_us: int
    mint: Mint
    signature: str
    pool: str


FeedEvent = Trade | Coin | Migration


class Phase(msgspec.Struct, frozen=True):
    """One row of `ref_coin_phases`: how often a coin of a certain age is written."""

    id: int
    name: str
    interval_seconds: int
    min_age_minutes: int
    max_age_minutes: int

    @property
    def is_regular(self) -> bool:
        """Whether a coin can be in it: ids 1..98, an interval of at least a second."""
        return 1 <= self.id < FINISHED_PHASE and self.interval_seconds >= 1


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """One closed candle of one mint over `[window_start_us, timestamp_us)` of arrival time.

    Prices, `market_cap_close_sol`, `bonding_curve_pct`, `volatility_pct` and `is_koth` are None
    when no trade of the window had a price (or, for the curve, reserves). `dev_sold_lamports` is
    None when the creator is unknown.
    """

    mint: Mint
    window_start_us: int
    timestamp_us: int
    phase_id: int
    interval_seconds: int
    pool: str
    price_open: float | None
    price_high: float | None
    price_low: float | None
    price_close: float | None
    market_cap_close_sol: float | None
    bonding_curve_pct: float | None
    virtual_sol_lamports: int | None
    is_koth: bool | None
    volatility_pct: float | None
    volume_lamports: int
    buy_volume_lamports: int
    sell_volume_lamports: int
    num_buys: int
    num_sells: int
    unique_wallets: int
    num_micro_trades: int
    dev_sold_lamports: int | None
    max_single_buy_lamports: int
    max_single_sell_lamports: int
    whale_buy_volume_lamports: int
    whale_sell_volume_lamports: int
    num_whale_buys: int
    num_whale_sells: int
    covered_us: int
    """How much of the window the feed was live and this coin's subscription acknowledged and not in
    doubt.
    """
    chain_breaks: int
    """Trades whose token reserves did not follow from the trade before.

    Something was missed, doubled or reordered.
    """
    last_seq: int
    """Sequence number of the newest trade inside."""
    trades_without_amount: int = 0
    """Trades inside whose frame did not say how much SOL they moved; the volumes lack theirs."""

    @property
    def num_trades(self) -> int:
        """Buys and sells together."""
        return self.num_buys + self.num_sells


class AllTimeHigh(msgspec.Struct, frozen=True):
    """The highest price of a mint since it is tracked."""

    mint: Mint
    price_sol: float
    at_us: int


class FeedGap(msgspec.Struct, frozen=True):
    """A time in which nothing was observed, of the whole feed (`mint` None) or of one mint."""

    mint: Mint | None
    started_us: int
    ended_us: int | None
    reason: str


class Session(msgspec.Struct, frozen=True):
    """One run of the process, as its rows name it.

    Sequence numbers say which trades lie in rows. They are given by the journal in STATE_DIR, so
    they mean something only together with that journal's id.
    """

    journal_id: int
    """Drawn at random when the journal was made, 1 to 2**31 - 1; 0: there is no journal."""
    first_seq: int
    """The first number of this run: what has a lower one came out of the journal or the spool."""
    started_us: int
    """The arrival clock at the start. A row of an earlier run that ends later was written under a
    clock that was ahead.
    """
    ahead: frozenset[tuple[Mint, int]] = frozenset()
    """Such candles that wait in the spool, by mint and end."""


class FeedState(StrEnum):
    """What the feed is worth right now."""

    OFFLINE = "offline"
    CONNECTING = "connecting"
    LIVE = "live"
    DISCOVERY_ONLY = "discovery_only"
    """Creates and migrations arrive, trades do not: no funded API key."""
    SILENT = "silent"
    """The socket is open and nothing came for WS_CONNECTION_TIMEOUT."""
    BANNED = "banned"
    """The server answered the upgrade with 403."""


class Place(StrEnum):
    """Where a received trade is: in exactly one of these at any moment."""

    COMMITTED = "committed"
    OPEN = "open"
    """In a tracker's open candle."""
    QUEUED = "queued"
    """In a mailbox, or in a closed candle that a writer holds in memory."""
    SPOOLED = "spooled"
    CACHED = "cached"
    """In the coin cache, waiting for its coin to be activated."""
    PARKED = "parked"
    ORPHAN = "orphan"
    """Of a mint that is neither tracked nor cached."""
    DUPLICATE = "duplicate"
    DEAD = "dead"
    EXPIRED = "expired"
    FILTERED = "filtered"
    EVICTED = "evicted"


class Drop(StrEnum):
    """Why something has left the straight way from a frame to a row.

    Each is a value of the label `reason` of `mintwatch_dropped_total`. docs/operations.md says of
    each when it is right, and from which bound on it is a problem.
    """

    DUPLICATE_TRACKED = "duplicate_tracked"
    """A trade that its tracker has counted already."""
    DUPLICATE_CACHED = "duplicate_cached"
    """A trade that the coin cache holds already."""
    DUPLICATE_CREATE = "duplicate_create"
    """The creator's buy of a create that was seen already, under the same signature."""
    REMEMBERED = "remembered"
    """A trade that was replayed at the start and lies in rows already, by its number."""
    ORPHAN_UNWANTED = "orphan_unwanted"
    """A trade of a mint that is neither tracked nor cached."""
    ORPHAN_UNCACHED = "orphan_uncached"
    """A trade whose coin left the cache, or was filtered, while the trade was on its way."""
    ORPHAN_ENDED = "orphan_ended"
    """A trade that came after the end of its tracker."""
    EXPIRED = "expired"
    """A trade whose coin waited in the cache for too long."""
    EVICTED = "evicted"
    """A trade whose coin left the cache because the cache was full."""
    FILTERED = "filtered"
    """The creator's buy of a coin that the filter turned away."""
    LATE = "late"
    """A trade that came after its window had closed; it counts in the next one."""
    PARKED_LOST = "parked_lost"
    """A parked trade that could not be handed on any more."""
    WINDOW_LOST = "window_lost"
    """A trade in the open window of a tracker that could not even be ended."""
    MALFORMED = "malformed"
    """A data frame that cannot be read."""
    UNKNOWN_FRAME = "unknown_frame"
    """A data frame of a kind that nobody here knows."""
    UNKNOWN_MIGRATION = "unknown_migration"
    """A migration of a mint that is neither tracked nor cached."""
    FRAME_LEFT_OUT = "frame_left_out"
    """A frame of the journal that failed each time it was replayed."""
    JOURNAL_LOST = "journal_lost"
    """A record that the journal could not write: a crash would lose it."""
    STALE_WINDOW = "stale_window"
    """A window in which every trade had been seen before."""
    ROW_REPEATED = "row_repeated"
    """A candle whose row is there already, with the same figures."""
    ROW_CONFLICT = "row_conflict"
    """A candle whose row is there already, with other figures."""
    ROW_AHEAD = "row_ahead"
    """A row of an earlier run that ends after the start of this one."""
    ROW_REFUSED = "row_refused"
    """A row that the database refuses."""
    TRADE_REFUSED = "trade_refused"
    """A stored trade that the database refuses; its candle is not touched by that."""
    TRADE_REPEATED = "trade_repeated"
    """A stored trade that is there already, with the same amount and price."""
    TRADE_CONFLICT = "trade_conflict"
    """A stored trade that is there already, with another amount or price."""
    COIN_REFUSED = "coin_refused"
    """A coin's description that the database refuses; its stream is not touched by that."""
    BATCH_REFUSED = "batch_refused"
    """A discovery in a batch that n8n has refused for good."""
    DEAD_LETTER = "dead_letter"
    """A message that nobody handled."""
    LETTER_DROPPED = "letter_dropped"
    """A dead letter for which there was no room any more."""
    COALESCED = "coalesced"
    """A message that took the place of an earlier one of the same key."""
    TAP_DROPPED = "tap_dropped"
    """An entry that a slow listener of a tap did not get."""
