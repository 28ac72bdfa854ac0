"""Listeners hear of new candles with their commit, once, whoever tells them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from actors.domain import Session
from actors.postgres_writer import PooledDatabase
from actors.postgres_writer.batch import sort_out
from actors.protocol.postgres_writer import CandleClosed
from db.pool import connect, create_pool
from tests.postgres_writer.items import a_candle

if TYPE_CHECKING:
    from db.pool import Connection

TRIGGER = """
CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_notify('coin_metrics_insert', json_build_object('mint', NEW.mint)::text);
    RETURN NEW;
END $$;
CREATE TRIGGER tell AFTER INSERT ON coin_metrics FOR EACH ROW EXECUTE FUNCTION told()
"""


def written(dsn: str, listener: Connection, announce: str) -> list[Any]:
    """Write two candles, one of them twice, and give what was heard of it."""
    listener.execute("LISTEN coin_metrics_insert")
    database = PooledDatabase(
        lambda: create_pool(dsn, max_size=1),
        whale_lamports=1,
        session=Session(0, 1, 0),
        announce=announce,
    )
    both = [CandleClosed(a_candle("A", 0)), CandleClosed(a_candle("B", 0))]
    try:
        database.write(sort_out(both[:1]), None)
        database.write(sort_out(both), None)
    finally:
        database.close()
    return [json.loads(each.payload) for each in listener.notifies(timeout=0.5)]


def mint_of(row: Any) -> str:
    assert row.keys() == {"mint", "timestamp", "phase_id"}
    return str(row["mint"])


def test_nothing_is_told_unless_it_is_wished(dsn: str) -> None:
    with connect(dsn, autocommit=True) as listener:
        assert written(dsn, listener, "off") == []


def test_each_new_row_is_heard_of_once(dsn: str) -> None:
    with connect(dsn, autocommit=True) as listener:
        assert [mint_of(row) for row in written(dsn, listener, "row")] == ["A", "B"]


def test_each_commit_is_heard_of_with_its_new_rows(dsn: str) -> None:
    with connect(dsn, autocommit=True) as listener:
        heard = written(dsn, listener, "commit")

    assert [[mint_of(row) for row in commit] for commit in heard] == [["A"], ["B"]]


def test_where_a_trigger_tells_them_the_writer_does_not(dsn: str) -> None:
    with connect(dsn, autocommit=True) as listener:
        listener.execute(TRIGGER)
        heard = written(dsn, listener, "row")

    assert heard == [{"mint": "A"}, {"mint": "B"}]
