"""Metric definitions, log set-up and what a process tells of itself; nothing else."""

from __future__ import annotations

from telemetry.diagnostics import dump, log_dump
from telemetry.instruments import Definition, Labelled, read
from telemetry.labels import (
    ACTOR_KINDS,
    ACTOR_STATES,
    DB_ERRORS,
    DROP_REASONS,
    FEED_STATES,
    FILTER_REASONS,
    FRAME_KINDS,
    JOURNAL_STATES,
    MALFORMED_REASONS,
    N8N_ERRORS,
    OTHER,
    PLACES,
    PROBLEM_KINDS,
    SUBSCRIPTION_STATES,
)
from telemetry.limits import LOG_BURST, LOG_KEYS, LOG_WINDOW_SECONDS, RateLimit
from telemetry.logs import configure_logging, set_log_level
from telemetry.redaction import MASK, SHORTEST_SECRET, Redactor
from telemetry.registry import METRICS_CONTENT_TYPE, RENDER_SECONDS, Telemetry

__all__ = [
    "ACTOR_KINDS", "ACTOR_STATES", "DB_ERRORS", "DROP_REASONS", "FEED_STATES", "FILTER_REASONS",
    "FRAME_KINDS", "JOURNAL_STATES", "LOG_BURST", "LOG_KEYS", "LOG_WINDOW_SECONDS",
    "MALFORMED_REASONS", "MASK", "METRICS_CONTENT_TYPE", "N8N_ERRORS", "OTHER", "PLACES",
    "PROBLEM_KINDS", "RENDER_SECONDS", "SHORTEST_SECRET", "SUBSCRIPTION_STATES",
    "Definition", "Labelled", "RateLimit", "Redactor", "Telemetry",
    "configure_logging", "dump", "log_dump", "read", "set_log_level",
]  # fmt: skip
