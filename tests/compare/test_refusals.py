"""What cannot be compared is said in one sentence, without a secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from click.testing import CliRunner

from cli.main import main
from tests.compare.databases import PASSWORD, ask, execute, insert, logged_in, run

if TYPE_CHECKING:
    from tests.support.postgres import PostgresServer


def spoken(done: Any) -> str:
    """Give the one sentence that is said; nothing of it is a secret."""
    assert done.stdout == ""
    assert "Traceback" not in done.output
    assert PASSWORD not in done.output
    lines: list[str] = done.stderr.strip().splitlines()
    return lines[-1]


@pytest.mark.parametrize(
    ("dsn", "says"),
    [
        ("nonsense", "it cannot be read: expected postgresql://user:password@host:5432/database"),
        (f"postgresql://u:{PASSWORD}/@h/db", "it cannot be read"),
        ("", "it cannot be read"),
        ("postgresql://u:***@h/db", "it holds ***, but the real password is expected."),
    ],
)
@pytest.mark.parametrize("option", ["--theirs", "--ours"])
def test_connection_string_that_cannot_be_read_is_wrong_use(
    option: str, dsn: str, says: str, theirs: str
) -> None:
    given = {"--theirs": theirs, "--ours": theirs, option: dsn}

    done = run(given["--theirs"], given["--ours"])

    assert done.exit_code == 2
    assert says in spoken(done)


def test_server_that_is_not_there_is_said_without_the_password(ours: str) -> None:
    done = run(f"postgresql://u:{PASSWORD}@127.0.0.1:1/coins", ours)

    assert done.exit_code == 3
    assert spoken(done).startswith(
        "Error: --theirs (postgresql://u:***@127.0.0.1:1/coins) cannot be reached:"
    )


def test_wrong_login_is_said_without_the_password(theirs: str, ours: str) -> None:
    stranger = logged_in(theirs, "nobody")

    done = run(stranger, ours)

    assert done.exit_code == 3
    assert "cannot be reached" in spoken(done)


@pytest.mark.parametrize("side", ["--theirs", "--ours"])
def test_database_without_the_table_is_said(
    side: str, postgres_server: PostgresServer, theirs: str, ours: str
) -> None:
    empty = postgres_server.dsn("postgres")

    done = run(empty, ours) if side == "--theirs" else run(theirs, empty)

    assert done.exit_code == 3
    assert spoken(done).startswith(f"Error: {side} (postgresql://mintwatch@/postgres?")
    assert " has no table coin_metrics: name the database that " in spoken(done)


def test_table_of_another_program_is_said_by_its_columns(empty_dsn: str, ours: str) -> None:
    execute(empty_dsn, "CREATE TABLE coin_metrics (timestamp timestamptz, sol_price_usd numeric)")

    done = run(empty_dsn, ours)

    assert done.exit_code == 3
    assert (
        "has a table coin_metrics without the columns mint, phase_id_at_time, num_buys, num_sells,"
        in spoken(done)
    )


def test_table_of_the_original_is_not_ours(theirs: str, postgres_server: PostgresServer) -> None:
    done = run(theirs, theirs)

    assert done.exit_code == 3
    assert spoken(done).endswith(
        "has a table coin_metrics without the column window_start: name the database that "
        "mintwatch writes to, or run `mintwatch migrate` on it."
    )


def test_table_that_may_not_be_read_is_said(theirs: str, ours: str, reader: str) -> None:
    done = run(logged_in(theirs, reader), ours)

    assert done.exit_code == 3
    assert "cannot be read: permission denied for table coin_metrics." in spoken(done)


def test_table_that_somebody_has_locked_is_said(
    theirs: str, ours: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.compare._LOCK_S", 0.2)
    conn = psycopg2.connect(theirs)
    conn.cursor().execute("LOCK TABLE coin_metrics IN ACCESS EXCLUSIVE MODE")

    done = run(theirs, ours)

    conn.close()
    assert done.exit_code == 3
    assert "lock timeout" in spoken(done)


@pytest.mark.parametrize("slow", ["--theirs", "--ours"])
def test_rows_that_take_too_long_are_said(
    slow: str, theirs: str, ours: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other side may be read by then."""
    monkeypatch.setattr("db.compare.STATEMENT_S", 0.5)
    insert(theirs, "A", 5)
    insert(ours, "A", 5, 0)
    side = theirs if slow == "--theirs" else ours
    execute(side, "ALTER TABLE coin_metrics RENAME TO kept")
    execute(side, "CREATE VIEW coin_metrics AS SELECT k.* FROM kept k, pg_sleep(9) AS waited")

    done = run(theirs, ours)

    assert done.exit_code == 3
    assert slow in spoken(done)
    assert "did not give its rows within" in spoken(done)


def test_no_row_on_either_side_is_nothing_compared(theirs: str, ours: str) -> None:
    done = run(theirs, ours)

    assert done.exit_code == 3
    assert "0 hours of 0 coins" in done.stdout


def test_windows_that_may_still_be_open_are_left_out(theirs: str, ours: str) -> None:
    """The longest window of both is an hour here."""
    execute(theirs, "UPDATE ref_coin_phases SET interval_seconds = 3600 WHERE id = 2")

    late = run(theirs, ours, since="30m", until="1m")
    cut = ask(theirs, ours, since="2025-10-01", until="1m")

    assert late.exit_code == 3
    assert "as the longest window takes 3600 s." in spoken(late)
    assert len(cut.found["notes"]) == 1
    assert cut.found["notes"][0].endswith("windows may still be open")


@pytest.mark.parametrize("since", ["0001-01-01", "999999999d", "1969-12-31T23:59:59+14:00"])
def test_time_of_long_ago_is_from_the_first_row_on(since: str, theirs: str, ours: str) -> None:
    insert(theirs, "A", 5)

    assert ask(theirs, ours, since=since).found["theirs"]["rows"] == 1


@pytest.mark.parametrize("args", [("--since", "soon"), ("--since", "1h", "--until", "2h")])
def test_wrong_use_is_exit_code_2(args: tuple[str, ...], theirs: str, ours: str) -> None:
    words = ["compare", "--theirs", theirs, "--ours", ours, *args]

    assert CliRunner().invoke(main, words).exit_code == 2


def test_connection_string_is_asked_for_without_showing_it(theirs: str, ours: str) -> None:
    words = ["compare", "--theirs", "-", "--ours", ours, "--since", "2025-10-01T12:00", "--json"]
    insert(theirs, "A", 5)

    done = CliRunner().invoke(main, words, input=f"{theirs}\n")

    assert json.loads(done.stdout)["theirs"]["rows"] == 1
    assert theirs not in done.output


def test_ours_is_the_database_that_the_settings_name(
    theirs: str, ours: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    insert(ours, "A", 5, 0)
    words = ["compare", "--theirs", theirs, "--since", "2025-10-01T12:00", "--json"]

    done = CliRunner().invoke(main, words, env={"DB_DSN": ours})

    assert json.loads(done.stdout)["ours"]["rows"] == 1
