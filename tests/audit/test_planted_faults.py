"""Ten faults, planted in the running tree and in the table: the audit finds each of them."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.audit.asking import Answer, ask
from tests.e2e.rows import Row, query, rows
from tests.faults.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import PostgresServer

ROOT = Path(__file__).parents[2]


class Planted(NamedTuple):
    """Where a fault was planted, and what the audit says afterwards."""

    mint: str
    at_us: int
    answer: Answer


def run_with(fault: str, dsn: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    script = folder / "mintwatch"
    faulty = [sys.executable, "-m", "tests.audit.faulty", fault]
    path = shlex.quote(str(ROOT))
    script.write_text(f'#!/bin/sh\nPYTHONPATH={path} exec {shlex.join(faulty)} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr("tests.support.service.COMMAND", script)
    with World(folder, dsn) as world:
        world.start()
        line = world.service.wait_log("PLANTED")
        world.receive(300)
        world.market.fault("hold")
        world.rest()
        world.stop()
        found = re.search(r"PLANTED (\S+) (\d+)", line)
        assert found is not None
        return Planted(found[1], int(found[2]), ask(world.state_dir, dsn))


def columns(answer: Answer) -> set[str]:
    return {each["column"] for found in answer.found["different"] for each in found["differences"]}


def check_only(planted: Planted, verdict: str) -> None:
    """Check that one window is wrong, and that it is the one with the fault."""
    answer = planted.answer
    assert answer.exit_code == 4
    assert answer.wrong().keys() == {verdict}
    (found,) = answer.found[verdict]
    assert found["mint"] == planted.mint
    assert found["window_start_us"] <= planted.at_us < found["window_end_us"]
    assert answer.found["ok"] > 10


# Faults in the code.


def test_trade_dropped_in_the_tracker_is_found(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = run_with("a trade dropped", dsn, tmp_path, monkeypatch)

    check_only(planted, "different")
    assert columns(planted.answer) & {"num_buys", "num_sells"}


def test_trade_counted_twice_is_found(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = run_with("a trade counted twice", dsn, tmp_path, monkeypatch)

    check_only(planted, "different")
    assert columns(planted.answer) & {"num_buys", "num_sells"}


def test_trade_in_the_wrong_window_is_found(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = run_with("a trade in the wrong window", dsn, tmp_path, monkeypatch)

    wrong = planted.answer.wrong()
    windows = [found for verdict in wrong.values() for found in verdict]
    assert planted.answer.exit_code == 4
    assert {found["mint"] for found in windows} == {planted.mint}
    assert any(
        found["window_start_us"] <= planted.at_us < found["window_end_us"] for found in windows
    )


def test_trade_on_the_wrong_side_is_found(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = run_with("a trade on the wrong side", dsn, tmp_path, monkeypatch)

    check_only(planted, "different")
    assert {"num_buys", "num_sells", "buy_volume_sol", "sell_volume_sol"} <= columns(planted.answer)


def test_amount_wrong_by_one_lamport_is_found(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = run_with("a trade wrong by one lamport", dsn, tmp_path, monkeypatch)

    check_only(planted, "different")
    assert "volume_sol" in columns(planted.answer)
    assert "num_buys" not in columns(planted.answer)


def test_window_that_was_not_written_is_found(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = run_with("a window not written", dsn, tmp_path, monkeypatch)

    answer = planted.answer
    assert answer.exit_code == 4
    assert answer.wrong().keys() == {"missing"}
    assert {found["mint"] for found in answer.found["missing"]} == {planted.mint}


def test_poisoned_trade_is_explained(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = run_with("a poisoned trade", dsn, tmp_path, monkeypatch)

    assert planted.answer.exit_code == 0
    assert planted.answer.wrong() == {}
    assert planted.answer.found["explained"] == 1


# Faults in the data.


class Finished(NamedTuple):
    state_dir: Path
    database: str


@pytest.fixture(scope="module")
def finished(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Finished]:
    """One good run; each test gets a copy of its database."""
    database = postgres_server.make_database("migrated")
    with World(tmp_path_factory.mktemp("finished"), postgres_server.dsn(database)) as world:
        world.start()
        world.receive(800)
        world.finish()
        yield Finished(world.state_dir, database)
    postgres_server.drop_database(database)


@pytest.fixture
def copied(postgres_server: PostgresServer, finished: Finished) -> Iterator[str]:
    name = postgres_server.make_database(finished.database)
    yield postgres_server.dsn(name)
    postgres_server.drop_database(name)


def some_row(dsn: str) -> Row:
    """Choose a row with several trades, behind the first windows and before the last one.

    The last one may reach past the journal's end, where nothing can be said of a row without
    trades.
    """
    every = rows(dsn)
    last_us = max(row.end_us for row in every)
    found = [
        row
        for row in every
        if row.end_us < last_us and row.figures.num_buys > 1 and row.figures.num_sells > 0
    ]
    return sorted(found, key=lambda row: row.start_us)[len(found) // 2]


AT = "mint = %(mint)s AND timestamp = to_timestamp(%(end)s / 1000000.0)"


def plant(dsn: str, text: str, row: Row) -> None:
    query(dsn, text, {"mint": row.mint, "end": row.end_us})


def test_database_that_nobody_touched_agrees(finished: Finished, copied: str) -> None:
    answer = ask(finished.state_dir, copied)

    assert (answer.exit_code, answer.wrong()) == (0, {})


def test_row_written_twice_with_other_figures_is_found(finished: Finished, copied: str) -> None:
    row = some_row(copied)
    plant(
        copied,
        f"""
        INSERT INTO coin_metrics (mint, window_start, timestamp, interval_seconds, num_buys)
        SELECT mint, window_start, timestamp - interval '1 ms', interval_seconds, 77
        FROM coin_metrics WHERE {AT}
        """,
        row,
    )

    answer = ask(finished.state_dir, copied)

    assert answer.exit_code == 4
    assert {found["mint"] for found in answer.found["overlap"]} == {row.mint}


def test_same_window_in_two_rows_is_found(finished: Finished, copied: str) -> None:
    row = some_row(copied)
    query(copied, "DROP INDEX coin_metrics_window_unique")
    plant(
        copied,
        f"""
        INSERT INTO coin_metrics (mint, window_start, timestamp, interval_seconds, num_buys)
        SELECT mint, window_start, timestamp, interval_seconds, 77 FROM coin_metrics WHERE {AT}
        """,
        row,
    )

    answer = ask(finished.state_dir, copied)

    assert answer.exit_code == 4
    assert {found["mint"] for found in answer.found["overlap"]} == {row.mint}


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("volume_sol", "volume_sol + 0.000000001"),
        ("price_high", "price_high * 1.0000001"),
        ("num_sells", "num_sells - 1"),
        ("unique_wallets", "unique_wallets + 1"),
        ("whale_buy_volume_sol", "whale_buy_volume_sol + 1"),
        ("dev_sold_amount", "dev_sold_amount + 0.000000001"),
        ("virtual_sol_reserves", "NULL"),
    ],
)
def test_falsified_row_is_found(column: str, change: str, finished: Finished, copied: str) -> None:
    row = some_row(copied)
    plant(copied, f"UPDATE coin_metrics SET {column} = {change} WHERE {AT}", row)

    answer = ask(finished.state_dir, copied)

    check_only(Planted(row.mint, row.start_us, answer), "different")
    assert columns(answer) == {column}


def test_deleted_row_is_found(finished: Finished, copied: str) -> None:
    row = some_row(copied)
    plant(copied, f"DELETE FROM coin_metrics WHERE {AT}", row)

    answer = ask(finished.state_dir, copied)

    assert answer.exit_code == 4
    assert answer.wrong().keys() == {"missing"}
    assert sum(found["trades"] for found in answer.found["missing"]) == (
        row.figures.num_buys + row.figures.num_sells
    )
    assert {found["mint"] for found in answer.found["missing"]} == {row.mint}


def test_row_that_nobody_can_derive_is_found(finished: Finished, copied: str) -> None:
    row = some_row(copied)
    plant(
        copied,
        f"""
        INSERT INTO coin_metrics (mint, window_start, timestamp, interval_seconds, num_buys)
        SELECT 'NoCoinOfThisMarket', window_start, timestamp, interval_seconds, 1
        FROM coin_metrics WHERE {AT}
        """,
        row,
    )

    answer = ask(finished.state_dir, copied)

    check_only(Planted("NoCoinOfThisMarket", row.start_us, answer), "extra")


def test_rows_of_the_original_are_not_looked_at(finished: Finished, copied: str) -> None:
    row = some_row(copied)
    plant(
        copied,
        f"""
        INSERT INTO coin_metrics (mint, timestamp, num_buys)
        SELECT mint, timestamp, 77 FROM coin_metrics WHERE {AT}
        """,
        row,
    )

    answer = ask(finished.state_dir, copied)

    assert (answer.exit_code, answer.wrong()) == (0, {})
