"""Two databases to compare: the original's, in its own types, and ours; and the command."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg2
import psycopg2.extras
from click.testing import CliRunner

from cli.main import main
from tests.support.original import COLUMNS, OriginalRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PASSWORD = "hunter2hunter2"
NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """A time, seconds behind 12:00 UTC."""
    return NOON + timedelta(seconds=seconds)


def make_theirs(dsn: str, types: Mapping[str, str] | None = None, *, phases: bool = True) -> None:
    """Make the original's table, with some columns of other types, and its phases."""
    columns = {**COLUMNS, **(types or {})}
    declared = ", ".join(f'"{name}" {kind}' for name, kind in columns.items() if kind)
    execute(dsn, f"CREATE TABLE coin_metrics ({declared})")
    if phases:
        execute(dsn, "CREATE TABLE ref_coin_phases (id int PRIMARY KEY, interval_seconds int)")
        execute(dsn, "INSERT INTO ref_coin_phases VALUES (1, 5), (2, 30), (99, 0)")


def execute(dsn: str, text: str, values: Any = None) -> None:
    """Run one statement and commit."""
    with closing(psycopg2.connect(dsn)) as conn, conn, conn.cursor() as cursor:
        cursor.execute(text, values)


def logged_in(dsn: str, role: str) -> str:
    """Name the same database, for another role."""
    return dsn.replace("//mintwatch@", f"//{role}:{PASSWORD}@")


def insert_rows_of_original(dsn: str, rows: Iterable[OriginalRow]) -> int:
    """Write rows of the loop; say how many."""
    names = ["timestamp" if name == "timestamp_s" else name for name in OriginalRow._fields]
    marks = ["to_timestamp(%s)" if name == "timestamp" else "%s" for name in names]
    values = [tuple(row) for row in rows]
    with closing(psycopg2.connect(dsn)) as conn, conn, conn.cursor() as cursor:
        psycopg2.extras.execute_values(
            cursor,
            f"INSERT INTO coin_metrics ({', '.join(names)}) VALUES %s",
            values,
            template=f"({', '.join(marks)})",
            page_size=1_000,
        )
    return len(values)


def insert(dsn: str, mint: str, end_s: float, start_s: float | None = None, **columns: Any) -> None:
    """Write one row, by default a buy of 1 SOL; with `start_s` it is ours."""
    buys, sells = columns.pop("buys", 1), columns.pop("sells", 0)
    row = {
        "mint": mint,
        "timestamp": at(end_s),
        "phase_id_at_time": 1,
        "num_buys": buys,
        "num_sells": sells,
        "volume_sol": buys + sells,
        "buy_volume_sol": buys,
        "sell_volume_sol": sells,
        "price_high": 3e-8,
        "price_low": 3e-8,
        "virtual_sol_reserves": 40,
        **columns,
    }
    if start_s is not None:
        row |= {"window_start": at(start_s), "interval_seconds": 5}
    names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    execute(dsn, f"INSERT INTO coin_metrics ({names}) VALUES ({marks})", tuple(row.values()))


class Answer(NamedTuple):
    """What the command says with `--json`."""

    exit_code: int
    found: dict[str, Any]

    @property
    def reasons(self) -> dict[str, int]:
        """How many hours each reason explains, without those of no hour."""
        return {reason: number for reason, number in self.found["reasons"].items() if number}

    @property
    def by_coin(self) -> dict[str, list[str]]:
        """The reasons of each coin, by the hour; hours that are the same are not in it."""
        found: dict[str, list[str]] = {}
        for hour in sorted(self.found["differences"], key=lambda hour: hour["from"]):
            found.setdefault(hour["mint"], []).append(hour["reason"])
        return found


SINCE, UNTIL = "2025-10-01T12:00", "2025-10-01T13:00"


def run(theirs: str, ours: str, *args: str, since: str = SINCE, until: str = UNTIL) -> Any:
    """Run the command; it prints for people."""
    words = ["compare", "--theirs", theirs, "--ours", ours, "--since", since, "--until", until]
    return CliRunner().invoke(main, [*words, *args])


def ask(theirs: str, ours: str, *args: str, **more: str) -> Answer:
    """Run the command; it prints for programs."""
    done = run(theirs, ours, "--json", *args, **more)
    assert done.stdout, done.output
    return Answer(done.exit_code, json.loads(done.stdout))
