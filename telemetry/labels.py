"""The values that labels can have. Fixed sets: any other value is counted as `other`."""

from __future__ import annotations

from typing import Final

OTHER: Final = "other"

ACTOR_KINDS: Final = (
    "supervisor",
    "connection",
    "discovery",
    "tracker",
    "postgres-writer",
    "n8n-writer",
    "stream-watch",
    "auditor",
)
ACTOR_STATES: Final = (
    "starting", "running", "restarting", "quarantined", "paused", "blocked", "stopped",
)  # fmt: skip
FEED_STATES: Final = ("offline", "connecting", "live", "discovery_only", "silent", "banned")
FILTER_REASONS: Final = ("bad_name", "spam_burst", "quote_mint")
FRAME_KINDS: Final = ("create", "buy", "sell", "migrate", "control", "unknown", "malformed")
MALFORMED_REASONS: Final = (
    "not_json",
    "not_utf8",
    "not_object",
    "too_large",
    "bad_field",
    "bad_amount",
    "bad_mint",
)
SUBSCRIPTION_STATES: Final = ("pending", "sent", "acknowledged", "doubted")
PLACES: Final = (
    "committed", "open", "queued", "spooled", "cached", "parked", "orphan", "duplicate", "dead",
    "expired", "filtered", "evicted",
)  # fmt: skip
N8N_ERRORS: Final = ("timeout", "connection", "status", "refused", "redirect")
DB_ERRORS: Final = ("retry", "split", "dead")
JOURNAL_STATES: Final = ("ok", "failed", "full", "closed", "off")
AUDIT_VERDICTS: Final = (
    "ok", "missing", "different", "overlap", "extra", "pending", "explained", "unchecked",
)  # fmt: skip
"""As `actors.audit.report.Verdict` has them."""
DROP_REASONS: Final = (
    "duplicate_tracked", "duplicate_cached", "duplicate_create", "remembered",
    "orphan_unwanted", "orphan_uncached", "orphan_ended", "expired", "evicted", "filtered",
    "late", "parked_lost", "window_lost", "malformed", "unknown_frame", "unknown_migration",
    "frame_left_out", "journal_lost", "stale_window", "row_repeated", "row_conflict", "row_ahead",
    "row_refused", "trade_refused", "trade_repeated", "trade_conflict", "coin_refused",
    "batch_refused", "dead_letter", "letter_dropped", "coalesced", "tap_dropped",
)  # fmt: skip
"""As `actors.domain.Drop` has them."""
PROBLEM_KINDS: Final = (
    "n8n", "dead_letters", "feed", "database", "coins", "journal", "spool", "clock", "disk",
    "gaps", "audit",
)  # fmt: skip
"""What a problem in `/health` can be about."""
