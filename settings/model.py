"""The table of settings: name, type, bounds and default of each."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

import platformdirs
import pydantic
from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from settings.errors import nearest
from settings.masking import (
    Secret,
    Shown,
    shown,
    texts_of_dsn,
    texts_of_header,
    texts_of_url,
)
from settings.values import (
    REPLAY_PREFIX,
    Activation,
    Announcement,
    ApiKey,
    Dsn,
    Feed,
    FeedKind,
    Fsync,
    Header,
    Host,
    Hosts,
    LogFormat,
    LogLevel,
    Megabytes,
    Method,
    PathPrefix,
    Pattern,
    PositiveSol,
    QuietSeconds,
    Seconds,
    SecondsOrNever,
    Sol,
    StateDir,
    Token,
    WebhookUrl,
    WholeSeconds,
    WsUri,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

DEFAULT: Final = "default"


def _default_state_dir() -> Path:
    return Path(platformdirs.user_state_dir("mintwatch", appauthor=False))


class Settings(BaseSettings):
    """The values in force. Immutable; built by `load` in the service and by keyword in tests."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True
    )

    feed: Feed = "pumpportal"
    """What is read: `pumpportal`, `simulator` or `replay:FILE`."""
    state_dir: StateDir = Field(default_factory=_default_state_dir)
    ws_uri: WsUri = "wss://pumpportal.fun/api/data"
    """Without the API key, which is added from `pumpportal_api_key`."""
    pumpportal_api_key: ApiKey | None = None
    ws_retry_delay: Seconds = 3.0
    ws_max_retry_delay: Seconds = 60.0
    ws_connection_timeout: WholeSeconds = 60.0
    """Age of the last data frame from which the feed counts as silent."""
    ws_ping_interval: SecondsOrNever = 20.0
    """0: no pings."""
    ws_ping_timeout: Seconds = 5.0
    ws_close_timeout: Seconds = 10.0
    subscribe_batch_size: Annotated[int, Field(ge=1, le=5000)] = 50
    """Keys in one subscribe call."""
    subscribe_batch_interval: Annotated[float, Field(ge=0.01, le=3600, allow_inf_nan=False)] = 2.0

    db_dsn: Dsn | None = None
    """None: the embedded PostgreSQL."""
    db_refresh_interval: Annotated[int, Field(ge=5, le=300)] = 10
    db_pool_min: Annotated[int, Field(ge=1, le=1000)] = 1
    db_pool_max: Annotated[int, Field(ge=1, le=1000)] = 10
    db_statement_timeout: Seconds = 30.0
    db_batch_size: Annotated[int, Field(ge=1, le=50_000)] = 2000
    """Rows from which a batch is written at once."""
    db_batch_timeout_ms: Annotated[int, Field(ge=1, le=60_000)] = 200
    postgres_writers: Annotated[int, Field(ge=1, le=16)] = 1
    """Writers that share the mints. Each has a thread and connections of its own, of which a
    PostgreSQL grants 100 by default: 16 of them leave room for others."""

    n8n_webhook_url: WebhookUrl | None = None
    """Secret because it can hold credentials; `mask_url` shows the rest. None: n8n is off."""
    n8n_webhook_method: Method = "POST"
    n8n_auth_header: Header | None = None
    """`Name: value`, sent with every n8n request."""
    n8n_timeout: Seconds = 10.0
    batch_size: Annotated[int, Field(ge=1, le=100)] = 10
    """Coins in one n8n batch."""
    batch_timeout: Annotated[int, Field(ge=10, le=300)] = 30

    coin_cache_seconds: Annotated[int, Field(ge=10, le=3600)] = 120
    coin_cache_max: Annotated[int, Field(ge=1, le=1_000_000)] = 5000
    bad_names_pattern: Pattern = "test|bot|rug|scam|cant|honey|faucet"
    """Under google-re2, case-insensitive."""
    spam_burst_window: Annotated[int, Field(ge=5, le=300)] = 30
    spam_burst_threshold: Annotated[int, Field(ge=1, le=1000)] = 3
    activation: Activation = "external"
    activation_min_trades: Annotated[int, Field(ge=0, le=4096)] = 3
    """0: at the create."""
    max_trackers: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000

    sol_reserves_initial: Sol = 30.0
    sol_reserves_full: PositiveSol = 85.0
    whale_threshold_sol: PositiveSol = 1.0
    koth_market_cap_sol: Sol = 200.0
    age_calculation_offset_min: Annotated[int, Field(ge=0, le=10_080)] = 0
    ath_flush_interval: Seconds = 5.0
    watchdog_seconds: QuietSeconds = 600.0
    stall_seconds: Seconds = 5.0
    quarantine_seconds: SecondsOrNever = 600.0
    """After how long a quarantined tracker is tried again; 0: only when an operator says so."""
    dispatcher_threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads that run the trackers. They share one interpreter: more of them help only while some
    wait, and past 64 they only take turns."""
    why_keep_hours: Annotated[float, Field(ge=0, le=720, allow_inf_nan=False)] = 24.0
    """How long the timeline of a coin is kept once it is not tracked any more. At most 30 days,
    because it is kept in memory."""
    drain_timeout: WholeSeconds = 20.0
    audit_interval: SecondsOrNever = 60.0
    """Between two samples that the auditor takes; 0: never."""

    journal_fsync: Fsync = "second"
    journal_max_mb: Megabytes = 5120
    journal_max_hours: Annotated[float, Field(ge=0.01, le=87_600, allow_inf_nan=False)] = 24.0
    spool_max_mb: Megabytes = 1024

    api_host: Host = "127.0.0.1"
    api_port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    """0: any free port."""
    api_token: Token | None = None
    api_allowed_hosts: Hosts = ()
    """Host names the API answers to besides the loopback ones; without ports, comma-separated."""
    api_prefix: PathPrefix | None = None
    """Where the paths of pump-platform are served besides ours."""

    store_trades: bool = False
    notify_candles: Announcement = "off"
    """What is notified on the channel `coin_metrics_insert`: nothing, each new row, each commit."""
    log_level: LogLevel = "INFO"
    log_format: LogFormat = "console"

    _warnings: tuple[str, ...] = pydantic.PrivateAttr(default=())
    _sources: dict[str, str] = pydantic.PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature of pydantic-settings
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature of pydantic-settings
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature of pydantic-settings
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature of pydantic-settings
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing but the arguments: `load` is told which environment and which file count."""
        return (init_settings,)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What `load` noticed and let pass, one sentence each, for the log."""
        return self._warnings

    @property
    def sources(self) -> Mapping[str, str]:
        """Where values come from, by attribute; what is not named is a default or a keyword's."""
        return MappingProxyType(self._sources)

    @property
    def feed_kind(self) -> FeedKind:
        """Which source the connection reads."""
        if self.feed.startswith(REPLAY_PREFIX):
            return "replay"
        return "simulator" if self.feed == "simulator" else "pumpportal"

    @property
    def replay_path(self) -> Path | None:
        """The recording to replay; None unless `feed_kind` is `replay`."""
        if self.feed_kind != "replay":
            return None
        return Path(self.feed.removeprefix(REPLAY_PREFIX)).expanduser()

    def with_warnings(self, warnings: Iterable[str]) -> Self:
        """Return the same settings with these warnings."""
        copy = self.model_copy()
        copy._warnings = tuple(warnings)  # noqa: SLF001 - a copy of ourselves
        return copy

    def with_sources(self, sources: Mapping[str, str]) -> Self:
        """Return the same settings with these sources, by attribute."""
        copy = self.model_copy()
        copy._sources = dict(sources)  # noqa: SLF001 - a copy of ourselves
        return copy

    def with_values(self, values: Mapping[str, Any], given_back: Iterable[str]) -> Self:
        """Return the same settings with other values, which have been validated.

        Those of `given_back` do not count as set.
        """
        copy = self.model_copy(update=dict(values))
        copy.model_fields_set.difference_update(given_back)
        return copy


NAMES: Final = tuple(name.upper() for name in Settings.model_fields)
"""Every setting, in the order of the table above."""


def suggest(name: str, known: Iterable[str] = NAMES) -> str:
    """Return ` Did you mean X?` for a misspelled name; empty when nothing is close."""
    return nearest(name, known)


def describe(settings: Settings) -> dict[str, Shown]:
    """List the effective values by setting name, with secrets masked."""
    return {name: shown(name, getattr(settings, name.lower())) for name in NAMES}


def sources(settings: Settings) -> dict[str, str]:
    """List where each value comes from, by setting name.

    `default`, `the environment`, the path of the `.env` file, or `settings.json` for what was
    changed while the service ran.
    """
    return {name: settings.sources.get(name.lower(), DEFAULT) for name in NAMES}


def secret_values(settings: Settings) -> tuple[str, ...]:
    """List every text that may never reach a log line, longest first.

    These are the secrets and the parts of them that leak alone: those of the DSN and of the
    addresses of webhook and feed, as written and percent-decoded, and the value of the header. The
    redactor adds the other forms in which they turn up.
    """
    found: set[str] = set()
    for secret in (settings.pumpportal_api_key, settings.api_token):
        found |= _parts(secret, lambda text: {text})
    found |= _parts(settings.n8n_auth_header, texts_of_header)
    found |= _parts(settings.db_dsn, texts_of_dsn)
    found |= _parts(settings.n8n_webhook_url, texts_of_url) | texts_of_url(settings.ws_uri)
    return tuple(sorted(found - {""}, key=lambda text: (-len(text), text)))


def _parts(secret: Secret | None, parts: Callable[[str], set[str]]) -> set[str]:
    return set() if secret is None else parts(secret.get_secret_value())
