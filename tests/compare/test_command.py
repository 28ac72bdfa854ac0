"""`mintwatch compare` on two real databases: each reason, what is printed, and what cannot be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from cli import compare as command
from cli.main import main
from tests.compare.databases import ask, at, execute, insert, make_theirs, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.postgres import PostgresServer

PASSWORD = "hunter2hunter2"


@pytest.fixture
def theirs(empty_dsn: str) -> str:
    """The original's database, still without a row."""
    make_theirs(empty_dsn)
    return empty_dsn


@pytest.fixture
def ours(dsn: str) -> str:
    """A database of mintwatch, still without a row."""
    return dsn


# Each reason, from rows in tables.


def same(theirs: str, ours: str) -> None:
    insert(theirs, "A", 5, buys=2)
    insert(ours, "A", 5, 0, buys=2)


def rounding(theirs: str, ours: str) -> None:
    insert(theirs, "A", 5, volume_sol="1.234567890", buy_volume_sol="1.234567890")
    insert(ours, "A", 5, 0, volume_sol="1.234567890", buy_volume_sol="1.234567890")


def windows(theirs: str, ours: str) -> None:
    """Two trades of the hour are in their window over its end."""
    insert(theirs, "A", 3_597, buys=4)
    insert(theirs, "A", 3_602, buys=5)
    insert(ours, "A", 3_595, 3_590, buys=4)
    insert(ours, "A", 3_600, 3_595, buys=2)
    insert(ours, "A", 3_605, 3_600, buys=3)


def lost(theirs: str, ours: str) -> None:
    for end_s, buys in ((1_002, 4), (1_012, 4), (1_017, 1)):
        insert(theirs, "A", end_s, buys=buys)
    for start_s, buys in ((995, 4), (1_000, 3), (1_005, 4), (1_010, 2)):
        insert(ours, "A", start_s + 5, start_s, buys=buys)


def early_graduation(theirs: str, ours: str) -> None:
    insert(theirs, "A", 1_002, buys=4, virtual_sol_reserves=80)
    insert(ours, "A", 1_000, 995, buys=4, virtual_sol_reserves=80)
    insert(ours, "A", 1_005, 1_000, buys=3, virtual_sol_reserves=86, price_high=4e-8)
    insert(ours, "A", 2_005, 2_000, buys=3, virtual_sol_reserves=99, price_high=5e-8)


def creators_buy(theirs: str, ours: str) -> None:
    insert(theirs, "A", 122, buys=3)
    insert(ours, "A", 5, 0, buys=2, price_low=2.8e-8)
    insert(ours, "A", 120, 115, buys=2)
    execute(
        ours,
        "INSERT INTO discovered_coins (token_address, discovered_at, initial_buy_sol)"
        " VALUES ('A', %s, 1)",
        (at(1),),
    )


def gap(theirs: str, ours: str) -> None:
    insert(theirs, "A", 1_002, buys=4)
    insert(theirs, "A", 1_007, buys=4)
    insert(ours, "A", 1_000, 995, buys=4)
    execute(
        ours,
        "INSERT INTO feed_gaps (started_at, ended_at, reason) VALUES (%s, %s, 'restart')",
        (at(1_001), at(1_006)),
    )


def only_theirs(theirs: str, ours: str) -> None:
    insert(theirs, "A", 1_002, buys=4)


def only_ours(theirs: str, ours: str) -> None:
    insert(ours, "A", 1_002, 997, buys=4)


def other(theirs: str, ours: str) -> None:
    insert(theirs, "A", 5, buys=3)
    insert(ours, "A", 5, 0, buys=2)


@pytest.mark.parametrize(
    ("build", "exit_code"),
    [
        (same, 0),
        (rounding, 0),
        (windows, 0),
        (lost, 4),
        (early_graduation, 4),
        (creators_buy, 4),
        (gap, 4),
        (only_theirs, 4),
        (only_ours, 4),
        (other, 4),
    ],
)
def test_each_reason_is_told_from_the_tables(
    build: Callable[[str, str], None], exit_code: int, theirs: str, ours: str
) -> None:
    build(theirs, ours)

    answer = ask(theirs, ours)

    assert answer.reasons == {build.__name__: 1}
    assert answer.exit_code == exit_code


def test_json_has_both_sides_of_an_hour_and_the_totals(theirs: str, ours: str) -> None:
    windows(theirs, ours)

    answer = ask(theirs, ours)

    assert answer.found == {
        "since": "2025-10-01T12:00:00.000000Z",
        "until": "2025-10-01T13:00:00.000000Z",
        "coins": 1,
        "hours": 1,
        "differing": 0,
        "reasons": {
            **dict.fromkeys(answer.found["reasons"], 0),
            "windows": 1,
        },
        "theirs": totals(1, 4),
        "ours": totals(2, 6),
        "notes": [],
        "left_out": 0,
        "differences": [
            {
                "mint": "A",
                "from": "2025-10-01T12:00:00.000000Z",
                "to": "2025-10-01T13:00:00.000000Z",
                "reason": "windows",
                "says": "windows over the hour's ends: 2 buys fewer, 2 SOL less",
                "theirs": {
                    **totals(1, 4),
                    "price_high": 3e-8,
                    "price_low": 3e-8,
                    "first": "2025-10-01T12:59:57.000000Z",
                    "last": "2025-10-01T12:59:57.000000Z",
                },
                "ours": {
                    **totals(2, 6),
                    "price_high": 3e-8,
                    "price_low": 3e-8,
                    "first": "2025-10-01T12:59:55.000000Z",
                    "last": "2025-10-01T13:00:00.000000Z",
                },
            }
        ],
    }


def totals(rows: int, buys: int) -> dict[str, float]:
    return {
        "rows": rows,
        "trades": buys,
        "buys": buys,
        "sells": 0,
        "volume_sol": buys,
        "buy_volume_sol": buys,
        "sell_volume_sol": 0,
    }


def test_people_see_the_largest_difference_first_and_the_totals(theirs: str, ours: str) -> None:
    insert(theirs, "Small", 5, buys=3)
    insert(ours, "Small", 5, 0, buys=2)
    insert(theirs, "Large", 5, buys=9)
    insert(theirs, "Agrees", 6, buys=1_000)
    insert(ours, "Agrees", 5, 0, buys=1_000)

    done = run(theirs, ours)

    assert done.exit_code == 4
    assert (
        done.stdout
        == """\
reason       mint    hour               rows   trades         SOL                    why
only_theirs  Large   2025-10-01T12:00Z  1 / 0  9 / 0          9.000 / 0.000          \
we have no row of it in this hour: 9 buys more, 9 SOL more
other        Small   2025-10-01T12:00Z  1 / 1  3 / 2          3.000 / 2.000          \
nothing explains it: 1 buy more, 1 SOL more
windows      Agrees  2025-10-01T12:00Z  1 / 1  1,000 / 1,000  1,000.000 / 1,000.000  \
all figures are equal, the rows lie otherwise

        theirs     ours
rows    3          2
trades  1,012      1,002
buys    1,012      1,002
sells   0          0
SOL     1,012.000  1,002.000

compared          3 hours of 3 coins
from              2025-10-01T12:00:00.000000Z
to                2025-10-01T13:00:00.000000Z
same              0
rounding          0
windows           1
early_graduation  0
creators_buy      0
lost              0
only_ours         0
gap               0
only_theirs       1
other             1
"""
    )


def test_what_does_not_fit_on_a_screen_is_counted(
    theirs: str, ours: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_LINES", 2)
    for buys, mint in enumerate("ABCD", 1):
        insert(theirs, mint, 5, buys=buys)

    lines = run(theirs, ours).stdout.splitlines()

    assert [line.split()[1] for line in lines[1:3]] == ["D", "C"]
    assert lines[3] == (
        "... and 2 more; --json has up to 10,000 that differ, and --mint MINT shows those of one "
        "coin."
    )


def test_one_coin_alone_is_compared(theirs: str, ours: str) -> None:
    insert(theirs, "A", 5, buys=3)
    insert(theirs, "B", 5, buys=3)

    answer = ask(theirs, ours, "--mint", "B")

    assert answer.by_coin == {"B": ["only_theirs"]}


def test_only_rows_of_the_time_asked_for_count(theirs: str, ours: str) -> None:
    """A row belongs to the hour that its window ends in; one that ends at 13:00 to the first."""
    for end_s in (0, 1, 3_600, 3_601):
        insert(theirs, "A", end_s)

    assert ask(theirs, ours).found["theirs"]["rows"] == 2
    assert (
        ask(theirs, ours, since="2025-10-01T11:00", until="2025-10-01T14:00").found["theirs"][
            "rows"
        ]
        == 4
    )


# Tables as they are out there.


@pytest.mark.parametrize(
    ("types", "notes"),
    [
        ({}, []),
        ({"timestamp": "timestamp"}, ["their timestamp has no time zone: it is read as UTC"]),
        (dict.fromkeys(("volume_sol", "buy_volume_sol"), "double precision"), []),
        ({"mint": "text", "num_buys": "bigint", "num_sells": "numeric"}, []),
        ({"mint": "char(44)", "volume_sol": "real", "price_high": "real"}, []),
        ({"volume_sol": "numeric", "id": "bigserial", "sell_volume_sol": "numeric(30,18)"}, []),
    ],
)
def test_types_of_other_installations_are_read(
    types: dict[str, str], notes: list[str], empty_dsn: str, ours: str
) -> None:
    make_theirs(empty_dsn, types)
    when = at(5).replace(tzinfo=None) if "timestamp" in types else at(5)
    insert(empty_dsn, "A", 5, volume_sol=0.1 + 0.2, buy_volume_sol=0.1 + 0.2, timestamp=when)
    insert(ours, "A", 5, 0, volume_sol="0.3", buy_volume_sol="0.3")

    answer = ask(empty_dsn, ours)

    assert answer.exit_code == 0
    assert answer.found["theirs"]["trades"] == 1
    assert answer.found["notes"] == notes


def test_rows_that_lack_figures_are_read(theirs: str, ours: str) -> None:
    nothing = dict.fromkeys(
        ("num_buys", "num_sells", "volume_sol", "price_high", "virtual_sol_reserves")
    )
    execute(theirs, "ALTER TABLE coin_metrics ALTER price_high TYPE float8")
    insert(theirs, "A", 5, **nothing)
    insert(theirs, "B", 5, volume_sol="NaN", price_high="Infinity", price_low=0)
    execute(theirs, "INSERT INTO coin_metrics (mint) VALUES ('C')")
    execute(theirs, "INSERT INTO coin_metrics (timestamp) VALUES (%s)", (at(5),))

    answer = ask(theirs, ours)

    assert answer.found["theirs"]["rows"] == 2


def test_intervals_come_from_ours_where_theirs_has_no_phases(empty_dsn: str, ours: str) -> None:
    make_theirs(empty_dsn, phases=False)
    lost(empty_dsn, ours)

    answer = ask(empty_dsn, ours)

    assert answer.reasons == {"lost": 1}
    assert answer.found["notes"] == [
        "theirs has no ref_coin_phases: the intervals are those of ours"
    ]


def test_both_may_write_to_one_database(ours: str) -> None:
    insert(ours, "A", 1_002, buys=4)
    insert(ours, "A", 1_000, 995, buys=4)

    answer = ask(ours, ours)

    assert answer.reasons == {"windows": 1}
    assert answer.found["notes"] == [
        "theirs has rows of both: those without window_start are compared"
    ]


def test_coins_come_in_the_order_of_their_bytes(theirs: str, ours: str) -> None:
    for mint in ("b", "B", "a", "A", "_", "Z1", "z", "\u00e9", "\U0001f600", "\uffee"):
        insert(theirs, mint, 5)
        insert(ours, mint, 5, 0)

    assert ask(theirs, ours).reasons == {"same": 10}


# What is left as it is.


@pytest.fixture
def reader(postgres_server: PostgresServer) -> Iterator[str]:
    """A role that may log in, and nothing else."""
    admin = postgres_server.dsn("postgres")
    execute(admin, f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    yield "reader"
    execute(admin, "DROP ROLE reader")


@pytest.mark.parametrize("tables", ["ALL TABLES IN SCHEMA public", "coin_metrics, feed_gaps"])
def test_no_right_to_write_is_needed(tables: str, theirs: str, ours: str, reader: str) -> None:
    other(theirs, ours)
    execute(theirs, "CREATE TABLE feed_gaps ()")
    for dsn in (theirs, ours):
        execute(dsn, f"GRANT SELECT ON {tables} TO {reader}")

    answer = ask(logged_in(theirs, reader), logged_in(ours, reader))

    for dsn in (theirs, ours):
        execute(dsn, f"DROP OWNED BY {reader}")
    assert answer.reasons == {"other": 1}


def logged_in(dsn: str, role: str) -> str:
    return dsn.replace("//mintwatch@", f"//{role}:{PASSWORD}@")


def test_a_table_that_writes_when_it_is_read_is_refused(empty_dsn: str, ours: str) -> None:
    """Somebody's view counts its readers."""
    make_theirs(empty_dsn)
    insert(empty_dsn, "A", 5)
    execute(empty_dsn, "CREATE TABLE readers (at timestamptz)")
    execute(
        empty_dsn,
        "CREATE FUNCTION counted() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO readers VALUES (now()); RETURN true; END $$",
    )
    execute(empty_dsn, "ALTER TABLE coin_metrics RENAME TO kept")
    execute(empty_dsn, "CREATE VIEW coin_metrics AS SELECT * FROM kept WHERE counted()")

    done = run(empty_dsn, ours)

    assert done.exit_code == 3
    assert "cannot execute INSERT in a read-only transaction" in done.stderr


# What cannot be compared.


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
    import psycopg2  # noqa: PLC0415 - held open only here

    monkeypatch.setattr("db.compare._LOCK_S", 0.2)
    conn = psycopg2.connect(theirs)
    conn.cursor().execute("LOCK TABLE coin_metrics IN ACCESS EXCLUSIVE MODE")

    done = run(theirs, ours)

    conn.close()
    assert done.exit_code == 3
    assert "lock timeout" in spoken(done)


def test_rows_that_take_too_long_are_said(
    theirs: str, ours: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.compare.STATEMENT_S", 0.2)
    insert(theirs, "A", 5)
    execute(theirs, "ALTER TABLE coin_metrics RENAME TO kept")
    execute(theirs, "CREATE VIEW coin_metrics AS SELECT k.* FROM kept k, pg_sleep(5) AS waited")

    done = run(theirs, ours)

    assert done.exit_code == 3
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
