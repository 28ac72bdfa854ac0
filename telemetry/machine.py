"""What is measured of the machine: actors, storage, the API, and their delays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telemetry.instruments import FAST_SECONDS, ROWS, SLOW_SECONDS, Instruments
from telemetry.labels import (
    ACTOR_KINDS,
    ACTOR_STATES,
    DB_ERRORS,
    JOURNAL_STATES,
    PROBLEM_KINDS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class MachineMetrics(Instruments):
    """An attribute is the metric's name without its prefix and `_total`."""

    def __init__(self) -> None:
        super().__init__()
        self._define_storage()
        self._define_runtime()
        self._define_stores()

    def show_journal_state(self, state: str) -> None:
        """Set the series of this state of the journal to 1 and the others to 0."""
        for known in JOURNAL_STATES:
            self.journal_state.labels(state=known).set(known == state)

    def show_problems(self, kinds: Mapping[str, int]) -> None:
        """Set each kind's series to how many problems of it there are."""
        for known in PROBLEM_KINDS:
            self.problems.labels(kind=known).set(kinds.get(known, 0))

    def _define_storage(self) -> None:
        self.metrics_saved = self._counter(
            "unified_metrics_saved", "Candles committed to the database."
        )
        self.trades_stored = self._counter(
            "mintwatch_trades_stored", "Single trades committed to coin_transactions."
        )
        self.db_errors = self._counters(
            "unified_db_errors", "Failed database work, by what is done about it.", type=DB_ERRORS
        )
        self.db_query_duration_seconds = self._histogram(
            "unified_db_query_duration_seconds", "Time of one database query.", SLOW_SECONDS
        )
        self.flush_duration_seconds = self._histogram(
            "unified_flush_duration_seconds",
            "Time from a batch's begin to its commit.",
            SLOW_SECONDS,
        )
        self.batch_rows = self._histogram(
            "mintwatch_batch_rows", "Rows in one database batch.", ROWS
        )
        self.commit_seconds = self._histogram(
            "mintwatch_commit_seconds", "Time of one batch's transaction.", SLOW_SECONDS
        )
        self.window_to_commit_seconds = self._histogram(
            "mintwatch_window_to_commit_seconds",
            "Time from a window's end to its row's commit.",
            SLOW_SECONDS,
        )
        self.n8n_seconds = self._histogram(
            "mintwatch_n8n_seconds",
            "Time of one request to n8n, failed ones included.",
            SLOW_SECONDS,
        )

    def _define_runtime(self) -> None:
        kinds = ACTOR_KINDS
        self.problems = self._gauges(
            "mintwatch_problems", "Problems that /health names.", kind=PROBLEM_KINDS
        )
        self.actors = self._gauges("mintwatch_actors", "Actors.", kind=kinds, state=ACTOR_STATES)
        self.restarts = self._counters(
            "mintwatch_restarts", "Actors restarted after a failure.", kind=kinds
        )
        self.dead_letters = self._counters(
            "mintwatch_dead_letters", "Messages nobody handled.", kind=kinds
        )
        self.stalls = self._counters(
            "mintwatch_stalls", "Turns longer than STALL_SECONDS.", kind=kinds
        )
        self.mailbox_depth = self._gauges(
            "mintwatch_mailbox_depth", "Messages waiting.", kind=kinds
        )
        self.mailbox_oldest_age_seconds = self._gauges(
            "mintwatch_mailbox_oldest_age_seconds", "Age of the oldest message waiting.", kind=kinds
        )
        self.message_latency_seconds = self._histograms(
            "mintwatch_message_latency_seconds",
            "Time a message waited in a mailbox, of every 16th message.",
            FAST_SECONDS,
            kind=kinds,
        )
        self.handling_seconds = self._histograms(
            "mintwatch_handling_seconds",
            "Time of handling one message, of every 16th message.",
            FAST_SECONDS,
            kind=kinds,
        )
        self.dispatcher_threads = self._gauge(
            "mintwatch_dispatcher_threads", "Threads that run trackers."
        )
        self.dispatcher_busy_share = self._gauge(
            "mintwatch_dispatcher_busy_share",
            "Share of the dispatcher's time spent in turns since the scrape before, 0 to 1.",
        )
        self.workers_lost = self._gauge(
            "mintwatch_workers_lost", "Threads that hang in a turn and were replaced."
        )
        self.dossiers_skipped = self._counter(
            "mintwatch_dossiers_skipped",
            "Failures that no dossier was written of: too many at once.",
        )
        self.taps = self._gauge("mintwatch_taps", "Listeners to single coins over the API.")
        self.config_changes = self._counter(
            "mintwatch_config_changes", "Settings changed while the service ran."
        )
        self.api_requests = self._counter(
            "mintwatch_api_requests",
            "Requests answered, by the route's pattern.",
            ("route", "status"),
        )

    def _define_stores(self) -> None:
        self.journal_rows = self._counter(
            "mintwatch_journal_rows", "Records written to the journal."
        )
        self.journal_bytes = self._gauge("mintwatch_journal_bytes", "Size of the journal on disk.")
        self.journal_oldest_age_seconds = self._gauge(
            "mintwatch_journal_oldest_age_seconds", "Age of the oldest frame in the journal."
        )
        self.journal_limit_bytes = self._gauge(
            "mintwatch_journal_limit_bytes", "Size the journal may have on disk."
        )
        self.journal_state = self._gauges(
            "mintwatch_journal_state", "1 for the journal's present state.", state=JOURNAL_STATES
        )
        self.journal_lost = self._counter(
            "mintwatch_journal_lost", "Records that are not certainly on disk."
        )
        self.spool_rows = self._gauge(
            "mintwatch_spool_rows", "Rows on disk that wait for the database or n8n."
        )
        self.spool_bytes = self._gauge("mintwatch_spool_bytes", "Size of the spool on disk.")
        self.spool_oldest_age_seconds = self._gauge(
            "mintwatch_spool_oldest_age_seconds", "Age of the oldest row in the spool."
        )
        self.spool_limit_bytes = self._gauge(
            "mintwatch_spool_limit_bytes", "Size the spool may have on disk."
        )
        self.n8n_oldest_age_seconds = self._gauge(
            "mintwatch_n8n_oldest_age_seconds",
            "Age of the oldest coin that waits for n8n; 0 without one.",
        )
