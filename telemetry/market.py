"""What is measured of the market: the feed, coins, trades, candles, and where they go."""

from __future__ import annotations

from telemetry.instruments import Instruments
from telemetry.labels import (
    AUDIT_VERDICTS,
    DROP_REASONS,
    FEED_STATES,
    FILTER_REASONS,
    FRAME_KINDS,
    MALFORMED_REASONS,
    N8N_ERRORS,
    PLACES,
    SUBSCRIPTION_STATES,
)


class MarketMetrics(Instruments):
    """An attribute is the metric's name without its prefix and `_total`."""

    def __init__(self) -> None:
        super().__init__()
        self._define_discovery()
        self._define_tracking()
        self._define_links()
        self._define_feed()

    def show_feed_state(self, state: str) -> None:
        """Set the series of this feed state to 1 and the others to 0."""
        for known in FEED_STATES:
            self.feed_state.labels(state=known).set(known == state)

    def _define_discovery(self) -> None:
        self.coins_received = self._counter(
            "unified_coins_received", "New coins that passed the filter."
        )
        self.coins_filtered = self._counters(
            "unified_coins_filtered", "New coins the filter turned away.", reason=FILTER_REASONS
        )
        self.coins_sent_n8n = self._counter("unified_coins_sent_n8n", "Coins delivered to n8n.")
        self.n8n_batches_sent = self._counter(
            "unified_n8n_batches_sent", "Batches delivered to n8n."
        )
        self.n8n_available = self._gauge("unified_n8n_available", "1 when n8n took the last batch.")
        self.n8n_buffer_size = self._gauge("unified_n8n_buffer_size", "Coins waiting for n8n.")
        self.n8n_errors = self._counters(
            "unified_n8n_errors", "Failed deliveries to n8n.", type=N8N_ERRORS
        )
        self.cache_size = self._gauge("unified_cache_size", "Coins in the cache.")
        self.cache_activations = self._counter(
            "unified_cache_activations", "Cached coins that became tracked."
        )
        self.cache_expirations = self._counter(
            "unified_cache_expirations", "Cached coins that were never tracked and left by age."
        )
        self.cache_evictions = self._counter(
            "mintwatch_cache_evictions", "Cached coins that left because the cache was full."
        )

    def _define_tracking(self) -> None:
        self.trades_received = self._counter(
            "unified_trades_received", "Buys and sells received, creators' buys included."
        )
        self.trades_processed = self._counter(
            "unified_trades_processed", "Trades added to a candle."
        )
        self.coins_tracked = self._gauge(
            "unified_coins_tracked", "Coins tracked by an actor of their own."
        )
        self.phase_switches = self._counter(
            "unified_phase_switches", "Coins moved to a later phase."
        )
        self.coins_graduated = self._counter(
            "unified_coins_graduated", "Tracked coins that left the curve."
        )
        self.coins_finished = self._counter(
            "unified_coins_finished", "Tracked coins that outlived the last phase."
        )
        self.last_trade_timestamp = self._gauge(
            "unified_last_trade_timestamp", "When the last trade arrived, in seconds since 1970."
        )
        self.buffer_size = self._gauge("unified_buffer_size", "Trades held in open candles.")
        self.ath_updates = self._counter(
            "unified_ath_updates", "All-time highs raised in the database."
        )
        self.ath_cache_size = self._gauge(
            "unified_ath_cache_size", "Coins whose all-time high is kept."
        )
        self.zombie_coins_detected = self._counter(
            "unified_zombie_coins_detected", "Subscriptions doubted because nothing came."
        )
        self.force_resubscribes = self._counter(
            "unified_force_resubscribes",
            "Subscribe calls repeated by the watchdog or a phase switch.",
        )
        self.stale_data_skipped = self._counter(
            "unified_stale_data_skipped",
            "Windows not written because every trade had been seen before.",
        )
        self.chain_breaks = self._counter(
            "mintwatch_chain_breaks", "Trades whose reserves did not follow from the trade before."
        )
        self.duplicates = self._counter(
            "mintwatch_duplicates", "Trades received again and counted once."
        )
        self.late_trades = self._counter(
            "mintwatch_late_trades", "Trades that came after their window was closed; must stay 0."
        )
        self.dropped = self._counters(
            "mintwatch_dropped",
            "What left the straight way from a frame to a row, by reason; see docs/operations.md.",
            reason=DROP_REASONS,
        )
        self.trades_without_amount = self._counter(
            "mintwatch_trades_without_amount",
            "Trades added to a candle whose frame did not say how much SOL they moved.",
        )
        self.trades_parked = self._counter(
            "mintwatch_trades_parked", "Trades set aside because their tracker could not take them."
        )

    def _define_links(self) -> None:
        self.ws_connected = self._gauge(
            "unified_ws_connected", "1 while the feed's socket is open."
        )
        self.db_connected = self._gauge("unified_db_connected", "1 while the database takes rows.")
        self.ws_reconnects = self._counter(
            "unified_ws_reconnects", "Connections to the feed after the first."
        )
        self.uptime_seconds = self._gauge("unified_uptime_seconds", "Seconds since the start.")
        self.connection_duration_seconds = self._gauge(
            "unified_connection_duration_seconds",
            "Age of the feed's connection in seconds; 0 without one.",
        )
        self.pending_subscriptions = self._gauge(
            "unified_pending_subscriptions", "Coins whose subscription is wanted and not sent yet."
        )
        self.batches_sent = self._counter("unified_batches_sent", "Subscribe calls sent.")
        self.subscriptions_batched = self._counter(
            "unified_subscriptions_batched", "Coins named in the subscribe calls sent."
        )
        self.batch_size = self._gauge(
            "unified_batch_size", "Coins named in the last subscribe call."
        )

    def _define_feed(self) -> None:
        self.frames = self._counters("mintwatch_frames", "Frames received.", kind=FRAME_KINDS)
        self.malformed = self._counters(
            "mintwatch_malformed", "Data frames that could not be read.", reason=MALFORMED_REASONS
        )
        self.feed_state = self._gauges(
            "mintwatch_feed_state", "1 for the feed's present state.", state=FEED_STATES
        )
        self.feed_errors = self._counter("mintwatch_feed_errors", "Error frames sent by the feed.")
        self.billed_frames = self._counter(
            "mintwatch_billed_frames", "Trade frames the vendor charges for."
        )
        self.feed_cost_sol = self._gauge(
            "mintwatch_feed_cost_sol", "Estimated price of the billed frames in SOL."
        )
        self.silence_seconds = self._gauge(
            "mintwatch_silence_seconds", "Age of the last data frame."
        )
        self.pongs_missing = self._counter(
            "mintwatch_pongs_missing", "Pings the feed did not answer in time."
        )
        self.subscriptions = self._gauges(
            "mintwatch_subscriptions", "Wanted subscriptions.", state=SUBSCRIPTION_STATES
        )
        self.clock_offset_seconds = self._gauge(
            "mintwatch_clock_offset_seconds",
            "Wall clock minus arrival clock; arrival stamps never jump.",
        )
        self.ledger = self._gauges(
            "mintwatch_ledger", "Received trades by where they are.", place=PLACES
        )
        self.audit_windows = self._counters(
            "mintwatch_audit_windows",
            "Windows, and runs of trades in no window, that the auditor has looked at, each once.",
            verdict=AUDIT_VERDICTS,
        )
        self.ledger_received = self._gauge(
            "mintwatch_ledger_received", "Trades the ledger has received."
        )
        self.ledger_balanced = self._gauge(
            "mintwatch_ledger_balanced", "1 when the places add up to the trades received."
        )
