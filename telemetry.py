"""Metric definitions and log set-up, nothing else.

An attribute of `Telemetry` is the metric's name without `unified_` or `mintwatch_` and `_total`.
Labels have fixed sets of values: any other value is counted as `other`, so no mint, wallet or
error text can ever become a label.
"""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Generic, Literal, TextIO, TypeVar

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics import MetricWrapperBase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from structlog.typing import EventDict

METRICS_CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
RENDER_SECONDS: Final = 1.0
"""How long one exposition is handed out again."""
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
ACTOR_STATES: Final = ("starting", "running", "restarting", "quarantined", "paused", "stopped")
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

_FAST_SECONDS: Final = (
    0.00001, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
)  # fmt: skip
_SLOW_SECONDS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
    60,
)
_ROWS: Final = (1, 5, 10, 50, 100, 500, 1000, 2000, 5000, 10_000, 50_000)

M = TypeVar("M", bound=MetricWrapperBase)


class Labelled(Generic[M]):
    """A metric with fixed sets of label values; every combination is there from the start."""

    def __init__(self, metric: M, values: Mapping[str, tuple[str, ...]]) -> None:
        self._metric = metric
        self._values = values
        self._children = {key: metric.labels(*key) for key in itertools.product(*values.values())}

    def labels(self, **labels: str) -> M:
        """Give the series of these label values; values outside the sets share the series `other`.

        Raises:
            KeyError: A label is missing.
        """
        key = tuple(labels[name] for name in self._values)
        child = self._children.get(key)
        return self._of_unknown(key) if child is None else child

    def _of_unknown(self, key: tuple[str, ...]) -> M:
        pairs = zip(key, self._values.values(), strict=True)
        return self._metric.labels(*(value if value in known else OTHER for value, known in pairs))


class Telemetry:
    """Every metric of one process, in a registry of its own. Thread-safe.

    Figures that are cheap to read but dear to keep current (ledger, actors) are set by functions
    given to `on_scrape`, right before an exposition.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        # A `_created` series beside each counter would double the exposition and nothing reads it.
        # The library has this switch for the process only.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # not annotated there
        self.registry = CollectorRegistry()
        self._clock = clock
        self._refreshers: tuple[Callable[[], None], ...] = ()
        self._rendered: tuple[float, bytes] | None = None
        ProcessCollector(registry=self.registry)
        self._define_discovery()
        self._define_tracking()
        self._define_links()
        self._define_storage()
        self._define_feed()
        self._define_runtime()
        self._define_stores()

    def on_scrape(self, refresh: Callable[[], None]) -> None:
        """Have `refresh` called before each exposition, in the asker's thread.

        It may not block; what it raises fails the scrape.
        """
        self._refreshers = (*self._refreshers, refresh)

    def render(self) -> bytes:
        """Write the exposition in Prometheus' text format; at most one second old."""
        now = self._clock()
        if self._rendered is not None and now - self._rendered[0] < RENDER_SECONDS:
            return self._rendered[1]
        for refresh in self._refreshers:
            refresh()
        text = generate_latest(self.registry)
        self._rendered = (now, text)
        return text

    def value(self, name: str, **labels: str) -> float:
        """Read one sample by its name in the exposition, such as `unified_coins_filtered_total`.

        Raises:
            KeyError: There is no such sample.
        """
        value = self.registry.get_sample_value(name, labels)
        if value is None:
            raise KeyError(f"no sample {name} with the labels {labels}")
        return value

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
        self.trades_parked = self._counter(
            "mintwatch_trades_parked", "Trades set aside because their tracker could not take them."
        )

    def _define_links(self) -> None:
        self.ws_connected = self._gauge(
            "unified_ws_connected", "1 while the feed's socket is open."
        )
        self.db_connected = self._gauge("unified_db_connected", "1 while the database answers.")
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

    def _define_storage(self) -> None:
        self.metrics_saved = self._counter(
            "unified_metrics_saved", "Candles committed to the database."
        )
        self.db_errors = self._counters(
            "unified_db_errors", "Failed database work, by what is done about it.", type=DB_ERRORS
        )
        self.db_query_duration_seconds = self._histogram(
            "unified_db_query_duration_seconds", "Time of one database query.", _SLOW_SECONDS
        )
        self.flush_duration_seconds = self._histogram(
            "unified_flush_duration_seconds",
            "Time from a batch's begin to its commit.",
            _SLOW_SECONDS,
        )
        self.batch_rows = self._histogram(
            "mintwatch_batch_rows", "Rows in one database batch.", _ROWS
        )
        self.commit_seconds = self._histogram(
            "mintwatch_commit_seconds", "Time of one batch's transaction.", _SLOW_SECONDS
        )
        self.window_to_commit_seconds = self._histogram(
            "mintwatch_window_to_commit_seconds",
            "Time from a window's end to its row's commit.",
            _SLOW_SECONDS,
        )
        self.n8n_seconds = self._histogram(
            "mintwatch_n8n_seconds",
            "Time of one request to n8n, failed ones included.",
            _SLOW_SECONDS,
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
        self.ledger_received = self._gauge(
            "mintwatch_ledger_received", "Trades the ledger has received."
        )
        self.ledger_balanced = self._gauge(
            "mintwatch_ledger_balanced", "1 when the places add up to the trades received."
        )

    def _define_runtime(self) -> None:
        kinds = ACTOR_KINDS
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
            _FAST_SECONDS,
            kind=kinds,
        )
        self.handling_seconds = self._histograms(
            "mintwatch_handling_seconds",
            "Time of handling one message, of every 16th message.",
            _FAST_SECONDS,
            kind=kinds,
        )
        self.dispatcher_threads = self._gauge(
            "mintwatch_dispatcher_threads", "Threads that run trackers."
        )
        self.api_requests = Counter(
            "mintwatch_api_requests",
            "Requests answered, by the route's pattern.",
            ["route", "status"],
            registry=self.registry,
        )

    def _define_stores(self) -> None:
        self.journal_rows = self._counter(
            "mintwatch_journal_rows", "Records written to the journal."
        )
        self.journal_bytes = self._gauge("mintwatch_journal_bytes", "Size of the journal on disk.")
        self.journal_oldest_age_seconds = self._gauge(
            "mintwatch_journal_oldest_age_seconds", "Age of the oldest frame in the journal."
        )
        self.spool_rows = self._gauge(
            "mintwatch_spool_rows", "Rows on disk that wait for the database or n8n."
        )
        self.spool_bytes = self._gauge("mintwatch_spool_bytes", "Size of the spool on disk.")
        self.spool_oldest_age_seconds = self._gauge(
            "mintwatch_spool_oldest_age_seconds", "Age of the oldest row in the spool."
        )

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, registry=self.registry, buckets=buckets)

    def _counters(self, name: str, text: str, **values: tuple[str, ...]) -> Labelled[Counter]:
        return Labelled(Counter(name, text, list(values), registry=self.registry), values)

    def _gauges(self, name: str, text: str, **values: tuple[str, ...]) -> Labelled[Gauge]:
        return Labelled(Gauge(name, text, list(values), registry=self.registry), values)

    def _histograms(
        self, name: str, text: str, buckets: tuple[float, ...], **values: tuple[str, ...]
    ) -> Labelled[Histogram]:
        metric = Histogram(name, text, list(values), registry=self.registry, buckets=buckets)
        return Labelled(metric, values)


LOG_BURST: Final = 5
LOG_WINDOW_SECONDS: Final = 10.0
LOG_KEYS: Final = 4096
"""How many different events the limit remembers; the one unused longest is forgotten first."""
MASK: Final = "***"
SHORTEST_SECRET: Final = 4
"""Shorter secrets are not masked in logs: they occur in ordinary words and figures."""

_QUIET: Final = (
    "pykka", "yoyo", "waitress", "urllib3", "websocket", "websockets", "psycopg", "werkzeug",
)  # fmt: skip
_CONTROLS: Final = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"
}


class RateLimit:
    """Lets `burst` events of a kind through in each window and counts the rest. Thread-safe."""

    def __init__(self, burst: int, window_s: float, keys: int = LOG_KEYS) -> None:
        self._burst = burst
        self._window_s = window_s
        self._keys = keys
        self._seen: OrderedDict[tuple[str, ...], tuple[float, int]] = OrderedDict()
        # Logging handlers of all threads meet here, as they do in the lock of the stream's handler.
        self._lock = threading.Lock()

    def admit(self, key: tuple[str, ...], now_s: float) -> int | None:
        """Decide about one event.

        Returns:
            None to drop it; else how many of its kind were dropped in the window before.
        """
        with self._lock:
            started_s, count = self._seen.pop(key, (now_s, 0))
            dropped = 0
            if now_s - started_s >= self._window_s:
                dropped, started_s, count = max(0, count - self._burst), now_s, 0
            self._seen[key] = (started_s, count + 1)
            if len(self._seen) > self._keys:
                self._seen.popitem(last=False)
        return dropped if count < self._burst else None


class Redactor:
    """Replaces known secrets by `***`, in values of any depth and in the finished line."""

    def __init__(self, secrets: Iterable[str]) -> None:
        spelled = {form for text in secrets for form in (text, repr(text)[1:-1], _in_json(text))}
        known = (text for text in spelled if len(text) >= SHORTEST_SECRET)
        self._secrets = sorted(known, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Mask the secrets in a text."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def value(self, value: object) -> object:
        """Mask the secrets in texts, and in the texts that dicts, lists, tuples and sets hold."""
        match value:
            case str():
                return self.text(value)
            case bytes():
                return self.text(value.decode("utf-8", "replace"))
            case dict():
                return {self.value(key): self.value(item) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.value(item) for item in value]
            case _:
                return value


class _LimitFilter(logging.Filter):
    """Drops records past the rate limit; a record that passes says how many were dropped."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float]) -> None:
        super().__init__()
        self._limit = limit
        self._clock = clock

    def filter(self, record: logging.LogRecord) -> bool:
        suppressed = self._limit.admit(_limit_key(record), self._clock())
        record.suppressed = suppressed
        return suppressed is not None


class _Handler(logging.StreamHandler[TextIO]):
    """The one handler that `configure_logging` adds, and takes away when it is called again."""


def configure_logging(
    level: str,
    log_format: Literal["console", "json"],
    stream: TextIO,
    secrets: Iterable[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Send the logs of structlog and of the standard library to a stream, one event a line.

    Times are UTC. Of one event name and actor at most 5 lines go out in 10 s; the next one after
    that says in `suppressed` how many did not. Colours appear on a terminal only. Changes
    the configuration of the whole process; calling it again replaces what it did before.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        log_format: `console` for people, `json` for machines.
        stream: Where to; it stays open.
        secrets: Texts to mask wherever they occur, such as `settings.secret_values` gives.
        clock: Monotonic seconds, for the rate limit.
    """
    handler = _Handler(stream)
    handler.addFilter(_LimitFilter(RateLimit(LOG_BURST, LOG_WINDOW_SECONDS), clock))
    handler.setFormatter(_formatter(log_format, stream, Redactor(secrets)))
    root = logging.getLogger()
    for old in [known for known in root.handlers if isinstance(known, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # Whoever asked the pool for a connection reports the outage, once and in its own words.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[*_COMMON, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


_COMMON: Final[tuple[structlog.typing.Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def _formatter(
    log_format: Literal["console", "json"], stream: TextIO, redactor: Redactor
) -> logging.Formatter:
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(default=repr)
    if log_format == "console":
        renderer = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_COMMON, _name_logger],
        processors=[
            _say_suppressed,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # As text before the masking: a traceback is where secrets hide.
            structlog.processors.format_exc_info,
            _masking_values(redactor),
            renderer,
            _masking_line(redactor, stream.encoding or "utf-8"),
        ],
    )


def _masking_values(redactor: Redactor) -> structlog.typing.Processor:
    def mask(_logger: object, _method: str, event: EventDict) -> EventDict:
        return {key: _harmless(redactor.value(value)) for key, value in event.items()}

    return mask


def _masking_line(redactor: Redactor, encoding: str) -> structlog.typing.Processor:
    # Again on the finished line, for what only became text in it; and so that no name of a coin, be
    # it half a surrogate pair, can make the stream refuse the line.
    def mask(_logger: object, _method: str, line: object) -> str:
        return redactor.text(str(line)).encode(encoding, "backslashreplace").decode(encoding)

    return mask


def _harmless(value: object) -> object:
    """Spell out control characters, with which a coin's name could rewrite a terminal."""
    return value.translate(_CONTROLS) if isinstance(value, str) else value


def _say_suppressed(_logger: object, _method: str, event: EventDict) -> EventDict:
    suppressed = getattr(event.get("_record"), "suppressed", 0)
    return {**event, "suppressed": suppressed} if suppressed else event


def _name_logger(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {**event, "logger": event["_record"].name}


def _limit_key(record: logging.LogRecord) -> tuple[str, ...]:
    """Say what counts as the same event: its name and actor, or a library's logger and template."""
    message: object = record.msg
    if isinstance(message, dict):
        return str(message.get("event")), str(message.get("actor")), record.levelname
    return record.name, str(message), record.levelname


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]
