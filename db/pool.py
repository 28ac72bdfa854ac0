"""Connections to PostgreSQL: one way to open them, with the same limits and settings for all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from db.dsn import parse_dsn
from db.encoding import prepare_session

if TYPE_CHECKING:
    from collections.abc import Callable

Connection = psycopg.Connection[Any]
Pool = ConnectionPool[Connection]

CONNECT_TIMEOUT_S: Final = 5
_SET: Final = """
    SELECT set_config(ours.name, ours.value, false)
    FROM unnest(%(names)s::text[], %(values)s::text[]) AS ours (name, value)
    WHERE ours.name NOT IN (SELECT lower(name) FROM pg_settings WHERE source = 'client')
"""
_MAX_WAITING: Final = 200
_NO_FILE: Final = f"{os.devnull}/none"
"""There can be none: libpq warns of one that is there and no plain file, at each connection."""


def connection_string(dsn: str, *, application_name: str) -> str:
    """Complete a connection string with what mintwatch asks of each connection.

    Sessions speak UTF-8, whatever PGCLIENTENCODING, the role or the string say. A dead peer is
    noticed within about a minute (keep-alive, TCP user timeout). What the given string sets itself
    (`connect_timeout`, `application_name`, keep-alive, `options`) stays. The password is the
    string's own, never that of a file or the environment, and goes in clear to nobody but a server
    with `sslmode=verify-full`, unless the string sets `require_auth`.

    Args:
        dsn: URL or `key=value` pairs.
        application_name: How the session is named in `pg_stat_activity`.

    Raises:
        DsnError: The string cannot be used.
    """
    given = parse_dsn(dsn)
    defaults = {
        # The password is the string's own: an empty one keeps PGPASSWORD out, no file ~/.pgpass.
        "password": "",
        "passfile": _NO_FILE,
        "require_auth": _authentication(given),
        "application_name": application_name,
        "connect_timeout": str(CONNECT_TIMEOUT_S),
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": "30000",
    }
    return make_conninfo(**{**defaults, **given, "client_encoding": "UTF8"})


def _authentication(given: dict[str, str]) -> str:
    """Say how we let a server ask who we are: never for the password in clear.

    But to one whose certificate and name were checked, which is how clouds and directories do it.
    """
    return "" if given.get("sslmode") == "verify-full" else "!password"


def connect(
    dsn: str,
    *,
    application_name: str = "mintwatch",
    statement_timeout_s: float = 30.0,
    lock_timeout_s: float = 0.0,
    autocommit: bool = False,
) -> Connection:
    """Open one connection outside the pool.

    Blocks for `CONNECT_TIMEOUT_S` a host address at most, after a name lookup that ends when the
    system's resolver gives up: usually within 10 to 60 s. So whoever may not wait connects in a
    thread of its own, as stream-watch and the keeper do. The lookup lets other threads run.

    Args:
        dsn: The connection string.
        application_name: How the session is named in `pg_stat_activity`.
        statement_timeout_s: Seconds after which the server cancels a statement; 0: never.
        lock_timeout_s: Seconds a statement waits for a lock; 0: as long as the statement may run.
        autocommit: Whether each statement is a transaction of its own.

    Raises:
        DsnError: The string cannot be used.
        psycopg.OperationalError: The server cannot be reached or refuses.
    """
    conninfo = connection_string(dsn, application_name=application_name)
    connection = psycopg.connect(conninfo, autocommit=autocommit, prepare_threshold=None)
    try:
        _preparation(statement_timeout_s, lock_timeout_s)(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _preparation(
    statement_timeout_s: float, lock_timeout_s: float
) -> Callable[[psycopg.Connection[Any]], None]:
    """Give what makes a session ready: its time limits, UTC, and texts of every encoding.

    With statements and not at the start of the session, because a pooler such as PgBouncer refuses
    a connection that asks for more than a name there. What the session was asked for all the same,
    by `options` in the connection string, wins.
    """
    settings = {
        "statement_timeout": f"{round(statement_timeout_s * 1000)}ms",
        "lock_timeout": f"{round(lock_timeout_s * 1000)}ms",
        "timezone": "UTC",
        "client_min_messages": "warning",
        "extra_float_digits": "1",
    }

    def prepare(connection: psycopg.Connection[Any]) -> None:
        connection.execute(_SET, {"names": list(settings), "values": list(settings.values())})
        if not connection.autocommit:
            connection.commit()
        prepare_session(connection)

    return prepare


def create_pool(
    dsn: str,
    *,
    min_size: int = 1,
    max_size: int = 10,
    statement_timeout_s: float = 30.0,
    checkout_timeout_s: float = 5.0,
    application_name: str = "mintwatch",
) -> Pool:
    """Make a pool, still closed: `pool.open()` connects in threads of its own and does not wait.

    So a server, or a name lookup, that does not answer costs a caller `checkout_timeout_s`.

    A connection is checked when it is handed out, so that one that died while idle is replaced
    unseen. `pool.connection()` commits at the end of its block, or rolls back when it raises. With
    no connection free within `checkout_timeout_s` it raises `psycopg_pool.PoolTimeout`; with more
    than 200 callers waiting, `psycopg_pool.TooManyRequests` at once. Prepared statements are off,
    because a pooler between us and the server may not know them.

    Raises:
        DsnError: The string cannot be used.
    """
    return ConnectionPool(
        connection_string(dsn, application_name=application_name),
        kwargs={"prepare_threshold": None},
        min_size=min_size,
        max_size=max_size,
        timeout=checkout_timeout_s,
        max_waiting=_MAX_WAITING,
        # The pool tries again whenever it is asked; giving up early keeps a long outage from
        # growing the pause to minutes.
        reconnect_timeout=30.0,
        configure=_preparation(statement_timeout_s, 0.0),
        check=ConnectionPool.check_connection,
        name=application_name,
        open=False,
    )
