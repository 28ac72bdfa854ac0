"""Connection strings: what is refused, and that no password is ever shown."""

import traceback

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from db.dsn import parse_dsn
from db.errors import DsnError
from db.pool import connect, connection_string, create_pool
from settings import mask_dsn
from tests.support.postgres import PostgresServer

SECRET = "s3cr3t:/@ %"


@pytest.mark.parametrize(
    ("dsn", "masked"),
    [
        ("postgresql://bob:pw@db.local:5432/coins", "postgresql://bob:***@db.local:5432/coins"),
        ("postgres://bob:pw@db.local/coins", "postgresql://bob:***@db.local/coins"),
        ("postgresql://bob@db.local/coins?password=pw", "postgresql://bob:***@db.local/coins"),
        ("postgresql://bob:p%40w@[::1]:5432/coins", "postgresql://bob:***@[::1]:5432/coins"),
        ("postgresql:///coins?host=/run/pg", "postgresql:///coins?host=%2Frun%2Fpg"),
        ("postgresql://bob@h/c?sslmode=require", "postgresql://bob@h/c?sslmode=require"),
        ("host=db.local password='p w' dbname=coins", "password=*** dbname=coins host=db.local"),
        ("postgresql://bob:p@ss@db.local/coins", "***"),
        ("postgresql://bob:p/w@db.local/coins", "***"),
        ("postgresql://bob:12/w@db.local/coins", "***"),
        ("nonsense with pw", "***"),
    ],
)
def test_masking_keeps_everything_but_the_password(dsn: str, masked: str) -> None:
    assert mask_dsn(dsn) == masked


@given(st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=4))
def test_masking_never_shows_a_password(password: str) -> None:
    dsn = make_conninfo(host="h", user="u", dbname="d", password=password)

    assert mask_dsn(dsn) in {"user=u password=*** dbname=d host=h", "***"}


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "   ",
        "postgresql://bob:***@db/coins",
        "nonsense",
        "postgresql//bob:hidden@db/coins",
        "postgresql://bob:1/hidden@db/coins",
        "postgresql://bob:a@hidden@db/coins",
    ],
)
def test_an_unusable_connection_string_is_refused_without_repeating_it(dsn: str) -> None:
    with pytest.raises(DsnError) as raised:
        parse_dsn(dsn)

    shown = "".join(traceback.format_exception(raised.value))
    assert "DB_DSN" in str(raised.value)
    assert "hidden" not in shown
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_settings_of_the_given_string_win_over_ours(empty_dsn: str) -> None:
    found = parse_dsn(connection_string("host=h connect_timeout=9", application_name="mintwatch"))
    assert found["connect_timeout"] == "9"
    assert found["application_name"] == "mintwatch"

    given = make_conninfo(empty_dsn, options="-c statement_timeout=7s -c TimeZone=Asia/Tokyo")
    shown = "SELECT current_setting('statement_timeout'), current_setting('timezone')"
    with connect(given, statement_timeout_s=30) as connection:
        row = connection.execute(shown).fetchone()
    connection.close()
    with create_pool(given, statement_timeout_s=30) as pool, pool.connection() as pooled:
        same = pooled.execute(shown).fetchone()

    assert row == same == ("7s", "Asia/Tokyo")


def test_session_has_the_limits_and_runs_in_utc(empty_dsn: str) -> None:
    with connect(
        empty_dsn, application_name="trying", statement_timeout_s=2.5, lock_timeout_s=1
    ) as connection:
        shown = connection.execute(
            """
            SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),
                   current_setting('timezone'), current_setting('application_name')
            """
        ).fetchone()
    connection.close()

    assert shown == ("2500ms", "1s", "UTC", "trying")


def test_pool_replaces_a_connection_that_died_while_idle(dsn: str) -> None:
    with create_pool(dsn, min_size=1, max_size=2) as pool:
        with pool.connection() as connection:
            first = connection.info.backend_pid
        with connect(dsn, autocommit=True) as killer:
            killer.execute("SELECT pg_terminate_backend(%s, 5000)", (first,))

        with pool.connection() as connection:
            row = connection.execute("SELECT 1").fetchone()
            second = connection.info.backend_pid

    killer.close()
    assert row == (1,)
    assert second != first


def test_pool_works_again_after_the_server_was_killed(own_postgres: PostgresServer) -> None:
    with create_pool(own_postgres.dsn("mintwatch"), min_size=1, max_size=2) as pool:
        with pool.connection() as connection:
            connection.execute("CREATE TABLE kept (n int)")

        own_postgres.kill()
        with pytest.raises(psycopg.OperationalError), pool.connection(timeout=0.5) as connection:
            connection.execute("SELECT 1")
        own_postgres.start()

        with pool.connection(timeout=20) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_password_is_in_no_text_about_a_pool() -> None:
    pool = create_pool(make_conninfo(host="127.0.0.1", port=1, password=SECRET))
    try:
        assert SECRET not in f"{pool} {pool!r} {pool.name} {pool.get_stats()}"
    finally:
        pool.close()


def test_password_is_in_no_traceback_of_a_failed_connection() -> None:
    dsn = make_conninfo(host="127.0.0.1", port=1, user="bob", password=SECRET)

    with pytest.raises(Exception, match="refused") as raised:
        connect(dsn)

    assert SECRET not in "".join(traceback.format_exception(raised.value))
