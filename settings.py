"""Every setting of the service: typed, bounded, read once, frozen.

`load` reads the environment it is given and a `.env` file (the environment wins) and either
returns `Settings` or raises one `SettingsError` that holds every mistake at once. `Settings(...)`
itself reads nothing but its arguments. The name of a setting is its attribute in upper case;
numbers are seconds unless the name says otherwise.
"""

from __future__ import annotations

import difflib
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import platformdirs
import psycopg
import pydantic
import re2
from dotenv.parser import parse_stream
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic_core import ErrorDetails

MASK: Final = "***"
FeedKind = Literal["pumpportal", "simulator", "replay"]
Shown = str | int | float | bool | None

_REPLAY_PREFIX: Final = "replay:"
_ALIASES: Final = {"HEALTH_PORT": "API_PORT"}
_RETIRED: Final = {
    "TRADE_BUFFER_SECONDS": "trades of a coin are kept as long as the coin, see COIN_CACHE_SECONDS"
}
_DSN_FORM: Final = (
    "a DSN such as postgresql://user:password@host:5432/database "
    "(special characters of the password percent-encoded)"
)
_DSN_SECRETS: Final = ("password", "sslpassword", "scram_client_key", "oauth_client_secret")


class SettingsError(Exception):
    """The configuration cannot be used.

    `errors` holds one sentence a mistake: the setting, what was found (never a secret), what is
    expected, what to do.
    """

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


class Secret(pydantic.Secret[str]):
    """A text that shows itself as `***`; `get_secret_value()` gives it away."""

    def _display(self) -> str:
        return MASK


def _refuse(expected: str) -> PydanticCustomError:
    """Make the error of a validator: `expected` completes "but ... is expected"."""
    return PydanticCustomError("refused", "{expected}", {"expected": expected})


def _check_feed(value: str) -> str:
    if value in {"pumpportal", "simulator"}:
        return value
    if not value.startswith(_REPLAY_PREFIX):
        raise _refuse("pumpportal, simulator or replay:FILE")
    if not Path(value.removeprefix(_REPLAY_PREFIX)).expanduser().is_file():
        raise _refuse("replay: followed by the path of a recording that exists")
    return value


def _check_state_dir(value: Path) -> Path:
    path = value.expanduser()
    if path.exists() and not path.is_dir():
        raise _refuse("a folder, existing or not,")
    return path


def _check_ws_uri(value: str) -> str:
    parts = _split(value)
    if parts is None or parts[0] not in {"ws", "wss"}:
        raise _refuse("an address that begins with wss:// or ws:// and names a host")
    return value


def _check_url(value: Secret) -> Secret:
    parts = _split(value.get_secret_value())
    if parts is None or parts[0] not in {"http", "https"}:
        raise _refuse("an address that begins with https:// or http:// and names a host")
    return value


def _split(url: str) -> tuple[str, str] | None:
    """Split an address into scheme and host; None without a host, with a bad port or blanks."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return None
    if not parts.hostname or not port_is_valid or any(c.isspace() for c in url):
        return None
    return parts.scheme, parts.hostname


def _check_dsn(value: Secret) -> Secret:
    dsn = value.get_secret_value()
    if MASK in dsn:
        raise _refuse("the real password instead of ***")
    try:
        ports = str(conninfo_to_dict(dsn).get("port", ""))
    except psycopg.Error:
        raise _refuse(_DSN_FORM) from None
    # libpq looks at the port only when it connects.
    if not all(port.isascii() and port.isdigit() for port in ports.split(",") if port):
        raise _refuse(_DSN_FORM)
    return value


def _check_api_key(value: Secret) -> Secret:
    if not _is_visible_ascii(value.get_secret_value()):
        raise _refuse("a key of visible ASCII characters without blanks")
    return value


def _check_token(value: Secret) -> Secret:
    if not _is_visible_ascii(value.get_secret_value()):
        raise _refuse("a token of visible ASCII characters without blanks")
    return value


def _check_header(value: Secret) -> Secret:
    name, colon, content = value.get_secret_value().partition(":")
    if not colon or not _is_visible_ascii(name) or not content.strip() or not content.isprintable():
        raise _refuse("a header in the form 'Name: value'")
    return value


def _is_visible_ascii(text: str) -> bool:
    return bool(text) and all("!" <= c <= "~" for c in text)


def _check_pattern(value: str) -> str:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    try:
        pattern = re2.compile(value, options)
    except re2.error:
        raise _refuse("a regular expression of RE2 (no look-around, no back-references)") from None
    if pattern.search("") is not None:
        raise _refuse("a pattern that does not match every name (is there a bar too many?)")
    return value


def _check_host(value: str) -> str:
    if not value or any(c.isspace() or c in "/@" for c in value):
        raise _refuse("an IP address or a host name, without port or scheme,")
    return value


def _split_hosts(value: object) -> object:
    if isinstance(value, str):
        return tuple(host.strip().lower() for host in value.split(",") if host.strip())
    return value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _default_state_dir() -> Path:
    return Path(platformdirs.user_state_dir("mintwatch", appauthor=False))


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Sol = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
PositiveSol = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]


class Settings(BaseSettings):
    """The values in force. Immutable; built by `load` in the service and by keyword in tests."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True
    )

    feed: Annotated[str, AfterValidator(_check_feed)] = "pumpportal"
    """What is read: `pumpportal`, `simulator` or `replay:FILE`."""
    state_dir: Annotated[Path, AfterValidator(_check_state_dir)] = Field(
        default_factory=_default_state_dir
    )
    ws_uri: Annotated[str, AfterValidator(_check_ws_uri)] = "wss://pumpportal.fun/api/data"
    """Without the API key, which is added from `pumpportal_api_key`."""
    pumpportal_api_key: Annotated[Secret, AfterValidator(_check_api_key)] | None = None
    ws_retry_delay: Seconds = 3.0
    ws_max_retry_delay: Seconds = 60.0
    ws_connection_timeout: Seconds = 60.0
    """Age of the last data frame from which the feed counts as silent."""
    ws_ping_interval: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 20.0
    """0: no pings."""
    ws_ping_timeout: Seconds = 5.0
    ws_close_timeout: Seconds = 10.0
    subscribe_batch_size: Annotated[int, Field(ge=1, le=5000)] = 50
    """Keys in one subscribe call."""
    subscribe_batch_interval: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 2.0

    db_dsn: Annotated[Secret, AfterValidator(_check_dsn)] | None = None
    """None: the embedded PostgreSQL."""
    db_refresh_interval: Annotated[int, Field(ge=5, le=300)] = 10
    db_pool_min: Annotated[int, Field(ge=1, le=1000)] = 1
    db_pool_max: Annotated[int, Field(ge=1, le=1000)] = 10
    db_statement_timeout: Seconds = 30.0
    db_batch_size: Annotated[int, Field(ge=1, le=50_000)] = 2000
    """Rows from which a batch is written at once."""
    db_batch_timeout_ms: Annotated[int, Field(ge=1, le=60_000)] = 200

    n8n_webhook_url: Annotated[Secret, AfterValidator(_check_url)] | None = None
    """Secret because it can hold credentials; `mask_url` shows the rest. None: n8n is off."""
    n8n_webhook_method: Annotated[Literal["POST", "GET"], BeforeValidator(_upper)] = "POST"
    n8n_auth_header: Annotated[Secret, AfterValidator(_check_header)] | None = None
    """`Name: value`, sent with every n8n request."""
    n8n_timeout: Seconds = 10.0
    batch_size: Annotated[int, Field(ge=1, le=100)] = 10
    """Coins in one n8n batch."""
    batch_timeout: Annotated[int, Field(ge=10, le=300)] = 30

    coin_cache_seconds: Annotated[int, Field(ge=10, le=3600)] = 120
    coin_cache_max: Annotated[int, Field(ge=1, le=1_000_000)] = 5000
    bad_names_pattern: Annotated[str, Field(max_length=4096), AfterValidator(_check_pattern)] = (
        "test|bot|rug|scam|cant|honey|faucet"
    )
    """Under google-re2, case-insensitive."""
    spam_burst_window: Annotated[int, Field(ge=5, le=300)] = 30
    spam_burst_threshold: Annotated[int, Field(ge=1, le=1000)] = 3
    activation: Annotated[Literal["external", "trades"], BeforeValidator(_lower)] = "external"
    activation_min_trades: Annotated[int, Field(ge=0, le=4096)] = 3
    """0: at the create."""
    max_trackers: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000

    sol_reserves_initial: Sol = 30.0
    sol_reserves_full: PositiveSol = 85.0
    whale_threshold_sol: PositiveSol = 1.0
    koth_market_cap_sol: Sol = 200.0
    age_calculation_offset_min: Annotated[int, Field(ge=0, le=10_080)] = 0
    ath_flush_interval: Seconds = 5.0
    watchdog_seconds: Seconds = 600.0
    stall_seconds: Seconds = 5.0
    drain_timeout: Seconds = 20.0

    journal_fsync: Annotated[Literal["second", "slice", "never"], BeforeValidator(_lower)] = (
        "second"
    )
    journal_max_mb: Annotated[int, Field(ge=1, le=10_000_000)] = 5120
    journal_max_hours: Annotated[float, Field(gt=0, le=87_600, allow_inf_nan=False)] = 24.0
    spool_max_mb: Annotated[int, Field(ge=1, le=10_000_000)] = 1024

    api_host: Annotated[str, AfterValidator(_check_host)] = "127.0.0.1"
    api_port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    """0: any free port."""
    api_token: Annotated[Secret, AfterValidator(_check_token)] | None = None
    api_allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(_split_hosts)] = ()
    """Host names the API answers to besides the loopback ones; without ports, comma-separated."""

    store_trades: bool = False
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = (
        "INFO"
    )
    log_format: Annotated[Literal["console", "json"], BeforeValidator(_lower)] = "console"

    _warnings: tuple[str, ...] = pydantic.PrivateAttr(default=())

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
    def feed_kind(self) -> FeedKind:
        """Which source the connection reads."""
        if self.feed.startswith(_REPLAY_PREFIX):
            return "replay"
        return "simulator" if self.feed == "simulator" else "pumpportal"

    @property
    def replay_path(self) -> Path | None:
        """The recording to replay; None unless `feed_kind` is `replay`."""
        if self.feed_kind != "replay":
            return None
        return Path(self.feed.removeprefix(_REPLAY_PREFIX)).expanduser()

    def with_warnings(self, warnings: Iterable[str]) -> Self:
        """Return the same settings with these warnings."""
        copy = self.model_copy()
        copy._warnings = tuple(warnings)  # noqa: SLF001 - a copy of ourselves
        return copy


NAMES: Final = tuple(name.upper() for name in Settings.model_fields)
"""Every setting, in the order of the table above."""


@dataclass(slots=True)
class _Findings:
    """What was read so far: raw texts by attribute name, mistakes and warnings."""

    values: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def load(environ: Mapping[str, str], env_file: Path | None = None) -> Settings:
    """Read the settings from an environment and a `.env` file, of which the environment wins.

    A blank value counts as not set, except for BAD_NAMES_PATTERN, where it is refused. A file that
    does not exist has no settings. No `${...}` is expanded in the file. Reads the disk for the
    file, for FEED and for STATE_DIR; writes nothing.

    Raises:
        SettingsError: With every mistake found, not only the first.
    """
    findings = _Findings()
    if env_file is not None:
        _take(findings, _read_env_file(env_file, findings), str(env_file))
    _take(findings, {k: v for k, v in environ.items() if _is_known(k)}, "the environment")
    settings, refused = _validate(findings)
    findings.errors += _sentences(settings, refused)
    if findings.errors:
        raise SettingsError(findings.errors)
    return settings.with_warnings([*findings.warnings, *_doubts(settings)])


def conflicts(settings: Settings) -> tuple[str, ...]:
    """Say which settings contradict each other, one sentence each. Empty: none do."""
    return tuple(_sentences(settings, frozenset()))


def describe(settings: Settings) -> dict[str, Shown]:
    """List the effective values by setting name, with secrets masked."""
    return {name: _shown(name, getattr(settings, name.lower())) for name in NAMES}


def secret_values(settings: Settings) -> tuple[str, ...]:
    """List every text that may never reach a log line, longest first.

    These are the secrets and the parts of them that leak alone: the passwords of the DSN and of the
    webhook address, as written and percent-decoded, and the value of the header.
    """
    found: set[str] = set()
    for secret in (settings.pumpportal_api_key, settings.api_token, settings.n8n_auth_header):
        if secret is not None:
            found.add(secret.get_secret_value())
    if settings.n8n_auth_header is not None:
        found |= _header_parts(settings.n8n_auth_header.get_secret_value())
    if settings.db_dsn is not None:
        found |= _dsn_parts(settings.db_dsn.get_secret_value())
    if settings.n8n_webhook_url is not None:
        found |= _url_parts(settings.n8n_webhook_url.get_secret_value())
    spelled = found | {quote(text, safe="") for text in found}
    return tuple(sorted((text for text in spelled if text), key=lambda text: (-len(text), text)))


def mask_dsn(dsn: str) -> str:
    """Show a PostgreSQL DSN in the form it has (address or key=value), its passwords as `***`.

    What libpq itself cannot read is masked as a whole.
    """
    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    except psycopg.Error:
        return MASK
    masked = {key: MASK if key in _DSN_SECRETS else value for key, value in parts.items()}
    if dsn.lstrip().startswith(("postgresql://", "postgres://")):
        return _dsn_url(masked)
    return make_conninfo(**masked)


def mask_url(url: str) -> str:
    """Show an address with the password, and every value of its query, as `***`.

    Queries are masked whole, because webhooks carry tokens there under any name. What is not an
    address with a host is masked as a whole.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    if not parts.netloc:
        return MASK
    host = parts.netloc.rpartition("@")[2]
    if "@" in parts.netloc:
        host = f"{MASK}@{host}"
    query = urlencode(
        [(key, MASK) for key, _ in parse_qsl(parts.query, keep_blank_values=True)], safe="*"
    )
    if parts.query and not query:
        query = MASK
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine alone: `localhost` or a loopback address."""
    if host.lower() in {"localhost", "ip6-localhost"}:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def suggest(name: str, known: Iterable[str] = NAMES) -> str:
    """Return ` Did you mean X?` for a misspelled name; empty when nothing is close."""
    close = difflib.get_close_matches(name.upper(), list(known), n=1, cutoff=0.7)
    return f" Did you mean {close[0]}?" if close else ""


def _is_known(name: str) -> bool:
    return name in NAMES or name in _ALIASES


def _read_env_file(path: Path, findings: _Findings) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        findings.errors.append(
            f"{path} cannot be read ({type(error).__name__}): make it a readable file in UTF-8, "
            "or remove it."
        )
        return {}
    read: dict[str, str] = {}
    for binding in bindings:
        if binding.error:
            findings.errors.append(
                f"Line {binding.original.line} of {path} is not in the form NAME=value: "
                "correct or remove it."
            )
        elif binding.key is not None and _is_wanted(binding.key, path, findings):
            read[binding.key] = binding.value or ""
    return read


def _is_wanted(key: str, path: Path, findings: _Findings) -> bool:
    """Say whether a key of the file is a setting; if not, warn."""
    if _is_known(key):
        return True
    if key in _RETIRED:
        findings.warnings.append(f"{key} in {path} has no effect any more: {_RETIRED[key]}.")
    else:
        findings.warnings.append(
            f"{key} in {path} is not a setting and has no effect.{suggest(key)}"
        )
    return False


def _take(findings: _Findings, found: Mapping[str, str], source: str) -> None:
    """Add the texts of one source, which win over those added before."""
    for alias, name in _ALIASES.items():
        given = {found[key].strip() for key in (alias, name) if found.get(key, "").strip()}
        if len(given) > 1:
            findings.errors.append(
                f"{alias} and {name} have different values in {source}, though both name the same: "
                "keep one of them."
            )
    for key, value in sorted(found.items(), key=lambda item: item[0] not in _ALIASES):
        if value.strip() or key == "BAD_NAMES_PATTERN":
            findings.values[_ALIASES.get(key, key).lower()] = value


def _validate(findings: _Findings) -> tuple[Settings, frozenset[str]]:
    """Build the settings and name the refused ones, which are replaced by their defaults.

    So the checks across settings still run on the others.
    """
    values: dict[str, Any] = dict(findings.values)
    try:
        return Settings(**values), frozenset()
    except pydantic.ValidationError as error:
        mistakes = {str(e["loc"][0]): e for e in error.errors(include_url=False)}
    findings.errors += [_sentence(name, e, findings.values[name]) for name, e in mistakes.items()]
    good = {name: value for name, value in values.items() if name not in mistakes}
    return Settings(**good), frozenset(mistakes)


def _sentence(name: str, error: ErrorDetails, found: str) -> str:
    shown = MASK if _is_secret(name) else _shown(name.upper(), found)
    default = _shown(
        name.upper(), Settings.model_fields[name].get_default(call_default_factory=True)
    )
    remedy = "leave it out" if default is None else f"leave it out for {default}"
    value = repr(shown) if isinstance(shown, str) and shown != MASK else shown
    expected = _expected(name, error)
    return f"{name.upper()} is {value}, but {expected} is expected: correct it, or {remedy}."


def _is_secret(name: str) -> bool:
    return "Secret" in str(Settings.model_fields[name].annotation)


def _expected(name: str, error: ErrorDetails) -> str:
    kind = str(error["type"])
    if kind == "refused":
        return str(error["ctx"]["expected"])
    if kind == "literal_error":
        return str(error["ctx"]["expected"]).replace("'", "")
    annotation = Settings.model_fields[name].annotation
    if annotation is bool:
        return "true or false"
    if annotation in {int, float}:
        return _number(name)
    return "a text that fits"


def _number(name: str) -> str:
    """Say the bounds of a number, such as "a whole number from 10 to 3600"."""
    info = Settings.model_fields[name]
    noun = "a whole number" if info.annotation is int else "a number"
    limits = {
        kind: getattr(m, kind)
        for m in info.metadata
        for kind in ("gt", "ge", "le")
        if hasattr(m, kind)
    }
    low = f"above {limits['gt']:g} and" if "gt" in limits else f"from {limits['ge']:g}"
    return f"{noun} {low} {'up ' if 'gt' in limits else ''}to {limits['le']:.0f}"


def _sentences(settings: Settings, refused: frozenset[str]) -> list[str]:
    """Check what spans several settings, leaving out checks that involve a refused one."""
    return [
        sentence
        for names, check in _CONFLICTS
        if not refused.intersection(names) and (sentence := check(settings)) is not None
    ]


def _pool_conflict(settings: Settings) -> str | None:
    if settings.db_pool_min <= settings.db_pool_max:
        return None
    return (
        f"DB_POOL_MIN is {settings.db_pool_min}, but at most DB_POOL_MAX, which is "
        f"{settings.db_pool_max}, is expected: lower the first or raise the second."
    )


def _retry_conflict(settings: Settings) -> str | None:
    if settings.ws_retry_delay <= settings.ws_max_retry_delay:
        return None
    return (
        f"WS_RETRY_DELAY is {settings.ws_retry_delay:g}, but at most WS_MAX_RETRY_DELAY, which is "
        f"{settings.ws_max_retry_delay:g}, is expected: lower the first or raise the second."
    )


def _exposure_conflict(settings: Settings) -> str | None:
    if is_loopback(settings.api_host) or settings.api_token is not None:
        return None
    return (
        f"API_HOST is {settings.api_host!r}, which others can reach, but API_TOKEN is not set: "
        "set API_TOKEN to a long random text, or leave API_HOST out for 127.0.0.1."
    )


def _uri_conflict(settings: Settings) -> str | None:
    parts = urlsplit(settings.ws_uri)
    keys = {key.lower() for key, _ in parse_qsl(parts.query, keep_blank_values=True)}
    if "@" not in parts.netloc and "api-key" not in keys:
        return None
    return (
        f"WS_URI holds a secret ({MASK}), but an address without one is expected: "
        "move the key to PUMPPORTAL_API_KEY and take it out of WS_URI."
    )


_CONFLICTS: Final[tuple[tuple[tuple[str, ...], Callable[[Settings], str | None]], ...]] = (
    (("db_pool_min", "db_pool_max"), _pool_conflict),
    (("ws_retry_delay", "ws_max_retry_delay"), _retry_conflict),
    (("api_host", "api_token"), _exposure_conflict),
    (("ws_uri",), _uri_conflict),
)


def _doubts(settings: Settings) -> list[str]:
    """Say what works but is probably not meant."""
    parts = urlsplit(settings.ws_uri)
    if (
        settings.pumpportal_api_key
        and parts.scheme == "ws"
        and not is_loopback(parts.hostname or "")
    ):
        return [
            "PUMPPORTAL_API_KEY is sent unencrypted, because WS_URI begins with ws://: use wss://."
        ]
    return []


def _shown(name: str, value: object) -> Shown:
    """Turn a value into what may be shown of it."""
    match value:
        case Secret():
            return _shown_secret(name, value.get_secret_value())
        case tuple():
            return ",".join(value)
        case bool() | int() | float() | None:
            return value
        case _:
            return mask_url(str(value)) if name == "WS_URI" else str(value)


def _shown_secret(name: str, text: str) -> str:
    if name == "DB_DSN":
        return mask_dsn(text)
    return mask_url(text) if name == "N8N_WEBHOOK_URL" else MASK


def _dsn_url(parts: Mapping[str, str]) -> str:
    """Write the parts of a DSN as an address, in which a masked password stays readable."""
    rest = dict(parts)
    user, password = rest.pop("user", ""), rest.pop("password", None)
    hosts, ports = rest.pop("host", "").split(","), rest.pop("port", "").split(",")
    ports += [ports[-1]] * (len(hosts) - len(ports))
    places = ",".join(
        f"{_url_host(h)}:{p}" if p else _url_host(h) for h, p in zip(hosts, ports, strict=False)
    )
    who = quote(user, safe="") + ("" if password is None else f":{MASK}")
    name = quote(rest.pop("dbname", ""), safe="")
    query = f"?{urlencode(rest, safe='*')}" if rest else ""
    return f"postgresql://{who}{'@' if who else ''}{places}/{name}{query}"


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else quote(host, safe="")


def _dsn_parts(dsn: str) -> set[str]:
    parts = conninfo_to_dict(dsn)
    secrets = {str(parts[key]) for key in _DSN_SECRETS if parts.get(key)}
    return secrets | {dsn} if secrets else set()


def _url_parts(url: str) -> set[str]:
    parts = urlsplit(url)
    found = {value for _, value in parse_qsl(parts.query)}
    if parts.password:
        found |= {parts.password, unquote(parts.password), parts.netloc.rpartition("@")[0]}
    elif parts.username:
        found |= {parts.username, unquote(parts.username)}
    return found


def _header_parts(header: str) -> set[str]:
    content = header.partition(":")[2].strip()
    return {content, content.rpartition(" ")[2]}
