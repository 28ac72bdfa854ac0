"""Is there a pooler that hands our transactions to sessions that we share with others?

PgBouncer with `pool_mode = transaction` does. Then a lock of a session holds nothing: two services
would both believe that a database is theirs alone, and a lock would stay behind with nobody.
"""

from __future__ import annotations

import secrets
from typing import Final

import psycopg

from db.errors import MigrationError
from db.pool import connect

_SHARED: Final = (
    "DB_DSN leads to a pooler that gives each transaction another session (PgBouncer with "
    "pool_mode=transaction or statement). mintwatch keeps a lock in its session, so that nobody "
    "else writes: set pool_mode=session for this database in the pooler, or let DB_DSN name the "
    "server itself. Nothing was changed."
)
_SETTING: Final = "mintwatch.session"


def refuse_shared_sessions(dsn: str) -> None:
    """Make sure that a connection of ours is one session from its beginning to its end.

    One connection leaves a word in its session. Then another one opens a transaction: in a session
    that is shared it is the one that was free a moment ago, so that it finds the word, or it keeps
    it from the first connection, which does not find it again.

    Raises:
        MigrationError: It is not.
        psycopg.OperationalError: The server cannot be reached.
    """
    word = secrets.token_hex(8)
    with (
        connect(dsn, application_name="mintwatch probe", autocommit=True) as first,
        connect(dsn, application_name="mintwatch probe", autocommit=True) as second,
    ):
        first.execute("SELECT set_config(%s, %s, false)", (_SETTING, word))
        try:
            second.execute("BEGIN")
            is_shared = _word_of(second) == word or _word_of(first) != word
            second.execute("ROLLBACK")
        except psycopg.errors.ProtocolViolation:
            # A pooler by statement knows no transactions.
            is_shared = True
    if is_shared:
        raise MigrationError(_SHARED)


def _word_of(connection: psycopg.Connection[tuple[object, ...]]) -> object:
    row = connection.execute("SELECT current_setting(%s, true)", (_SETTING,)).fetchone()
    return None if row is None else row[0]
