"""Databases in other encodings than UTF-8: texts get poorer, nothing is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from actors.domain import FeedGap, Mint
from db.candles import copy_candles, recent
from db.coins import get_coin, upsert_coin
from db.gaps import insert_gap, recent_gaps
from db.migrate import migrate
from db.phases import create_phase, get_phase
from db.pool import connect, create_pool
from db.streams import active_mints, read_streams, start_stream
from db.transactions import copy_trades
from tests.db.rows import NOON_US, a_candle, a_coin, a_trade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import PostgresServer

A = Mint("A")


@pytest.fixture
def encoded(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Iterator[str]:
    """A migrated database in the encoding that the test names."""
    name = f"in_{request.param.lower()}"
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(
            sql.SQL(
                "CREATE DATABASE {} ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            ).format(sql.Identifier(name), request.param)
        )
    migrate(postgres_server.dsn(name))
    yield postgres_server.dsn(name)
    postgres_server.drop_database(name)


def write_all(dsn: str, text: str) -> dict[str, Any]:
    """Write a text wherever a text of the feed goes, and read it back where somebody reads it."""
    with connect(dsn) as connection:
        upsert_coin(connection, a_coin(name=text, symbol=text, uri=text, creator=text))
        start_stream(connection, A, 1, NOON_US)
        copy_candles(connection, [a_candle(pool=text)])
        copy_trades(connection, [(a_trade(text, trader=text), 1)], whale_lamports=1)
        insert_gap(connection, FeedGap(None, NOON_US, None, text))
        made = {"interval_seconds": 5, "min_age_minutes": 0, "max_age_minutes": 1}
        phase = create_phase(connection, name=text, **made)
        coin = get_coin(connection, A)
        [stream] = read_streams(connection, [A])
        found = get_phase(connection, phase.id)
        assert coin is not None
        assert found is not None
        [trade] = connection.execute(
            "SELECT signature, trader_public_key FROM coin_transactions"
        ).fetchall()
        texts = {
            "coin": (coin["name"], coin["symbol"], coin["metadata_uri"], stream.creator),
            "row": recent(connection, 1)[0]["pool"],
            "trade": trade,
            "gap": recent_gaps(connection, 1)[0]["reason"],
            "phase": found.name,
        }
    connection.close()
    return texts


@pytest.mark.parametrize(
    ("encoded", "text", "left"),
    [
        ("UTF8", "Dog \U0001f415 犬", "Dog \U0001f415 犬"),
        ("LATIN1", "Dog \U0001f415 犬 é", "Dog ? ? é"),
        ("WIN1252", "€ 犬 é", "€ ? é"),
        ("WIN1251", "Собака é", "Собака ?"),
        ("SQL_ASCII", "Dog é 犬", "Dog ? ?"),
        ("EUC_JP", "犬 \u2212 é 가", "犬 ? é ?"),
        ("EUC_KR", "가 갂 犬", "가 ? 犬"),
        ("EUC_JIS_2004", "犬 dog", "? dog"),
    ],
    indirect=["encoded"],
)
def test_text_is_fitted_to_the_encoding_wherever_it_goes(
    encoded: str, text: str, left: str
) -> None:
    assert write_all(encoded, text) == {
        "coin": (left, left, left, left),
        "row": left,
        "trade": (left, left),
        "gap": left,
        "phase": left,
    }


@pytest.mark.parametrize("encoded", ["LATIN1"], indirect=True)
def test_the_clients_encoding_depends_on_nothing_but_us(
    encoded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(encoded, autocommit=True) as admin:
        admin.execute("ALTER DATABASE in_latin1 SET client_encoding TO 'SQL_ASCII'")
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")

    for dsn in (encoded, f"{encoded}&client_encoding=WIN1252"):
        with create_pool(dsn, max_size=1) as pool, pool.connection() as connection:
            assert connection.info.encoding == "utf-8"
            assert connection.execute("SELECT chr(233)").fetchone() == ("é",)


@pytest.mark.parametrize("encoded", ["SQL_ASCII"], indirect=True)
def test_bytes_of_others_in_a_database_without_an_encoding_can_be_read(encoded: str) -> None:
    with psycopg.connect(encoded, autocommit=True, client_encoding="SQL_ASCII") as other:
        other.execute("INSERT INTO discovered_coins (token_address, name) VALUES ('A', '\\xe9')")
        other.execute(b"UPDATE discovered_coins SET name = 'caf\xe9', symbol = 'caf\xc3\xa9'")
        other.execute(b"INSERT INTO coin_streams (token_address) VALUES ('caf\xe9'), ('A')")
        other.execute(b"UPDATE ref_coin_phases SET name = 'caf\xe9' WHERE id = 1")

    with create_pool(encoded, max_size=1) as pool, pool.connection() as connection:
        coin = get_coin(connection, A)
        phase = get_phase(connection, 1)
        assert active_mints(connection) == {"caf\ufffd": 1, "A": 1}
        assert read_streams(connection, [A])[0].mint == "A"
    assert coin is not None
    assert phase is not None
    assert (coin["name"], coin["symbol"], phase.name) == ("caf\ufffd", "café", "caf\ufffd")


@pytest.mark.parametrize("encoded", ["SQL_ASCII"], indirect=True)
def test_a_notification_of_any_bytes_is_heard(encoded: str) -> None:
    with connect(encoded, autocommit=True) as listener:
        listener.execute("LISTEN mintwatch_streams")
        with psycopg.connect(encoded, autocommit=True, client_encoding="SQL_ASCII") as other:
            other.execute(b"INSERT INTO coin_streams (token_address) VALUES ('caf\xe9')")

        assert len(list(listener.notifies(timeout=10, stop_after=1))) == 1
    listener.close()
