"""Recordings through the whole service: every figure of every row, against a second calculation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.recordings import FROM_CREATE, NO_FILTER, recording
from tests.e2e.rows import (
    Stream,
    check_candles,
    check_totals,
    coins,
    insert_streams,
    query,
    rows,
    stored_trades,
    streams,
)
from tests.support import independent
from tests.support.service import Service

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_PATTERN = "test|bot|rug|scam|cant|honey|faucet"


def test_replayed_market_gives_exactly_the_rows_of_a_second_calculation(
    dsn: str, tmp_path: Path
) -> None:
    market = recording("market")
    lines = independent.read(market)
    expected = independent.trades(lines)
    insert_streams(dsn, {trade.mint for trade in expected}, lines[0].at_us)

    with Service(tmp_path, FEED=f"replay:{market}", DB_DSN=dsn, STORE_TRADES=True) as service:
        assert service.wait(30) == 0

    found = rows(dsn)
    check_candles(found, expected)
    check_totals(found, expected)
    assert {(row.phase_id, row.interval_seconds) for row in found} == {(1, 5)}
    assert [(t.at_us, t.identity, t.lamports, t.price) for t in stored_trades(dsn)] == [
        (t.at_us, t.identity, t.lamports, t.price) for t in expected
    ]
    assert "Traceback" not in service.log


def test_replaying_a_market_again_into_the_same_database_adds_nothing(
    dsn: str, tmp_path: Path
) -> None:
    market = recording("market")
    lines = independent.read(market)
    insert_streams(dsn, {trade.mint for trade in independent.trades(lines)}, lines[0].at_us)

    with Service(tmp_path / "1", FEED=f"replay:{market}", DB_DSN=dsn) as first:
        assert first.wait(30) == 0
    before = rows(dsn)
    with Service(tmp_path / "2", FEED=f"replay:{market}", DB_DSN=dsn) as second:
        assert second.wait(30) == 0

    assert rows(dsn) == before
    assert len(before) > 0


def test_replayed_creates_become_coins_streams_and_first_trades(dsn: str, tmp_path: Path) -> None:
    session = recording("session")
    lines = independent.read(session)
    created = independent.creators(lines)
    expected = independent.trades(lines)
    graduated = independent.migrated(lines) & created.keys()

    with Service(
        tmp_path,
        FEED=f"replay:{session}",
        DB_DSN=dsn,
        STORE_TRADES=True,
        **FROM_CREATE,
        **NO_FILTER,
    ) as service:
        assert service.wait(30) == 0

    assert coins(dsn) == created
    assert streams(dsn) == {
        mint: Stream(100, is_active=False, is_graduated=True)
        if mint in graduated
        else Stream(1, is_active=True, is_graduated=False)
        for mint in created
    }
    assert len(graduated) > 0
    found = rows(dsn)
    check_candles(found, expected, created)
    check_totals(found, expected)
    assert {trade.identity for trade in stored_trades(dsn)} == {t.identity for t in expected}


@pytest.mark.parametrize("pattern", [DEFAULT_PATTERN, "[aeiou]{2}"])
def test_filters_refuse_as_many_creates_as_a_simple_model(
    pattern: str, dsn: str, tmp_path: Path
) -> None:
    session = recording("session")
    lines = independent.read(session)
    refused = independent.filtered(lines, pattern, 30, 3)
    total = sum(line.frame.get("txType") == "create" for line in lines)

    chosen = {} if pattern == DEFAULT_PATTERN else {"BAD_NAMES_PATTERN": pattern}
    with Service(
        tmp_path, FEED=f"replay:{session}", DB_DSN=dsn, **FROM_CREATE, **chosen
    ) as service:
        assert service.wait(30) == 0

    assert 0 < sum(refused.values()) < total
    assert query(dsn, "SELECT count(*) FROM discovered_coins") == [(total - sum(refused.values()),)]
