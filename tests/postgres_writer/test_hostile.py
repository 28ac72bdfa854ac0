"""Texts and numbers that a column cannot hold are cleaned before, so that no row is refused."""

from __future__ import annotations

from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.domain import AllTimeHigh, FeedGap, Mint, Session, Wallet
from actors.postgres_writer import PooledDatabase
from actors.postgres_writer.batch import sort_out
from actors.postgres_writer.codec import decode, encode
from actors.protocol.postgres_writer import (
    CandleClosed,
    GapRecorded,
    StreamEnded,
    StreamPhaseChanged,
    StreamStarted,
)
from actors.spool.entries import StoredEntry
from db.pool import create_pool
from tests.postgres_writer.items import START_US, a_candle, a_coin, a_trade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.postgres_writer.batch import Item

EXAMPLES = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

nasty = st.sampled_from(["\0", "\ud800", "\udfff", "\u202e", "\U0001f680", "\\N", "'", "\t", "\n"])
texts = st.lists(nasty | st.characters(), max_size=40).map("".join) | nasty.map(
    lambda character: character * 3_000
)
storable = texts.map(lambda text: "".join(c for c in text if not "\ud800" <= c <= "\udfff"))
mints = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)
lamports = st.integers(0, 10**16 - 1)
units = st.integers(0, 10**18 - 1)
floats = st.floats(0, allow_nan=False, allow_infinity=False)
prices = st.none() | floats | st.sampled_from([5e-324, 1.7976931348623157e308, 1e-18])
counts = st.integers(0, 2**31 - 1)
times = st.integers(0, 4_102_444_800_000_000)


@contextmanager
def database(dsn: str) -> Iterator[PooledDatabase]:
    found = PooledDatabase(
        lambda: create_pool(dsn, max_size=1, application_name="hostile"),
        whale_lamports=1,
        session=Session(0, 1, 0),
    )
    try:
        yield found
    finally:
        found.close()


def query(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()


def kept(text: str, limit: int) -> str:
    """What is left of a text: written for this test, without the product's cleaning."""
    return text.encode("utf-8", "ignore").decode().replace("\0", "")[:limit]


@st.composite
def candles(draw: st.DrawFn) -> CandleClosed:
    start_us = draw(times)
    num_buys, num_sells = draw(st.integers(0, 10**9)), draw(st.integers(0, 10**9))
    candle = msgspec.structs.replace(
        a_candle("A", 0),
        mint=Mint(draw(mints)),
        window_start_us=start_us,
        timestamp_us=start_us + draw(st.integers(1, 10**12)),
        pool=draw(texts),
        price_open=draw(prices),
        price_high=draw(prices),
        price_low=draw(prices),
        price_close=draw(prices),
        market_cap_close_sol=draw(prices),
        bonding_curve_pct=draw(st.none() | st.floats(0, 100)),
        volatility_pct=draw(prices),
        virtual_sol_lamports=draw(st.none() | lamports),
        volume_lamports=draw(lamports),
        buy_volume_lamports=draw(lamports),
        sell_volume_lamports=draw(lamports),
        num_buys=num_buys,
        num_sells=num_sells,
        unique_wallets=draw(st.integers(0, num_buys + num_sells)),
        num_micro_trades=draw(counts),
        dev_sold_lamports=draw(st.none() | lamports),
        covered_us=draw(st.integers(0, 10**12)),
        chain_breaks=draw(counts),
    )
    trade = msgspec.structs.replace(
        a_trade("A", draw(st.integers(0, 2**62))),
        mint=candle.mint,
        signature=draw(texts),
        trader=Wallet(draw(texts)),
        sol_lamports=draw(lamports),
        token_units=draw(units),
        price_sol=draw(prices),
        arrived_us=draw(times),
    )
    ath = draw(st.none() | floats.map(lambda price: AllTimeHigh(candle.mint, price, start_us)))
    return CandleClosed(candle, ath, (trade,))


@st.composite
def starts(draw: st.DrawFn) -> StreamStarted:
    coin = msgspec.structs.replace(
        a_coin("A"),
        mint=Mint(draw(mints)),
        creator=Wallet(draw(texts)),
        signature=draw(texts),
        name=draw(texts),
        symbol=draw(texts),
        uri=draw(texts),
        pool=draw(texts),
        bonding_curve_key=draw(texts),
        price_sol=draw(prices),
        market_cap_sol=draw(prices),
        virtual_sol_lamports=draw(st.none() | lamports),
        virtual_token_units=draw(st.none() | units),
        social_count=draw(st.none() | st.integers(0, 4)),
    )
    return StreamStarted(coin, draw(st.integers(1, 98)), draw(times))


@EXAMPLES
@given(closed=candles())
def test_any_candle_with_any_trade_is_written_whole(dsn: str, closed: CandleClosed) -> None:
    query(dsn, "TRUNCATE coin_metrics, coin_transactions")
    with database(dsn) as target:
        assert target.write(sort_out([closed]), None).new == 1

    candle, (trade,) = closed.candle, closed.trades
    ((*row, price_close),) = query(
        dsn, "SELECT mint, pool, volume_sol, num_buys, price_close FROM coin_metrics"
    )
    assert row == [
        candle.mint,
        kept(candle.pool, 20),
        Decimal(candle.volume_lamports).scaleb(-9),
        candle.num_buys,
    ]
    # Above 2**53 the server's shortest decimal may have other digits than Python's.
    assert (None if price_close is None else float(price_close)) == candle.price_close
    assert query(
        dsn, "SELECT trader_public_key, signature, sol_amount, token_amount FROM coin_transactions"
    ) == [
        (
            kept(trade.trader, 44),
            kept(trade.signature, 88),
            Decimal(trade.sol_lamports or 0).scaleb(-9),
            Decimal(trade.token_units).scaleb(-6),
        )
    ]


@EXAMPLES
@given(start=starts())
def test_any_coin_is_written_with_its_stream_from_beginning_to_end(
    dsn: str, start: StreamStarted
) -> None:
    query(dsn, "TRUNCATE discovered_coins, coin_streams")
    coin = start.coin
    changes: list[Item] = [
        start,
        StreamPhaseChanged(coin.mint, 2),
        StreamEnded(coin.mint, 99, graduated=False, at_us=START_US),
    ]
    with database(dsn) as target:
        target.write(sort_out(changes), None)

    assert query(dsn, "SELECT token_address, name, symbol FROM discovered_coins") == [
        (coin.mint, kept(coin.name, 255) or None, kept(coin.symbol, 30) or None)
    ]
    assert query(dsn, "SELECT token_address, is_active FROM coin_streams") == [(coin.mint, False)]


@EXAMPLES
@given(reason=texts, mint=st.none() | mints, started_us=times)
def test_any_gap_is_written(dsn: str, reason: str, mint: str | None, started_us: int) -> None:
    query(dsn, "TRUNCATE feed_gaps")
    gap = FeedGap(None if mint is None else Mint(mint), started_us, started_us + 1, reason)
    with database(dsn) as target:
        target.write(sort_out([GapRecorded(gap)]), None)

    assert query(dsn, "SELECT mint, reason FROM feed_gaps") == [(mint, kept(reason, 1_000))]


@settings(max_examples=200, deadline=None)
@given(name=storable, reason=storable)
def test_what_can_be_stored_comes_back_from_the_spool_as_it_was(name: str, reason: str) -> None:
    coin = msgspec.structs.replace(a_coin("A"), name=name)
    items: list[Item] = [
        StreamStarted(coin, 1, START_US),
        GapRecorded(FeedGap(None, START_US, None, reason)),
    ]
    for item in items:
        entry = encode(item)
        stored = StoredEntry(1, entry.kind, entry.key, entry.payload, entry.weight, 0)
        assert decode(stored) == item
