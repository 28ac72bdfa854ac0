from __future__ import annotations

import socket

import psycopg
import pytest

from db.probe import try_database


def test_database_that_answers_can_be_used(empty_dsn: str) -> None:
    assert try_database(empty_dsn) is None


def test_database_that_is_away_is_named_without_its_password() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        said = try_database(f"postgresql://u:hunter2-word@127.0.0.1:{port}/d")
    assert said is not None
    assert f"postgresql://u:***@127.0.0.1:{port}/d cannot be used" in said
    assert "hunter2-word" not in said


def test_database_that_never_answers_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        said = try_database(f"postgresql://u@127.0.0.1:{port}/d", limit_s=0.2)
    assert said is not None
    assert "did not answer within 0.2 s" in said


def test_user_who_may_make_no_tables_is_told_what_is_missing(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as session:
        session.execute("DROP ROLE IF EXISTS probe_reader")
        session.execute("CREATE ROLE probe_reader LOGIN PASSWORD 'reader-word'")
        session.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    reader = psycopg.conninfo.make_conninfo(empty_dsn, user="probe_reader", password="reader-word")
    said = try_database(reader)
    assert said is not None
    assert "GRANT CREATE" in said


def test_answer_says_nothing_of_ports_files_and_servers(empty_dsn: str) -> None:
    with socket.socket() as nobody, socket.create_server(("127.0.0.1", 0)) as silent:
        nobody.bind(("127.0.0.1", 0))
        places = [
            f"postgresql://u:w@127.0.0.1:{nobody.getsockname()[1]}/d",
            psycopg.conninfo.make_conninfo(empty_dsn, dbname="there_is_none"),
            psycopg.conninfo.make_conninfo(empty_dsn, user="there_is_none"),
            "host=no.such.host.invalid user=u",
            f"host=127.0.0.1 port={silent.getsockname()[1]} connect_timeout=2 user=u",
        ]
        said = [try_database(dsn) for dsn in places]
    assert len({str(sentence).partition(" cannot be used: ")[2] for sentence in said}) == 1
    assert None not in said


@pytest.mark.parametrize("dsn", ["", "no dsn", "postgresql://[broken"])
def test_text_that_is_no_dsn_is_refused(dsn: str) -> None:
    assert try_database(dsn) is not None
