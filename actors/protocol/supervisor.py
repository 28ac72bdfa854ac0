"""What the supervisor is told by the other actors and asked by the API.

The names of system actors stand here too, so that rooms can speak to each other without importing
each other.
"""

from __future__ import annotations

import zlib
from typing import Final

from actors.domain import AllTimeHigh, FeedState, Mint, Phase, Wallet
from actors.runtime.messages import Control, Message

SUPERVISOR: Final = "supervisor"
CONNECTION: Final = "connection"
DISCOVERY: Final = "discovery"
N8N_WRITER: Final = "n8n-writer"
STREAM_WATCH: Final = "stream-watch"
AUDITOR: Final = "auditor"


def tracker_name(mint: Mint) -> str:
    """Name the tracker of a mint."""
    return f"tracker:{mint}"


def writer_name(index: int) -> str:
    """Name the postgres-writer with this index (0-based)."""
    return f"postgres-writer:{index}"


def writer_of(mint: Mint, writers: int) -> str:
    """Name the one writer that all rows of a mint go through, so that they commit in order.

    Uses CRC-32, which is the same in every process, unlike `hash()`.
    """
    return writer_name(zlib.crc32(mint.encode("utf-8", "surrogatepass")) % writers)


class TrackMint(Message, frozen=True):
    """Discovery, stream-watch or the API want a mint tracked. Data lane.

    A mint that is tracked already stays as it is. `started_us` is when the stream began (its age
    base unless `created_us` is known), both in arrival time; `by` is "trades", "stream" or "api"
    and ends up in logs.
    """

    mint: Mint
    phase_id: int
    started_us: int
    by: str
    created_us: int | None = None
    creator: Wallet | None = None
    ath: AllTimeHigh | None = None
    last_row_us: int | None = None
    """End of the newest candle that the database has of this mint.

    The next one may not begin before it.
    """
    rows_seq: int = 0
    """The newest trade of this mint that lies in rows, by its number in the present journal; 0:
    none. A live trade is never taken for one in rows by its time.
    """


class UntrackMint(Message, frozen=True):
    """Stream-watch or the API want a mint no longer tracked; an unknown mint is ignored. Data."""

    mint: Mint
    reason: str


class TrackingEnded(Message, frozen=True):
    """A tracker has written its last candle because its coin graduated or outlived its last phase.

    Data lane.
    """

    mint: Mint
    phase_id: int
    reason: str


class PhasesLoaded(Message, frozen=True):
    """Stream-watch has (re)read `ref_coin_phases`. Data lane; sent at start and on every change."""

    phases: tuple[Phase, ...]


class StreamsLoaded(Message, frozen=True):
    """Stream-watch has told the supervisor of every stream that was active at its first reading.

    Data lane, once.
    """

    count: int


class FeedStateChanged(Message, frozen=True):
    """The connection's feed went into another state.

    Data lane. `reason` is in the server's own words where it has any.
    """

    state: FeedState
    reason: str
    at_us: int


class FeedEnded(Message, frozen=True):
    """A replayed recording has been read to its end. Data lane. The supervisor drains."""

    frames: int


class ReadingStopped(Message, frozen=True):
    """The connection has stopped reading and closed every route, as asked by `StopReading`.

    Data lane.
    """

    last_arrived_us: int


class Drained(Message, frozen=True):
    """A child has written or stored all it held, as asked by `Flush`. Data lane."""

    name: str
    undelivered: int
    """Items that stay on disk because their destination is away."""


class Drain(Control, frozen=True):
    """Stop in order.

    Read no more, cut and write every candle, empty the writers. Control lane; from a signal, or
    from whoever finds the process beyond help.
    """

    reason: str
    exit_code: int = 0


class GetHealth(Control, frozen=True):
    """Query: is the system well? Reply: `HealthReport`."""


class GetActors(Control, frozen=True):
    """Query: what does every actor do? Reply: tuple of `actors.runtime.ActorReport`."""


class GetActor(Control, frozen=True):
    """Query: one actor by name. Reply: `actors.runtime.ActorReport`, or None."""

    name: str


class GetLiveCoin(Control, frozen=True):
    """Query: what is known of a mint in memory? Reply: `TrackerReport`, `CachedCoinReport` or None.

    The supervisor hands the question on to the mint's tracker, else to discovery, which answers the
    asker directly.
    """

    mint: Mint


class GetLedger(Control, frozen=True):
    """Query: where is every received trade? Reply: `LedgerReport`."""


class LedgerReport(Message, frozen=True):
    """Trades received since the process started, and how many of them each place holds."""

    received: int
    places: dict[str, int]
    balanced: bool


class Problem(Message, frozen=True):
    """Something that somebody should look at, see `actors.supervisor.problems`."""

    kind: str
    """One of `telemetry.PROBLEM_KINDS`."""
    since_us: int
    says: str
    """One sentence with figures."""
    do: str
    """What to do about it, with the command that helps."""
    key: str
    """What makes it the same problem the next time."""


class HealthReport(Message, frozen=True):
    """What `/health`, `/readyz` and `mintwatch status` are made of.

    Durations in seconds, times in microseconds UTC.
    """

    uptime_seconds: float
    started_us: int
    feed_state: str
    feed_reason: str
    feed_since_us: int | None
    last_frame_age_seconds: float | None
    connected_us: int | None
    reconnect_count: int
    last_error: str | None
    draining: bool
    streams_loaded: bool
    broken_actors: tuple[str, ...]
    """System actors that are not running."""
    cache_total: int
    cache_activated: int
    cache_expired: int
    cache_oldest_age_seconds: float | None
    cache_newest_age_seconds: float | None
    trackers: int
    trades_processed: int
    rows_committed: int
    rows_waiting: int
    rows_spooled: int
    database_state: str
    """"up", "away", "refusing" (it answers, and no row can be written) or "unknown", as the writers
    last saw it.
    """
    coins_discovered: int
    n8n_available: bool
    n8n_waiting: int
    n8n_last_success_us: int | None
    recovering: bool = False
    """The journal of the process before is still being replayed."""
    not_subscribed: int = 0
    """Tracked coins without a route, or whose subscription was not sent yet; 0 once the start is
    complete.
    """
    journal_state: str = "off"
    """"ok", "full", "failed", "closed" or "off", see `FeedReport.journal`."""
    rows_parked: int = 0
    """Candles that found no room in memory and none on disk; the journal has their trades."""
    problems: tuple[Problem, ...] = ()
    """What somebody should look at, the oldest first."""


class TrackerReport(Message, frozen=True):
    """The live figures of one tracker.

    Amounts in lamports, prices in SOL; prices are None in a window without one.
    """

    mint: Mint
    phase_id: int
    interval_seconds: int
    price_open: float | None
    price_high: float | None
    price_low: float | None
    price_close: float | None
    market_cap_sol: float | None
    volume_lamports: int
    buy_volume_lamports: int
    sell_volume_lamports: int
    num_buys: int
    num_sells: int
    unique_wallets: int
    window_start_us: int | None
    window_end_us: int | None
    next_flush_seconds: float | None
    trades_total: int
    candles_total: int
    ath: AllTimeHigh | None
    created_us: int
    creator: Wallet | None
    covered: bool
    graduated: bool


class CachedCoinReport(Message, frozen=True):
    """A coin that discovery holds in its cache."""

    mint: Mint
    discovered_us: int
    n8n_sent: bool
    activated: bool
    subscription_active: bool
    cached_trades: int


class ReloadConfig(Control, frozen=True):
    """The API wants streams and phases re-read at once. Reply: `ConfigReloaded`, behind that."""


class ConfigReloaded(Message, frozen=True):
    """Streams and phases have been re-read, or will be once the database is back."""

    phases_before: tuple[Phase, ...]
    """The phases that were in force until then."""
