"""What may be shown of a secret, and which texts may be shown nowhere. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import psycopg
import pydantic
from psycopg.conninfo import conninfo_to_dict, make_conninfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MASK: Final = "***"
Shown = str | int | float | bool | None

_DSN_SECRETS: Final = ("password", "sslpassword", "scram_client_key", "oauth_client_secret")
_DSN_SCHEMES: Final = ("postgresql://", "postgres://")


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


def mask_dsn(dsn: str) -> str:
    """Show a PostgreSQL DSN in the form it has (address or key=value), its passwords as `***`.

    The text is built anew from what libpq understood, so that nothing it took for a password can
    stay. What libpq cannot read, or reads with a piece of the password as the host, is masked as a
    whole.
    """
    parts = read_dsn(dsn)
    if parts is None:
        return MASK
    masked = {key: MASK if key in _DSN_SECRETS else value for key, value in parts.items()}
    return _dsn_url(masked) if _is_dsn_url(dsn) else make_conninfo(**masked)


def read_dsn(dsn: str) -> dict[str, str] | None:
    """Read a DSN into libpq's parameters; None for one that cannot be meant as it stands.

    No exception of libpq leaves here: it quotes what it could not read.
    """
    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    except (psycopg.Error, UnicodeError):
        return None
    if _is_dsn_url(dsn) and _has_unescaped_password(dsn):
        return None
    # libpq looks at the port only when it connects.
    ports = parts.get("port", "")
    if not all(port.isascii() and port.isdigit() for port in ports.split(",") if port):
        return None
    return parts


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


def dsn_parts(dsn: str) -> set[str]:
    """List what leaks of a DSN: its passwords, decoded and as written, and the whole of it."""
    parts = read_dsn(dsn) or {}
    secrets = {parts[key] for key in _DSN_SECRETS if parts.get(key)}
    if secrets and _is_dsn_url(dsn):
        written = urlsplit(dsn)
        pairs = [pair.partition("=") for pair in written.query.split("&")]
        secrets |= {value for key, _, value in pairs if key in _DSN_SECRETS}
        secrets |= {written.password or ""}
    return secrets | {dsn} if secrets else set()


def url_parts(url: str) -> set[str]:
    """List what leaks of an address: who logs in, and every value of its query."""
    parts = urlsplit(url)
    found = {value for _, value in parse_qsl(parts.query)}
    for pair in parts.query.split("&"):
        name, equals, value = pair.partition("=")
        found.add(value if equals else name)
    if parts.password:
        found |= {parts.password, unquote(parts.password), parts.netloc.rpartition("@")[0]}
    elif parts.username:
        found |= {parts.username, unquote(parts.username)}
    return found


def header_parts(header: str) -> set[str]:
    """List what leaks of a header `Name: value`: the value, and what stands behind its scheme."""
    content = header.partition(":")[2].strip()
    return {header, content, content.rpartition(" ")[2]}


def spelled(found: Iterable[str]) -> tuple[str, ...]:
    """Add the percent-encoded forms of some texts; longest first, and none of them empty."""
    texts = set(found)
    texts |= {quote(text, safe="") for text in texts}
    return tuple(sorted((text for text in texts if text), key=lambda text: (-len(text), text)))


def _shown_secret(name: str, text: str) -> str:
    if name == "DB_DSN":
        return mask_dsn(text)
    return mask_url(text) if name == "N8N_WEBHOOK_URL" else MASK


def _is_dsn_url(dsn: str) -> bool:
    return dsn.lstrip().startswith(_DSN_SCHEMES)


def _has_unescaped_password(url: str) -> bool:
    """Find a second @, or one behind a slash: the password before it holds one of @ / unescaped."""
    before_query = url.split("://", 1)[1].split("?", 1)[0]
    server, _, path = before_query.partition("/")
    return server.count("@") > 1 or "@" in path


def _dsn_url(parts: Mapping[str, str]) -> str:
    """Write the parts of a DSN as an address, in which a masked password stays readable."""
    rest = dict(parts)
    user, password = rest.pop("user", ""), rest.pop("password", None)
    name = quote(rest.pop("dbname", ""), safe="")
    where = "" if "/" in rest.get("host", "") else _places(rest.pop("host", ""), rest)
    who = quote(user, safe="") + ("" if password is None else f":{MASK}")
    query = f"?{urlencode(rest, safe='*')}" if rest else ""
    return f"postgresql://{who}{'@' if who else ''}{where}/{name}{query}"


def _places(host: str, rest: dict[str, str]) -> str:
    """Write hosts with their ports, which are taken out of `rest`."""
    hosts, ports = host.split(","), rest.pop("port", "").split(",")
    ports += [ports[-1]] * (len(hosts) - len(ports))
    return ",".join(
        f"{_url_host(h)}:{p}" if p else _url_host(h) for h, p in zip(hosts, ports, strict=False)
    )


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else quote(host, safe="")
