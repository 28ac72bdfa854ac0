"""A supervisor that answers from a table, and reports to put in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain import FeedState, Mint, Wallet
from actors.protocol.connection import FeedReport, GetFeed
from actors.protocol.operator import GetSettings, GetTracker, TrackerOverview
from actors.protocol.supervisor import (
    GetActor,
    GetActors,
    GetHealth,
    GetLedger,
    GetLiveCoin,
    HealthReport,
    LedgerReport,
    TrackerReport,
)
from actors.runtime import ActorReport
from api import NotAnswered
from settings import Settings, load

if TYPE_CHECKING:
    from collections.abc import Callable

MINT = Mint("Ai3qS9nAJhGkW4pA2s1nHbzHqVr7TgP8d3cL5yZmpump")
NOON_US = 1_783_080_000_000_000
"""2026-07-03 12:00:00 UTC."""

HEALTH = HealthReport(
    uptime_seconds=3600.5,
    started_us=NOON_US,
    feed_state="live",
    feed_reason="",
    feed_since_us=NOON_US + 1_000_000,
    last_frame_age_seconds=0.3,
    connected_us=NOON_US + 500_000,
    reconnect_count=2,
    last_error=None,
    draining=False,
    streams_loaded=True,
    broken_actors=(),
    cache_total=12,
    cache_activated=3,
    cache_expired=140,
    cache_oldest_age_seconds=118.4,
    cache_newest_age_seconds=0.7,
    trackers=41,
    trades_processed=182_334,
    rows_committed=9120,
    rows_waiting=5,
    rows_spooled=0,
    database_state="up",
    coins_discovered=512,
    n8n_available=True,
    n8n_waiting=4,
    n8n_last_success_us=NOON_US + 2_000_000,
)
FEED = FeedReport(
    state=FeedState.LIVE,
    reason="",
    since_us=NOON_US,
    source="wss://pumpportal.fun/api/data",
    connected_us=NOON_US,
    last_frame_us=NOON_US + 1,
    last_trade_us=None,
    covered_us=0,
    next_seq=7,
    frames={"create": 4, "buy": 2, "sell": 1},
    billed_frames=3,
    estimated_cost_sol=0.000003,
    reconnects=1,
    last_error=None,
    subscriptions={"acknowledged": 2, "pending": 1},
    routes=2,
)
TRACKED = TrackerReport(
    mint=MINT,
    phase_id=1,
    interval_seconds=5,
    price_open=2.8e-8,
    price_high=3.1e-8,
    price_low=2.8e-8,
    price_close=3.0e-8,
    market_cap_sol=30.0,
    volume_lamports=12_500_000_000,
    buy_volume_lamports=8_250_000_000,
    sell_volume_lamports=4_250_000_000,
    num_buys=31,
    num_sells=12,
    unique_wallets=27,
    window_start_us=NOON_US,
    window_end_us=NOON_US + 5_000_000,
    next_flush_seconds=3.2,
    trades_total=43,
    candles_total=1,
    ath=None,
    created_us=NOON_US,
    creator=Wallet("creator"),
    covered=True,
    graduated=False,
)
LEDGER = LedgerReport(received=10, places={"committed": 7, "open": 3}, balanced=True)


def actor(name: str, kind: str, state: str = "running", **changes: Any) -> ActorReport:
    report = ActorReport(
        name=name,
        kind=kind,
        state=state,
        own_thread=False,
        held=False,
        mailbox_depth=1,
        mailbox_peak=9,
        mailbox_capacity=4096,
        oldest_age_seconds=0.25,
        handled=100,
        restarts=0,
        last_error=None,
        busy_share=0.125,
        turn_seconds=None,
    )
    return msgspec.structs.replace(report, **changes)


ACTORS = (
    actor("supervisor", "supervisor"),
    actor("postgres-writer:0", "postgres-writer", own_thread=True),
    actor("connection", "connection"),
    actor("discovery", "discovery", restarts=1, last_error="ValueError: bad"),
    actor("tracker:a", "tracker"),
    actor("tracker:b", "tracker", "quarantined"),
    actor("tracker:c", "tracker"),
)


class FakeSupervisor:
    """Answers each kind of question; `silent` names an actor that gives no answer."""

    def __init__(self) -> None:
        self.replies: dict[type, Any] = {
            GetHealth: HEALTH,
            GetActors: ACTORS,
            GetActor: lambda question: next((a for a in ACTORS if a.name == question.name), None),
            GetFeed: FEED,
            GetLedger: LEDGER,
            GetLiveCoin: None,
            GetSettings: settings_of(),
            GetTracker: TrackerOverview(None, None),
        }
        self.silent: str | None = None
        self.asked: list[Any] = []

    def ask(self, message: Any, timeout_s: float) -> Any:
        self.asked.append(message)
        if self.silent is not None:
            raise NotAnswered(self.silent, timeout_s)
        reply: Any | Callable[[Any], Any] = self.replies[type(message)]
        return reply(message) if callable(reply) else reply


def settings_of(**environ: str) -> Settings:
    return load(environ)
