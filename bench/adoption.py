"""How long others wait while a large table of the original is adopted.

The peer makes the same three indexes in one transaction, as a migration would that does not care.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from bench.figures import Figure
from bench.postgres import empty_database
from db.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 5_000_000
_CREATE = """
CREATE TABLE coin_metrics (
    mint varchar(64), timestamp timestamptz, phase_id_at_time int, price_open numeric(30,18),
    price_close numeric(30,18), volume_sol numeric(20,6))
"""
_FILL = """
INSERT INTO coin_metrics (mint, timestamp, phase_id_at_time, price_open, price_close, volume_sol)
SELECT 'Mint' || n %% 20000, '2025-10-01'::timestamptz + n * interval '1 s', 1, 2.8e-8, 3e-8, 1.5
FROM generate_series(1, %s) AS n
"""
_READ = "SELECT * FROM coin_metrics WHERE mint = 'Mint7' LIMIT 10"
_WRITE = "INSERT INTO coin_metrics (mint, timestamp, price_close) VALUES ('Mint7', now(), 1)"
_CARELESS = """
CREATE UNIQUE INDEX a ON coin_metrics (mint, timestamp) WHERE phase_id_at_time = 0;
CREATE INDEX b ON coin_metrics (mint, timestamp DESC);
CREATE INDEX c ON coin_metrics (timestamp DESC);
"""
_PAUSE_S = 0.005


def run() -> list[Figure]:
    """Adopt a table of `ROWS` rows beside a reader and a writer; seconds of the longest wait."""
    with empty_database() as dsn:
        with psycopg.connect(dsn) as connection:
            connection.execute(_CREATE)
            connection.execute(_FILL, (ROWS,))
            connection.execute("CREATE INDEX ON coin_metrics (mint)")
        with _longest_wait(dsn, _WRITE) as careless, psycopg.connect(dsn) as connection:
            connection.execute(_CARELESS)
        with psycopg.connect(dsn) as connection:
            connection.execute("DROP INDEX a, b, c")
        began = time.perf_counter()
        with _longest_wait(dsn, _READ) as reader, _longest_wait(dsn, _WRITE) as writer:
            migrate(dsn)
        took = time.perf_counter() - began
    what = f"adopting {ROWS:,} rows"
    return [
        Figure(f"{what}: all of it", "s", took, more_is_better=False),
        Figure(f"{what}: longest wait of a reader", "s", max(reader), more_is_better=False),
        Figure(
            f"{what}: longest wait of a writer",
            "s",
            max(writer),
            max(careless),
            "indexes in one transaction",
            more_is_better=False,
        ),
    ]


@contextmanager
def _longest_wait(dsn: str, statement: str) -> Iterator[list[float]]:
    """Go on with a statement during the block, and give the seconds that each took."""
    waits: list[float] = []
    ended = threading.Event()

    def work() -> None:
        # Prepared statements would be refused once the columns have other types.
        with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
            while not ended.wait(_PAUSE_S):
                began = time.perf_counter()
                connection.execute(statement.encode())
                waits.append(time.perf_counter() - began)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield waits
    finally:
        ended.set()
        thread.join()
