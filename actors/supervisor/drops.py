"""What leaves the straight way from a frame to a row: when that is right, and when it is not.

One rule for each `Drop`; docs/operations.md has the same table. Pure.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from actors.domain import Drop


class Of(Enum):
    """What a share is taken of, in the same minute."""

    TRADES = "trades"
    TRADES_WHILE_TRACKING = "trades while coins are tracked"
    TRACKED_TRADES = "trades of tracked coins"
    DATA_FRAMES = "data frames"
    CREATES = "creates"
    COINS = "tracked coins"


class Bound(NamedTuple):
    """From when on a reason is a problem, in one minute."""

    at_least: int = 1
    share_pct: int = 0
    """More than so much of `of`; 0: however few they are."""
    of: Of = Of.TRADES

    @property
    def text(self) -> str:
        """Say it in words."""
        if self.share_pct:
            return f"more than {self.share_pct} % of {self.of.value}, and at least {self.at_least}"
        return "any" if self.at_least == 1 else f"at least {self.at_least}"


class Rule(NamedTuple):
    """What is to be thought of one reason."""

    drop: Drop
    unit: str
    right: str
    """When it is right."""
    bound: Bound | None = None
    """None: no count of it is a problem by itself."""
    kind: str = ""
    says: str = ""
    """`{n}`, `{share}`, `{coins}` and `{when}` are filled in."""
    do: str = ""
    standing: str = ""
    """How long it is a problem where that is not ten minutes."""

    @property
    def bound_text(self) -> str:
        """Say from when on it is a problem."""
        if self.bound is None:
            return self.standing or "never"
        return f"{self.bound.text}, {self.standing}" if self.standing else self.bound.text


RULES: Final = (
    Rule(
        Drop.DUPLICATE_TRACKED,
        "trades",
        "The feed sends a trade again, or the journal brings one that its tracker knows.",
        Bound(20, 50, Of.TRACKED_TRADES),
        "coins",
        "{share} % of the trades of {coins} tracked coins were thrown away as duplicates {when}.",
        "`mintwatch audit --since 10m` compares the rows with the journal; `mintwatch why MINT` "
        "has the story of one coin.",
    ),
    Rule(
        Drop.DUPLICATE_CACHED,
        "trades",
        "The feed sends a trade of a waiting coin again, or the journal brings one.",
        Bound(20, 50, Of.TRADES),
        "feed",
        "{n} trades of coins in the cache, {share} % of all, came twice {when}.",
        "GET /trackers/MINT/journal shows the frames of one coin as they came: look whether the "
        "feed sends each of them twice.",
    ),
    Rule(
        Drop.DUPLICATE_CREATE,
        "trades",
        "The feed sends a create again.",
        Bound(20, 50, Of.CREATES),
        "feed",
        "{n} creates, {share} % of all, came twice {when}.",
        "GET /trackers/MINT/journal shows the frames of one coin as they came: look whether the "
        "feed sends each of them twice.",
    ),
    Rule(
        Drop.REMEMBERED,
        "trades",
        "At each start: the journal is read back further than rows reach, so nothing counts twice.",
    ),
    Rule(
        Drop.ORPHAN_UNWANTED,
        "trades",
        "Trades go on for a moment after the server was asked to send none.",
        Bound(1000, 50, Of.TRADES_WHILE_TRACKING),
        "feed",
        "{n} trades of coins that nobody wants, {share} % of all, came {when}.",
        "GET /feed counts subscriptions and billed frames: look whether another client subscribes "
        "with the same API key.",
    ),
    Rule(
        Drop.ORPHAN_UNCACHED,
        "trades",
        "The coin left the cache, or was filtered, while the trade was on its way.",
        Bound(100, 10, Of.TRADES),
        "feed",
        "{n} trades, {share} % of all, came after their coin had left the cache {when}.",
        "`mintwatch actors` shows what waits for discovery; raise COIN_CACHE_SECONDS if coins "
        "leave too early.",
    ),
    Rule(
        Drop.ORPHAN_ENDED,
        "trades",
        "The coin graduated, or its stream ended, while the trade was on its way.",
        Bound(100, 10, Of.TRACKED_TRADES),
        "coins",
        "{n} trades, {share} % of those of tracked coins, came after the end of their tracker "
        "{when}.",
        "`mintwatch why MINT` says why a tracker has ended.",
    ),
    Rule(
        Drop.EXPIRED,
        "trades",
        "Nobody activated the coin within COIN_CACHE_SECONDS; so it is with most coins.",
    ),
    Rule(
        Drop.EVICTED,
        "trades",
        "Never: the cache is too small, or coins wait for a tracker for more than 10 minutes.",
        Bound(),
        "coins",
        "Trades of waiting coins given up {when}: {n}; the cache was full, or no tracker came free "
        "for 10 minutes.",
        "Raise COIN_CACHE_MAX (`mintwatch config set coin_cache_max=10000`), or MAX_TRACKERS "
        "(`mintwatch resize trackers 40000`).",
    ),
    Rule(
        Drop.FILTERED,
        "trades",
        "The filter turned the coin away, as it was told.",
    ),
    Rule(
        Drop.LATE,
        "trades",
        "Never.",
        Bound(),
        "coins",
        "Trades that came after their candle was closed {when}: {n}; they count in the next one.",
        "This is an error in mintwatch: keep the log and STATE_DIR/journal, report it, and run "
        "`mintwatch audit --since 1h`.",
    ),
    Rule(
        Drop.PARKED_LOST,
        "trades",
        "Never: the journal could not be written when they came.",
        Bound(),
        "journal",
        "Parked trades given up {when}, because the journal does not have them: {n}.",
        "`parked_trades_lost` in the log names the coins; GET /feed, journal, says what is wrong "
        "with the disk of STATE_DIR.",
    ),
    Rule(
        Drop.WINDOW_LOST,
        "trades",
        "Never: a tracker failed even while it ended.",
        Bound(),
        "coins",
        "Trades lost {when} in the open windows of trackers that could not end: {n}.",
        "`window_lost` in the log names the coins, GET /dossiers has the tracebacks: report them.",
    ),
    Rule(
        Drop.MALFORMED,
        "frames",
        "Single frames with an amount that cannot be.",
        Bound(10, 1, Of.DATA_FRAMES),
        "feed",
        "{n} frames, {share} % of all, could not be read {when}.",
        "mintwatch_malformed_total says why; the journal keeps the frames. The feed may have "
        "changed its form: look for a newer mintwatch.",
    ),
    Rule(
        Drop.UNKNOWN_FRAME,
        "frames",
        "The feed tries something new.",
        Bound(10, 1, Of.DATA_FRAMES),
        "feed",
        "{n} frames, {share} % of all, were of a kind that is not known here {when}.",
        "The journal keeps them. The feed may have changed its form: look for a newer mintwatch.",
    ),
    Rule(
        Drop.UNKNOWN_MIGRATION,
        "migrations",
        "Most coins that graduate were never tracked.",
    ),
    Rule(
        Drop.FRAME_LEFT_OUT,
        "frames",
        "Never: the frame failed each time it was replayed.",
        Bound(),
        "journal",
        "Frames of the journal left out {when}, because each failed every time: {n}.",
        "`frame_left_out` in the log has their numbers, GET /dossiers the tracebacks: report them.",
    ),
    Rule(
        Drop.JOURNAL_LOST,
        "records",
        "Never: the disk of STATE_DIR refused them.",
        Bound(),
        "journal",
        "Records not journalled {when}, which a crash would lose: {n}.",
        "GET /feed, journal, has the disk's own words: see to the space and the rights of "
        "STATE_DIR.",
    ),
    Rule(
        Drop.STALE_WINDOW,
        "windows",
        "The feed repeats what it sent before, after a reconnect: that is one window of a coin.",
        Bound(20, 100, Of.COINS),
        "coins",
        "{n} windows of {coins} tracked coins got no row {when}, because every trade in them had "
        "been seen before.",
        "`mintwatch audit --since 10m` compares the rows with the journal.",
    ),
    Rule(
        Drop.ROW_REPEATED,
        "rows",
        "A restart, or a commit whose answer was lost, brings a row again with the same figures.",
    ),
    Rule(
        Drop.ROW_CONFLICT,
        "rows",
        "Never: the row that is there has other figures, and stays.",
        Bound(),
        "database",
        "Candles found {when} whose row in the database has other figures: {n}.",
        "Both are kept: compare `coin_metrics_conflicts` with `coin_metrics`, then `mintwatch "
        "acknowledge conflicts`.",
        "until acknowledged",
    ),
    Rule(
        Drop.ROW_AHEAD,
        "rows",
        "An earlier run had a clock that was ahead.",
        Bound(),
        "clock",
        "Rows in the future moved to `coin_metrics_ahead` {when}: {n}.",
        "See to the machine's clock, look at `coin_metrics_ahead`, then `mintwatch acknowledge "
        "ahead`.",
        "until acknowledged",
    ),
    Rule(
        Drop.ROW_REFUSED,
        "rows",
        "Never: the table does not take what mintwatch writes.",
        Bound(),
        "database",
        "Rows refused by the database and given up {when}: {n}.",
        "`row_refused` in the log has the database's words; correct the table, then `mintwatch "
        "dead-letters retry ID`.",
    ),
    Rule(
        Drop.TRADE_REFUSED,
        "trades",
        "Never: the table does not take what mintwatch writes. The candle is written.",
        Bound(),
        "database",
        "Stored trades refused by the database {when}: {n}; their candles are written.",
        "`trade_refused` in the log has the database's words; correct `coin_transactions`, then "
        "`mintwatch dead-letters retry ID`.",
    ),
    Rule(
        Drop.TRADE_REPEATED,
        "trades",
        "A restart, or a commit whose answer was lost, brings a stored trade again.",
    ),
    Rule(
        Drop.TRADE_CONFLICT,
        "trades",
        "Never: the trade that is there has another amount or price, and stays.",
        Bound(),
        "database",
        "Stored trades found {when} that the database has with another amount or price: {n}.",
        "`trade_conflict` in the log has both amounts; put `coin_transactions` right, then "
        "`mintwatch dead-letters delete ID`.",
    ),
    Rule(
        Drop.COIN_REFUSED,
        "coins",
        "Never: the table does not take what mintwatch writes. The stream is written.",
        Bound(),
        "database",
        "Descriptions of coins refused by the database {when}: {n}; their streams are written.",
        "`coin_refused` in the log has the database's words; correct `discovered_coins`, then "
        "`mintwatch dead-letters retry ID`.",
    ),
    Rule(
        Drop.BATCH_REFUSED,
        "coins",
        "Never: n8n refused their batch three times.",
        Bound(),
        "n8n",
        "Discoveries refused by n8n for good {when}: {n}.",
        "`n8n_failed` in the log has the webhook's answer; correct it, then `mintwatch "
        "dead-letters list` and `mintwatch dead-letters retry ID`.",
    ),
    Rule(
        Drop.DEAD_LETTER,
        "messages",
        "Never: a message failed, or nobody took it.",
        None,
        "dead_letters",
        do="`mintwatch dead-letters list` shows them; `retry ID` sends one again, `delete ID` lets "
        "it go.",
        standing="while one is kept",
    ),
    Rule(
        Drop.LETTER_DROPPED,
        "dead letters",
        "Never: 1,000 are kept, of stored trades 100.",
        Bound(),
        "dead_letters",
        "Dead letters given up {when}, because too many are kept: {n}.",
        "The log has an error for each, and STATE_DIR/dead-letters.jsonl the trades of those that "
        "were in no row. See to the cause; `mintwatch dead-letters list` shows what is left.",
    ),
    Rule(
        Drop.COALESCED,
        "messages",
        "A newer message of the same key says all that the earlier one did.",
    ),
    Rule(
        Drop.TAP_DROPPED,
        "entries",
        "The reader of a tap is slower than the coin; nothing but the tap misses them.",
    ),
)
"""One for each `Drop`, in its order."""
