"""Recordings through the real service in the test's own process, as often as one likes."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg2

from settings import load
from supervisor import Service
from telemetry import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from actors.runtime import System

    Meanwhile = Callable[[Service, System, threading.Event], None]

_TABLES = ("coin_metrics", "coin_streams", "discovered_coins", "coin_transactions", "feed_gaps")
_NUMBERED = {"id"}
"""Columns that say in which order rows were written, not what they are."""


class Replayed(NamedTuple):
    """How a replay has ended."""

    exit_code: int
    received: int
    places: dict[str, int]
    """Where the trades are; places without any are left out."""


def run_in_process(
    dsn: str,
    folder: Path,
    meanwhile: Meanwhile | None = None,
    **given: object,
) -> Replayed:
    """Run the service until it ends, and `meanwhile` something in another thread.

    That is given an event which is set at the end of the drain.
    """
    folder.mkdir(parents=True, exist_ok=True)
    values = {"STATE_DIR": folder, "API_PORT": 0, "DB_DSN": dsn, "STORE_TRADES": True, **given}
    environ = {name: str(value) for name, value in values.items()}
    service = Service(load(environ, None), environ, Redactor(()))
    try:
        service.start()
        system = service._system
        assert system is not None
        ended = threading.Event()
        other = threading.Thread(target=meanwhile or _nothing, args=(service, system, ended))
        other.start()
        try:
            exit_code = service.wait()
        finally:
            ended.set()
            other.join()
        received, places = system.ledger.read()
    finally:
        service.stop()
    return Replayed(exit_code, received, {place: n for place, n in places.items() if n})


def _nothing(_service: Service, _system: System, _ended: threading.Event) -> None:
    return None


def contents(dsn: str) -> dict[str, list[Any]]:
    """Read every column of every row, by table; columns that number rows are left out."""
    with closing(psycopg2.connect(dsn)) as conn, conn, conn.cursor() as cursor:
        return {table: _contents(cursor, table) for table in _TABLES}


def _contents(cursor: Any, table: str) -> list[Any]:
    cursor.execute(f"SELECT to_jsonb(t) - %s::text[] AS row FROM {table} t", (list(_NUMBERED),))
    return sorted((row for (row,) in cursor.fetchall()), key=repr)
