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
