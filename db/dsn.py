"""Connection strings: reading, masking, refusing. A password never leaves this module in a text."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from db.errors import DsnError

MASK: Final = "***"
_SECRETS: Final = ("password", "sslpassword")
_URL_SCHEMES: Final = ("postgresql://", "postgres://")


def parse_dsn(dsn: str) -> dict[str, str]:
    """Read a connection string, as a URL or as `key=value` pairs, into libpq's parameters.

    Raises:
        DsnError: It is empty, cannot be read, or holds `***` where a password was masked.
    """
    if not dsn.strip():
        raise DsnError(
            "DB_DSN is empty: leave it unset for the embedded PostgreSQL, or give a connection "
            "string."
        )
    if MASK in dsn:
        raise DsnError(
            "DB_DSN holds ***, which is a masked password: give the connection string with the "
            "real one."
        )
    found = _read(dsn)
    if found is None:
        raise DsnError(
            "DB_DSN cannot be read: expected postgresql://user:password@host:5432/database "
            "or key=value pairs; escape special characters of a password in a URL as %XX."
        )
    return found


def mask_dsn(dsn: str) -> str:
    """Write a connection string with `***` for each password; an unreadable one is `***` alone.

    The text is built anew from what libpq understood, so that nothing it took for a password can
    stay.
    """
    found = _read(dsn)
    if found is None:
        return MASK
    shown = {key: MASK if key in _SECRETS else value for key, value in found.items()}
    return _as_url(shown) if _is_url(dsn) else make_conninfo(**shown)


def _read(dsn: str) -> dict[str, str] | None:
    """Read a connection string; None when libpq cannot, or takes a piece of a password for a host.

    No exception of libpq leaves here: it quotes what it could not read.
    """
    try:
        found = conninfo_to_dict(dsn)
    except (psycopg.Error, UnicodeError):
        return None
    if _is_url(dsn) and _has_unescaped_password(dsn):
        return None
    if not str(found.get("port", "0")).replace(",", "").isdigit():
        return None
    return {key: str(value) for key, value in found.items() if value is not None}


def _is_url(dsn: str) -> bool:
    return dsn.startswith(_URL_SCHEMES)


def _has_unescaped_password(url: str) -> bool:
    """Find a second @, or one behind a slash: the password before it holds one of @ / unescaped."""
    before_query = url.split("://", 1)[1].split("?", 1)[0]
    server, _, path = before_query.partition("/")
    return server.count("@") > 1 or "@" in path


def _as_url(params: dict[str, str]) -> str:
    user = quote(params.pop("user", ""), safe="")
    password = f":{MASK}" if params.pop("password", None) is not None else ""
    host, port, database = (params.pop(key, "") for key in ("host", "port", "dbname"))
    if "/" in host or "," in host or "," in port:
        params |= {key: value for key, value in (("host", host), ("port", port)) if value}
        host = port = ""
    where = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    query = f"?{urlencode(params, safe='*')}" if params else ""
    at = "@" if user or password else ""
    return f"postgresql://{user}{password}{at}{where}/{quote(database, safe='')}{query}"
