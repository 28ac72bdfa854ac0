"""Tables and encodings that somebody else made: what does not fit them costs itself alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from db.migrate import migrate
from tests.e2e.recordings import FROM_CREATE, NO_FILTER
from tests.e2e.rows import insert_streams, query
from tests.support.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.postgres import PostgresServer

START_S = 1_700_000_000
REQUIRED_COLUMNS = """
CREATE TABLE coin_transactions (
    mint varchar(64) NOT NULL,
    timestamp timestamptz NOT NULL DEFAULT now(),
    trader_public_key varchar(44) NOT NULL,
    sol_amount numeric(20,6) NOT NULL,
    tx_type varchar(4) NOT NULL,
    price_sol numeric(30,18) NOT NULL,
    is_whale boolean NOT NULL DEFAULT false,
    phase_id_at_time int
)
"""
MINT = "MintA111111111111111111111111111111111pump"
CURVE = {
    "bondingCurveKey": "CurveA1111111111111111111111111111111111111",
    "vTokensInBondingCurve": 1_000_000_000,
    "vSolInBondingCurve": 32.19,
    "marketCapSol": 32.19,
    "pool": "pump",
}


def a_trade(letter: str, kind: str, sol: float, **fields: Any) -> dict[str, Any]:
    return {
        "signature": f"Sig{letter}".ljust(88, "1"),
        "mint": MINT,
        "traderPublicKey": f"Wa11et{letter}".ljust(44, "1"),
        "txType": kind,
        "tokenAmount": 1_000,
        "solAmount": sol,
        **fields,
    }


def record(folder: Path, *frames: dict[str, Any]) -> Path:
    """Write a recording with a tenth of a second between two frames."""
    path = folder / "frames.jsonl"
    lines = [
        json.dumps({"received_at": START_S + number / 10, "message": frame})
        for number, frame in enumerate(frames)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def latin1_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database in the encoding LATIN1."""
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(
            sql.SQL(
                "CREATE DATABASE latin1 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' "
                "TEMPLATE template0"
            )
        )
    yield postgres_server.dsn("latin1")
    postgres_server.drop_database("latin1")


def test_a_trade_that_a_required_column_refuses_costs_itself_alone(
    empty_dsn: str, tmp_path: Path
) -> None:
    query(empty_dsn, REQUIRED_COLUMNS)
    migrate(empty_dsn)
    insert_streams(empty_dsn, [MINT], START_S * 1_000_000)
    frames = record(
        tmp_path, a_trade("A", "buy", 0.5, **CURVE), a_trade("B", "sell", 0, pool="bonk")
    )

    with Service(
        tmp_path / "state", FEED=f"replay:{frames}", DB_DSN=empty_dsn, STORE_TRADES=True
    ) as service:
        assert service.wait(30) == 0

    assert query(empty_dsn, "SELECT num_buys, num_sells FROM coin_metrics") == [(1, 1)]
    assert query(empty_dsn, "SELECT tx_type, left(signature, 4) FROM coin_transactions") == [
        ("buy", "SigA")
    ]
    [line] = [line for line in service.log.splitlines() if "trade_refused" in line]
    assert "SigB" in line
    assert MINT in line
    assert "row_refused" not in service.log


def test_a_name_that_the_encoding_does_not_have_is_poorer_and_nothing_else(
    latin1_dsn: str, tmp_path: Path
) -> None:
    create = a_trade(
        "C",
        "create",
        0.5,
        **CURVE,
        initialBuy=1_000,
        name="Dog \U0001f415 犬 é",
        symbol="犬",
        uri="",
    )
    del create["tokenAmount"]
    frames = record(tmp_path, create, a_trade("D", "buy", 0.25, **CURVE))

    with Service(
        tmp_path / "state",
        FEED=f"replay:{frames}",
        DB_DSN=latin1_dsn,
        STORE_TRADES=True,
        **FROM_CREATE,
        **NO_FILTER,
    ) as service:
        assert service.wait(30) == 0

    assert query(latin1_dsn, "SELECT name, symbol FROM discovered_coins") == [("Dog ? ? é", "?")]
    assert query(latin1_dsn, "SELECT token_address FROM coin_streams") == [(MINT,)]
    assert query(latin1_dsn, "SELECT sum(num_buys), sum(volume_sol) FROM coin_metrics") == [
        (2, pytest.approx(0.75))
    ]
    assert query(latin1_dsn, "SELECT count(*) FROM coin_transactions") == [(2,)]
    assert "refused" not in service.log
