"""Which settings can be changed while the service runs, and how a change comes into force.

| settings | a change acts | because |
|---|---|---|
| WS_RETRY_DELAY, WS_MAX_RETRY_DELAY, WS_CONNECTION_TIMEOUT, WS_PING_*, WS_CLOSE_TIMEOUT | at once | they are read when a wait begins |
| SUBSCRIBE_BATCH_SIZE, SUBSCRIBE_BATCH_INTERVAL | with the next call | a call that is sent is not taken back |
| DB_REFRESH_INTERVAL, DB_BATCH_SIZE, DB_BATCH_TIMEOUT_MS | with the next poll or batch | nothing depends on the last one's size |
| POSTGRES_WRITERS, DISPATCHER_THREADS, MAX_TRACKERS | at once | resizing hands mints and threads over |
| N8N_*, BATCH_SIZE, BATCH_TIMEOUT | with the next request or batch | a batch on disk keeps its members |
| COIN_CACHE_*, BAD_NAMES_PATTERN, SPAM_BURST_*, ACTIVATION* | with the next coin | decided for each coin alone |
| SOL_RESERVES_*, WHALE_THRESHOLD_SOL, KOTH_MARKET_CAP_SOL, AGE_CALCULATION_OFFSET_MIN | with each coin's next window | one candle is counted by one rule |
| ATH_FLUSH_INTERVAL, WATCHDOG_SECONDS, STALL_SECONDS, QUARANTINE_SECONDS, WHY_KEEP_HOURS, DRAIN_TIMEOUT, AUDIT_INTERVAL | at once | they are read when a wait begins |
| LOG_LEVEL | at once | nothing is kept of it |
| DB_DSN | by a restart | rows of one mint must not be under way to two databases |
| DB_POOL_*, DB_STATEMENT_TIMEOUT | by a restart | connections are opened with them |
| WS_URI, PUMPPORTAL_API_KEY | by a restart | another feed must not continue the windows of this one |
| JOURNAL_*, SPOOL_MAX_MB | by a restart | the files are opened with them, and recovery relies on them |
| STORE_TRADES | by a restart | a window's trades are written whole or not at all |
| NOTIFY_CANDLES | by a restart | the writers' sessions are opened with it |
| FEED, STATE_DIR, API_*, LOG_FORMAT | only from the environment | they decide where the changes lie, who may make them, and who reads the log |
"""  # noqa: E501 - a table

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from settings.errors import nearest
from settings.model import Settings
from settings.other_names import RETIRED, SUCCESSOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RESTARTS: Final = frozenset(
    {
        "db_dsn", "db_pool_min", "db_pool_max", "db_statement_timeout",
        "ws_uri", "pumpportal_api_key",
        "journal_fsync", "journal_max_mb", "journal_max_hours", "spool_max_mb",
        "store_trades", "notify_candles",
    }
)  # fmt: skip
"""Attributes whose change acts by a drained restart."""
FIXED: Final = frozenset(
    {
        "feed", "state_dir", "log_format",
        "api_host", "api_port", "api_token", "api_allowed_hosts", "api_prefix",
    }
)  # fmt: skip
"""Attributes that only the environment sets."""
LIVE: Final = frozenset(Settings.model_fields) - RESTARTS - FIXED
"""Attributes whose change acts without a restart."""

_OPTIONAL: Final = frozenset(
    name for name, info in Settings.model_fields.items() if info.default is None
)


def wanted_changes(changes: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Sort changes into values for `Settings`, by attribute, and one sentence for each mistake.

    Values are not validated here. A blank text stands for none, where none is possible.
    """
    values: dict[str, Any] = {}
    errors: list[str] = []
    for name, value in changes.items():
        refusal = _refusal(name, value)
        if refusal is None:
            is_none = name in _OPTIONAL and isinstance(value, str) and not value.strip()
            values[name] = None if is_none else value
        else:
            errors.append(refusal)
    return values, errors


def restarts(names: Iterable[str]) -> bool:
    """Say whether a change of these attributes acts only by a restart."""
    return not RESTARTS.isdisjoint(names)


def _refusal(name: str, value: object) -> str | None:
    if name in FIXED:
        return (
            f"{name.upper()} cannot be changed while the service runs: set it in the environment "
            "or the .env file, and start mintwatch again."
        )
    if name.islower() and (retired := RETIRED.get(name.upper())):
        return f"{name} has no effect any more: {retired.because}, see {retired.instead.lower()}."
    if name not in Settings.model_fields:
        return f"{_bounded(name)} is not a setting.{_meant(name)}"
    if isinstance(value, bool) and Settings.model_fields[name].annotation is not bool:
        return (
            f"{name.upper()} is {str(value).lower()}, but no truth value is expected: correct it."
        )
    return None


def _meant(name: str) -> str:
    ours = SUCCESSOR.get(name.upper())
    return f" Did you mean {ours.lower()}?" if ours else nearest(name, LIVE | RESTARTS)


def _bounded(name: str) -> str:
    return repr(name[:64])
