"""Trying a database before it is used: one connection, one question.

Whoever may name databases is told whether one can be used, and not why: else he could look round
with it, for files, open ports and what servers nearby say. The log has the cause.
"""

from __future__ import annotations

import threading
from typing import Final

import psycopg
import structlog

from db.errors import DsnError, one_line
from db.pool import connect
from settings.masking import hide, mask_dsn, spelled, texts_of_dsn

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("mintwatch")

PROBE_S: Final = 10.0
"""A name lookup has no time limit of ours; whoever asks does not wait for longer than this."""


def try_database(dsn: str, limit_s: float = PROBE_S) -> str | None:
    """Say why a database cannot be used, as a sentence without secrets; None: it can.

    Blocks for `limit_s` at most; an attempt that takes longer is left to end by itself.
    """
    said: list[str | None] = []
    thread = threading.Thread(target=lambda: said.append(_trouble(dsn)), name="probe", daemon=True)
    thread.start()
    thread.join(limit_s)
    if said:
        return said[0]
    return (
        f"{mask_dsn(dsn)} did not answer within {limit_s:g} s: see that it runs and is reachable."
    )


def _trouble(dsn: str) -> str | None:
    try:
        with connect(dsn, application_name="mintwatch probe", statement_timeout_s=5.0) as session:
            row = session.execute(
                "SELECT has_schema_privilege(current_schema(), 'CREATE'), current_schema()"
            ).fetchone()
    except DsnError as error:
        return str(error)
    except psycopg.Error as error:
        # The server may quote what the DSN asks for, and the logs do not know this one yet.
        cause = hide(one_line(error), spelled(texts_of_dsn(dsn)))
        _log.warning("database_not_taken", database=mask_dsn(dsn), error=cause)
        return (
            f"{mask_dsn(dsn)} cannot be used: it is not reached, does not take this login, or has "
            "no such database; the service's log has its words. Correct it, or start that database."
        )
    if row is None or not row[0]:
        return f"{mask_dsn(dsn)} lets this user make no tables: GRANT CREATE on its schema."
    return None
