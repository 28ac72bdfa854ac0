"""What may be shown of a secret, and which texts may be shown nowhere. Pure.

Purpose: one place that knows what is secret, for every output: the command line, logs, errors,
answers of the API, crash reports.
Guarantees: what is not known to be harmless is masked. So a parameter that libpq learns next is
masked, and so is an option of the server, a query value, a fragment, or a text that nobody can
read. `mask_dsn` and `mask_url` are for addresses as such; `texts_of_dsn`, `texts_of_url` and
`texts_of_header` list what has to be taken out of other people's texts, which `hide` does.
A text that we cut, with `cut`, ends in `CUT`: `hide` looks for the beginning of a secret there.
Not guaranteed: that a secret is found in a text that others have cut or wrapped; `hide_cut` finds
one that is cut off at the end.
"""

from __future__ import annotations

import base64
import html
import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import (
    SplitResult,
    quote,
    quote_plus,
    unquote,
    unquote_plus,
    urlencode,
    urlsplit,
    urlunsplit,
)

import psycopg
import pydantic
from psycopg.conninfo import conninfo_to_dict, make_conninfo

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

MASK: Final = "***"
SHORTEST_SECRET: Final = 4
CUT: Final = "..."
"""At the end of a text that was cut."""
_CUTS: Final = re.compile(r"""(["']?\.\.\.)""")
"""Shorter secrets are not taken out of texts: they occur in ordinary words and figures."""
Shown = str | int | float | bool | None

_HARMLESS_PARAMETERS: Final = frozenset(
    {
        "application_name", "channel_binding", "client_encoding", "connect_timeout", "dbname",
        "fallback_application_name", "gssdelegation", "gssencmode", "gsslib", "host", "hostaddr",
        "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "krbsrvname",
        "load_balance_hosts", "max_protocol_version", "min_protocol_version", "oauth_client_id",
        "oauth_scope", "passfile", "port", "replication", "require_auth", "requirepeer", "service",
        "servicefile", "ssl_max_protocol_version", "ssl_min_protocol_version", "sslcert",
        "sslcertmode", "sslcompression", "sslcrl", "sslcrldir", "sslkey", "sslkeylogfile",
        "sslmode", "sslnegotiation", "sslrootcert", "sslsni", "target_session_attrs",
        "tcp_user_timeout", "user",
    }
)  # fmt: skip
"""Parameters of libpq 18 that are shown as they are. Of files the path is shown."""
_HARMLESS_OPTIONS: Final = frozenset(
    {
        "application_name", "bytea_output", "client_encoding", "client_min_messages", "datestyle",
        "default_tablespace", "default_transaction_deferrable", "default_transaction_isolation",
        "default_transaction_read_only", "effective_cache_size", "extra_float_digits",
        "idle_in_transaction_session_timeout", "idle_session_timeout", "intervalstyle", "jit",
        "lock_timeout", "maintenance_work_mem", "plan_cache_mode", "random_page_cost", "role",
        "search_path", "statement_timeout", "synchronous_commit", "tcp_keepalives_count",
        "tcp_keepalives_idle", "tcp_keepalives_interval", "temp_buffers", "temp_tablespaces",
        "timezone", "transaction_timeout", "work_mem",
    }
)  # fmt: skip
"""Settings of the server that the parameter `options` may carry in clear, `-` written as `_`."""
_DSN_SCHEMES: Final = ("postgresql://", "postgres://")
_LOGIN: Final = re.compile(r"([^@/:]*):?([^@/]*)@")
"""User and password of a DSN, as libpq finds them: up to the first @ before any slash."""
_WORD: Final = re.compile(r"(?:\\.|\S)+", re.ASCII | re.DOTALL)
"""A word of `options`: the server splits at blanks that have no backslash before them."""
_ASSIGNMENT: Final = re.compile(r"(--|-c)?([A-Za-z_][\w.$-]*)=(.*)", re.ASCII | re.DOTALL)
_VALUES: Final = re.compile(r"=([^\s;&]+)")
_HOST: Final = re.compile(r"(\[[^\]]*\]|[^:\[\]]+)(:[0-9]*)?")
_QUERY_NAME: Final = re.compile(r"[\w.\-\[\]]{1,40}", re.ASCII)
_WORDS_OF_JSON: Final = frozenset({"true", "false", "null"})
"""Never taken out of texts: they are nobody's secret, and log lines in JSON would break."""


class Secret(pydantic.Secret[str]):
    """A text that shows itself as `***`; `get_secret_value()` gives it away."""

    def _display(self) -> str:
        return MASK


def shown(name: str, value: object) -> Shown:
    """Turn the value of a setting into what may be shown of it; `name` is in upper case."""
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


# The DSN of PostgreSQL.


def mask_dsn(dsn: str) -> str:
    """Show a PostgreSQL DSN in the form it has (address or key=value), its secrets as `***`.

    The text is built anew from what libpq understood, so that nothing it took for a password can
    stay. What libpq cannot read, or reads with a piece of the password as the host, is masked as a
    whole.
    """
    parts = read_dsn(dsn)
    if parts is None:
        return MASK
    masked = {name: _shown_parameter(name, value) for name, value in parts.items()}
    return _dsn_url(masked) if _is_dsn_url(dsn) else make_conninfo(**masked)


def read_dsn(dsn: str) -> dict[str, str] | None:
    """Read a DSN into libpq's parameters; None for one that cannot be meant as it stands.

    No exception of libpq leaves here: it quotes what it could not read.
    """
    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
    except (psycopg.Error, UnicodeError):
        return None
    if _is_dsn_url(dsn) and _has_unescaped_password(dsn):
        return None
    # libpq looks at the port only when it connects.
    ports = parts.get("port", "")
    if not all(port.isascii() and port.isdigit() for port in ports.split(",") if port):
        return None
    return parts


def is_masked_dsn(dsn: str) -> bool:
    """Find the mask in a DSN that somebody copied from an output, percent-encoded or not."""
    return MASK in dsn or any(MASK in value for value in (read_dsn(dsn) or {}).values())


def texts_of_dsn(dsn: str) -> set[str]:
    """List what leaks of a DSN: its secrets, decoded and as written, and the whole of it."""
    parts = read_dsn(dsn) or {}
    found = {text for name, value in parts.items() for text in _secrets_of(name, value)}
    if _is_dsn_url(dsn):
        found |= {value for name, value in _written(dsn) if _secrets_of(name, unquote(value))}
    found.discard("")
    return found | {dsn} if found else set()


def _shown_parameter(name: str, value: str) -> str:
    if name == "options":
        return " ".join(word for word, _ in _options(value))
    if name == "oauth_issuer":
        return mask_url(value)
    # A DSN or an assignment in the place of a name is somebody's mistake, and may hold a password.
    is_odd = "://" in value or "=" in value or ("@" in value and name in {"host", "dbname"})
    # With a colon it is no path: an engine's own address of a key, perhaps with its PIN.
    is_odd = is_odd or (name == "sslkey" and ":" in value)
    return MASK if name not in _HARMLESS_PARAMETERS or is_odd else value


def _secrets_of(name: str, value: str) -> set[str]:
    """List what is secret in a parameter; empty when it may be shown as it is."""
    if name == "options":
        hidden = {secret for _, secret in _options(value) if secret}
        return hidden | {re.sub(r"\\(.)", r"\1", secret) for secret in hidden}
    if name == "oauth_issuer":
        return texts_of_url(value)
    if _shown_parameter(name, value) == value:
        return set()
    # Of what somebody put into the wrong place, the values inside leak alone, too.
    inside = texts_of_url(value) | set(_VALUES.findall(value))
    return {value} | (inside if name in _HARMLESS_PARAMETERS else set())


def _options(value: str) -> Iterator[tuple[str, str]]:
    """Split `-c name=value --name=value` into words: how each is shown, and what it hides."""
    for word in _WORD.findall(value):
        found = _ASSIGNMENT.fullmatch(word)
        if word == "-c":
            yield word, ""
        elif found is None:
            yield MASK, word
        elif found[2].lower().replace("-", "_") in _HARMLESS_OPTIONS:
            yield word, ""
        else:
            yield f"{found[1] or ''}{found[2]}={MASK}", found[3]


def _is_dsn_url(dsn: str) -> bool:
    return dsn.startswith(_DSN_SCHEMES)


def _has_unescaped_password(url: str) -> bool:
    """Find a second @, or one behind a slash: the password before it holds one of @ / unescaped."""
    rest = url.partition("://")[2]
    login = _LOGIN.match(rest)
    return "@" in rest[login.end() if login else 0 :].partition("?")[0]


def _written(dsn: str) -> Iterator[tuple[str, str]]:
    """Read the parameters of an address, the values still as they stand there."""
    rest = dsn.partition("://")[2]
    login = _LOGIN.match(rest)
    if login:
        yield "password", login[2]
    for pair in rest[login.end() if login else 0 :].partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        yield unquote(name), value


def _dsn_url(parts: Mapping[str, str]) -> str:
    """Write the parts of a DSN as an address, in which a mask stays readable."""
    rest = dict(parts)
    user, password = rest.pop("user", ""), rest.pop("password", None)
    name = quote(rest.pop("dbname", ""), safe="*")
    where = "" if "/" in rest.get("host", "") else _places(rest.pop("host", ""), rest)
    who = quote(user, safe="*") + ("" if password is None else f":{MASK}")
    query = f"?{urlencode(rest, safe='*', quote_via=quote)}" if rest else ""
    return f"postgresql://{who}{'@' if who else ''}{where}/{name}{query}"


def _places(host: str, rest: dict[str, str]) -> str:
    """Write hosts with their ports, which are taken out of `rest`."""
    hosts, ports = host.split(","), rest.pop("port", "").split(",")
    ports += [ports[-1]] * (len(hosts) - len(ports))
    return ",".join(
        f"{_url_host(h)}:{p}" if p else _url_host(h) for h, p in zip(hosts, ports, strict=False)
    )


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else quote(host, safe="*")


# Addresses of the web.


def mask_url(url: str) -> str:
    """Show an address with who logs in, its query's values and its fragment as `***`.

    Queries are masked whole, because webhooks carry tokens there under any name; so is a token
    without a name. What is not an address with a host, or may have a piece of a password as its
    host, is masked as a whole.
    """
    parts = _readable(url)
    if parts is None:
        return MASK
    _, at, host = parts.netloc.rpartition("@")
    query = "&".join(_shown_pair(pair) for pair in parts.query.split("&")) if parts.query else ""
    return urlunsplit(
        (
            parts.scheme,
            f"{MASK}@{host}" if at else host,
            parts.path,
            query,
            MASK if parts.fragment else "",
        )
    )


def mask_misplaced(text: str) -> str:
    """Show a text that is no address where it stands, but may be one that belongs elsewhere."""
    if "://" in text and not _is_dsn_url(text):
        return mask_url(text)
    return mask_dsn(text) if "=" in text or "://" in text else text


def is_masked_url(url: str) -> bool:
    """Find the mask in an address that somebody copied from an output, percent-encoded or not."""
    return MASK in unquote(url)


def texts_of_url(url: str) -> set[str]:
    """List what leaks of an address: the password, each value of its query, and its fragment.

    Of who logs in the name counts only where it stands alone, as a token: it may be a common word.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return set()
    login = parts.netloc.rpartition("@")[0]
    user, colon, password = login.partition(":")
    found = {login, password} if colon else {user}
    found.add(parts.fragment)
    for pair in (*parts.query.split("&"), *parts.fragment.split("&")):
        value = pair.partition("=")[2]
        found.add(value if value.strip("=") else pair)
    found |= {decode(text) for text in found for decode in (unquote, unquote_plus)}
    return found - {""}


def _readable(url: str) -> SplitResult | None:
    """Split an address; None where its parts may not be what they look like."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if not _HOST.fullmatch(parts.netloc.rpartition("@")[2]):
        return None
    # An @ behind the host: what stands before it may be a password with one of / ? # unescaped.
    behind = parts.path or f"{parts.query}{parts.fragment}"
    return None if "@" in behind else parts


def _shown_pair(pair: str) -> str:
    name, _, value = pair.partition("=")
    # A token that stands alone may end in the = of Base64.
    return f"{name}={MASK}" if value.strip("=") and _QUERY_NAME.fullmatch(name) else MASK


# Other people's texts.


def texts_of_header(header: str) -> set[str]:
    """List what leaks of a header `Name: value`: the value, and what stands behind its scheme."""
    content = header.partition(":")[2].strip()
    return {header, content, content.rpartition(" ")[2]}


def spelled(found: Iterable[str]) -> tuple[str, ...]:
    """Add the forms in which libraries and servers write some texts; longest first."""
    forms = {form for text in found for form in _forms(text)} - _WORDS_OF_JSON - {""}
    return tuple(sorted(forms, key=lambda text: (-len(text), text)))


def cut(text: str, limit: int) -> str:
    """Shorten a text to `limit` characters, so that no piece of a secret outlives its masking."""
    return text if len(text) <= limit else text[: limit - len(CUT)] + CUT


def hide(text: str, secrets: Collection[str]) -> str:
    """Mask secrets, as `spelled` gives them, wherever they stand in a text, and where `cut` cut."""
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return _hide_before_cuts(text, secrets) if CUT in text else text


def _hide_before_cuts(text: str, secrets: Collection[str]) -> str:
    *pieces, end = _CUTS.split(text)
    for place in range(0, len(pieces), 2):
        longest = max((_overlap(pieces[place], secret) for secret in secrets), default=0)
        if longest:
            pieces[place] = f"{pieces[place][:-longest]}{MASK}"
    return "".join(pieces) + end


def hide_cut(text: str, secrets: tuple[str, ...]) -> str:
    """Mask secrets in a text that others may have cut: also the beginning of one at its end.

    Only for secrets that do not begin as ordinary words do: a whole DSN is none.
    """
    text = hide(text, secrets)
    longest = max((_overlap(text, secret) for secret in secrets), default=0)
    return f"{text[:-longest]}{MASK}" if longest else text


def _overlap(text: str, secret: str) -> int:
    """Count the characters of a secret's beginning at the end of a text; 0 if they are too few."""
    for length in range(min(len(secret), len(text)), SHORTEST_SECRET - 1, -1):
        if text.endswith(secret[:length]):
            return length
    return 0


def _forms(text: str) -> set[str]:
    encoded = {
        quote(text, safe="", errors="replace"),
        quote(text, errors="replace"),
        quote_plus(text, errors="replace"),
    }
    in_lower_case = {re.sub("%..", lambda found: found[0].lower(), form) for form in encoded}
    quoted = {repr(text)[1:-1], json.dumps(text)[1:-1], html.escape(text)}
    # As the header `Authorization: Basic` has it.
    octets = text.encode("utf-8", "surrogatepass")
    in_base64 = {base64.b64encode(octets).decode(), base64.urlsafe_b64encode(octets).decode()}
    return {text} | encoded | in_lower_case | quoted | in_base64
