"""Which metric stands where on the dashboard. Names are attributes of `telemetry.Telemetry`."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["timeseries", "stat", "state"]


class Panel(NamedTuple):
    """One panel; type, unit and labels of its queries follow from the metrics."""

    title: str
    metrics: tuple[str, ...]
    kind: Kind = "timeseries"
    """`state`: which of a gauge's label values is the present one."""
    total: bool = False
    """Counters as they stand, not as rates."""
    bad_from: float | None = None
    """A stat turns red from here on."""
    bad_below: float | None = None
    """A stat is red below this."""


class Row(NamedTuple):
    """A row of panels with a heading."""

    title: str
    panels: tuple[Panel, ...]


ROWS: Final = (
    Row(
        "At a glance",
        (
            Panel("Feed", ("feed_state",), "state"),
            Panel("Database answers", ("db_connected",), "stat", bad_below=1),
            Panel("Ledger balanced", ("ledger_balanced",), "stat", bad_below=1),
            Panel("Late trades", ("late_trades",), "stat", total=True, bad_from=1),
            Panel("Problems", ("problems",), "stat", bad_from=1),
            Panel("Coins tracked", ("coins_tracked",), "stat"),
            Panel("Uptime", ("uptime_seconds",), "stat"),
        ),
    ),
    Row(
        "Feed",
        (
            Panel("Frames", ("frames",)),
            Panel("Trades", ("trades_received", "trades_processed", "duplicates", "trades_parked")),
            Panel("Age of the last data frame", ("silence_seconds",)),
            Panel("Last trade", ("last_trade_timestamp",), "stat"),
            Panel("Socket open", ("ws_connected",), "stat", bad_below=1),
            Panel("Age of the connection", ("connection_duration_seconds",), "stat"),
            Panel("Reconnects, missing pongs", ("ws_reconnects", "pongs_missing", "feed_errors")),
            Panel("Unreadable frames", ("malformed",)),
            Panel("Subscriptions", ("subscriptions", "pending_subscriptions")),
            Panel(
                "Subscribe calls",
                (
                    "batches_sent", "subscriptions_batched", "force_resubscribes",
                    "zombie_coins_detected",
                ),
            ),
            Panel("Coins in the last subscribe call", ("batch_size",)),
            Panel("Billed frames", ("billed_frames",)),
            Panel("Estimated cost", ("feed_cost_sol",), "stat"),
            Panel("Clock offset", ("clock_offset_seconds",)),
        ),
    ),
    Row(
        "Candles",
        (
            Panel("Candles committed", ("metrics_saved", "stale_data_skipped")),
            Panel("Window end to commit", ("window_to_commit_seconds",)),
            Panel("Trades in open candles", ("buffer_size",)),
            Panel("Ledger by place", ("ledger",)),
            Panel("Windows audited", ("audit_windows",)),
            Panel("Trades the ledger has received", ("ledger_received",), "stat"),
            Panel("Breaks in the chain of reserves", ("chain_breaks",)),
            Panel("Left the straight way", ("dropped",)),
            Panel("Trades without an amount", ("trades_without_amount",), "stat", total=True),
            Panel("Coins received and filtered", ("coins_received", "coins_filtered")),
            Panel(
                "Cache", ("cache_activations", "cache_expirations", "cache_evictions")
            ),
            Panel("Coins in the cache", ("cache_size",)),
            Panel("Phases", ("phase_switches", "coins_graduated", "coins_finished")),
            Panel("All-time highs raised", ("ath_updates",)),
            Panel("All-time highs kept", ("ath_cache_size",), "stat"),
        ),
    ),
    Row(
        "Database",
        (
            Panel("Commit", ("commit_seconds",)),
            Panel("Batch, begin to commit", ("flush_duration_seconds",)),
            Panel("Query", ("db_query_duration_seconds",)),
            Panel("Rows in a batch", ("batch_rows",)),
            Panel("Failures by what is done", ("db_errors",)),
        ),
    ),
    Row(
        "n8n",
        (
            Panel("Took the last batch", ("n8n_available",), "stat", bad_below=1),
            Panel("Coins waiting", ("n8n_buffer_size",)),
            Panel("Oldest coin waiting", ("n8n_oldest_age_seconds",)),
            Panel("Delivered", ("coins_sent_n8n", "n8n_batches_sent")),
            Panel("Request", ("n8n_seconds",)),
            Panel("Failures", ("n8n_errors",)),
        ),
    ),
    Row(
        "Actors",
        (
            Panel("Actors", ("actors",)),
            Panel("Restarts", ("restarts",)),
            Panel("Dead letters", ("dead_letters",)),
            Panel("Messages waiting", ("mailbox_depth",)),
            Panel("Oldest message waiting", ("mailbox_oldest_age_seconds",)),
            Panel("Wait in the mailbox", ("message_latency_seconds",)),
            Panel("Handling one message", ("handling_seconds",)),
            Panel("Turns that take too long", ("stalls",)),
            Panel("Dispatcher busy", ("dispatcher_busy_share",)),
            Panel("Dispatcher threads, lost ones", ("dispatcher_threads", "workers_lost")),
            Panel("Taps", ("taps",), "stat"),
            Panel("Failures without a dossier", ("dossiers_skipped",), "stat", total=True),
        ),
    ),
    Row(
        "Journal and spool",
        (
            Panel("Journal", ("journal_state",), "state"),
            Panel("Journal on disk", ("journal_bytes", "journal_limit_bytes")),
            Panel("Records journalled", ("journal_rows",)),
            Panel("Records not on disk", ("journal_lost",), "stat", total=True, bad_from=1),
            Panel("Oldest frame in the journal", ("journal_oldest_age_seconds",)),
            Panel("Rows in the spool", ("spool_rows",)),
            Panel("Spool on disk", ("spool_bytes", "spool_limit_bytes")),
            Panel("Oldest row in the spool", ("spool_oldest_age_seconds",)),
        ),
    ),
    Row(
        "API",
        (
            Panel("Requests", ("api_requests",)),
            Panel("Settings changed", ("config_changes",), "stat", total=True),
        ),
    ),
)  # fmt: skip
