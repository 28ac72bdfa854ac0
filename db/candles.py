"""Candles (`coin_metrics`): writing them exactly and once, reading them back.

The caller owns the transaction.

Amounts go over the wire as integers and become SOL in SQL by a multiplication with 0.000000001,
which numeric does without rounding; prices go as doubles and become the shortest decimal that reads
back as the same double.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from psycopg import sql
from psycopg.rows import dict_row

from actors.domain import Candle, Mint
from db.encoding import fitting
from db.values import MicrosLoader, jsonable, to_datetime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg

    from db.pool import Connection

_POOL_LENGTH: Final = 20

# A name of this version's own: behind a pooler a session may have served another version.
_CREATE_STAGING: Final = """
CREATE TEMP TABLE IF NOT EXISTS mintwatch_rows (
    place int, mint varchar, window_start timestamptz, "timestamp" timestamptz, phase_id int,
    interval_seconds int, pool varchar, price_open float8, price_high float8, price_low float8,
    price_close float8, market_cap float8, curve_pct float8, v_sol int8, is_koth bool,
    volatility_pct float8, volume int8, buys int8, sells int8, num_buys int, num_sells int,
    wallets int, micro int, dev_sold int8, max_buy int8, max_sell int8, whale_buys int8,
    whale_sells int8, num_whale_buys int, num_whale_sells int, covered_us int8, chain_breaks int,
    without_amount int, last_seq int8
) ON COMMIT DELETE ROWS
"""
_STAGING_TYPES: Final = (
    *("int4", "varchar", "timestamptz", "timestamptz", "int4", "int4"),
    *("varchar", "float8", "float8", "float8", "float8"),
    *("float8", "float8", "int8", "bool", "float8"),
    *("int8", "int8", "int8", "int4", "int4", "int4", "int4"),
    *("int8", "int8", "int8", "int8", "int8"),
    *("int4", "int4", "int8", "int4", "int4", "int8"),
)
_COPY: Final = "COPY mintwatch_rows FROM STDIN (FORMAT binary)"

_COLUMNS: Final = sql.SQL(
    """
    mint, window_start, "timestamp", phase_id_at_time, interval_seconds, pool,
    price_open, price_high, price_low, price_close, market_cap_close,
    bonding_curve_pct, virtual_sol_reserves, is_koth, volatility_pct,
    volume_sol, buy_volume_sol, sell_volume_sol, net_volume_sol,
    num_buys, num_sells, unique_wallets, num_micro_trades, dev_sold_amount,
    max_single_buy_sol, max_single_sell_sol, whale_buy_volume_sol, whale_sell_volume_sol,
    num_whale_buys, num_whale_sells, avg_trade_size_sol, buy_pressure_ratio, unique_signer_ratio,
    covered_seconds, chain_breaks, trades_without_amount, last_seq, journal_id
    """
)
# An average has 12 decimals, in whole numbers: a quotient of numerics may have fewer when it is
# large. The two ratios are rounded by their columns, and volatility is held
# within its column.
_VALUES: Final = sql.SQL(
    """
    mint, window_start, "timestamp", phase_id, interval_seconds, pool,
    price_open::text::numeric, price_high::text::numeric, price_low::text::numeric,
    price_close::text::numeric, market_cap::text::numeric,
    curve_pct::text::numeric, v_sol * 0.000000001, is_koth,
    CASE WHEN volatility_pct > 999999.9999 THEN 999999.9999 ELSE volatility_pct::text::numeric END,
    volume * 0.000000001, buys * 0.000000001, sells * 0.000000001,
    (buys::numeric - sells) * 0.000000001,
    num_buys, num_sells, wallets, micro, dev_sold * 0.000000001,
    max_buy * 0.000000001, max_sell * 0.000000001,
    whale_buys * 0.000000001, whale_sells * 0.000000001, num_whale_buys, num_whale_sells,
    coalesce(div(volume * 2000::numeric + num_buys + num_sells,
        2::numeric * nullif(num_buys::numeric + num_sells, 0)) * 0.000000000001, 0),
    coalesce(buys / nullif(buys::numeric + sells, 0), 0),
    coalesce(wallets::numeric / nullif(num_buys + num_sells, 0), 0),
    covered_us / 1e6::float8, chain_breaks, without_amount, last_seq, %(journal_id)s::int
    """
)
# In the order of mint and time, so that two writers of the same rows wait for each other instead of
# deadlocking.
_INSERT: Final = sql.SQL(
    """
    INSERT INTO coin_metrics ({columns}) SELECT {values} FROM mintwatch_rows
    ORDER BY mint, "timestamp", place
    ON CONFLICT (mint, "timestamp") WHERE window_start IS NOT NULL DO NOTHING
    """
).format(columns=_COLUMNS, values=_VALUES)

# The form of the successor's trigger. A notification holds less than 8,000 bytes.
_ANNOUNCE_ROWS: Final = """
    WITH new AS ({insert} RETURNING mint, "timestamp", phase_id_at_time), told AS (
        SELECT json_build_object('mint', mint, 'timestamp', "timestamp",
            'phase_id', phase_id_at_time)::text AS row, mint, "timestamp" FROM new
    )
    SELECT count(*), count(pg_notify('coin_metrics_insert', row)) FROM told
"""
_ANNOUNCE_COMMIT: Final = """
    WITH new AS ({insert} RETURNING mint, "timestamp", phase_id_at_time), told AS (
        SELECT json_build_object('mint', mint, 'timestamp', "timestamp",
            'phase_id', phase_id_at_time)::text AS row, mint, "timestamp" FROM new
    ), placed AS (
        SELECT row, sum(octet_length(row) + 1) OVER (ORDER BY mint, "timestamp") / 7500 AS part
        FROM told
    ), parts AS (
        SELECT count(*) AS rows, '[' || string_agg(row, ',') || ']' AS part FROM placed
        GROUP BY floor(part)
    )
    SELECT coalesce(sum(rows), 0)::bigint, count(pg_notify('coin_metrics_insert', part)) FROM parts
"""
_ANNOUNCING: Final = {
    "row": sql.SQL(_ANNOUNCE_ROWS).format(insert=_INSERT),
    "commit": sql.SQL(_ANNOUNCE_COMMIT).format(insert=_INSERT),
}
_HAS_TRIGGER: Final = """
    SELECT EXISTS (
        SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = to_regclass('coin_metrics') AND t.tgenabled <> 'D'
          AND p.prosrc LIKE '%coin_metrics_insert%')
"""

_FROM_TRADES: Final = (
    *("window_start", "interval_seconds", "price_open", "price_high", "price_low", "price_close"),
    *("virtual_sol_reserves", "volume_sol", "buy_volume_sol", "sell_volume_sol"),
    *("num_buys", "num_sells", "unique_wallets", "num_micro_trades"),
    *("max_single_buy_sol", "max_single_sell_sol"),
)
"""What follows from the trades of a window alone: not from settings, coverage or the run."""


def _same(left: str, right: str) -> sql.Composable:
    """Compare two rows by what follows from their trades; what a creator sold may be unknown."""
    mine, theirs = (
        sql.SQL(", ").join(sql.Identifier(side, name) for name in _FROM_TRADES)
        for side in (left, right)
    )
    sold = [sql.Identifier(side, "dev_sold_amount") for side in (left, right)]
    return sql.SQL("(({}) IS NOT DISTINCT FROM ({}) AND ({} = {}) IS NOT FALSE)").format(
        mine, theirs, *sold
    )


_TOLD: Final = sql.SQL("WITH told (place, {}) AS (SELECT place, {} FROM mintwatch_rows)").format(
    _COLUMNS, _VALUES
)
# By way of the table's own row type: a column of an adopted table may round, and what it would make
# of our figure is what has to be equal.
_FIND_DIFFERENT: Final = sql.SQL(
    """
    {told} SELECT told.place, there.mint IS NULL FROM told
    CROSS JOIN LATERAL jsonb_populate_record(NULL::coin_metrics, to_jsonb(told)) AS ours
    LEFT JOIN coin_metrics AS there ON there.mint = told.mint
        AND there."timestamp" = told."timestamp" AND there.window_start IS NOT NULL
    WHERE there.mint IS NULL OR NOT {same}
    ORDER BY told.place
    """
).format(told=_TOLD, same=_same("there", "ours"))
_KEEP: Final = """
    {told} INSERT INTO {table} ({columns})
    SELECT DISTINCT {columns} FROM told WHERE place = ANY(%(places)s) AND NOT EXISTS (
        SELECT FROM {table} AS there WHERE there.mint = told.mint
        AND there."timestamp" = told."timestamp" AND {same})
"""


def _keep_in(table: str) -> sql.Composed:
    return sql.SQL(_KEEP).format(
        told=_TOLD, table=sql.Identifier(table), columns=_COLUMNS, same=_same("there", "told")
    )


_KEEP_AHEAD: Final = _keep_in("coin_metrics_ahead")
_KEEP_CONFLICTS: Final = _keep_in("coin_metrics_conflicts")


class CandlesWritten(msgspec.Struct, frozen=True):
    """What became of candles."""

    new: int = 0
    repeated: int = 0
    """Their row was there already, with the same figures."""
    conflicts: tuple[Candle, ...] = ()
    """Their row was there already, with other figures; they are in `coin_metrics_conflicts`."""


class PricePoint(msgspec.Struct, frozen=True):
    """A closing price and the end of the window it closed."""

    timestamp_us: int
    price_sol: float


def announce_themselves(conn: Connection) -> bool:
    """Say whether a trigger of coin_metrics notifies of its rows, as that of the successor does."""
    return conn.execute(_HAS_TRIGGER).fetchone() == (True,)


def copy_candles(
    conn: Connection, candles: Sequence[Candle], journal_id: int = 0, announce: str = "off"
) -> CandlesWritten:
    """Write candles in one go, once: a row that is there already (mint and time) stays as it is.

    COPY into a staging table of the session, then one INSERT, in a transaction or a savepoint of
    their own. Only when rows were there already are they looked at: equal figures are a repetition,
    others a conflict, which is kept in `coin_metrics_conflicts`. Measured: 28,000 to 50,000 rows a
    second in batches of 1,000, 33,000 to 60,000 in batches of 10,000 (2 shared cores).

    Args:
        conn: Of the caller.
        candles: In any order.
        journal_id: Whose sequence numbers theirs are; 0: of no journal.
        announce: What is notified on `coin_metrics_insert` with the commit: `off`, an object for
            each new row (`row`), or arrays of them (`commit`).

    Raises:
        psycopg.DataError: A value does not fit; nothing of this call is written.
        ValueError: A trigger or a rule of the table took a row away; nothing is written.
    """
    with _staged(conn, candles) as cursor:
        journal = {"journal_id": journal_id or None}
        new = _insert(cursor, journal, announce)
        if new == len(candles):
            return CandlesWritten(new)
        different = cursor.execute(_FIND_DIFFERENT, journal).fetchall()
        if any(is_missing for _, is_missing in different):
            raise ValueError(
                "coin_metrics has not kept the row: look for a trigger or a rule of that table "
                "that takes rows away"
            )
        places = [place for place, _ in different]
        if places:
            cursor.execute(_KEEP_CONFLICTS, {**journal, "places": places})
    conflicts = tuple(candles[place] for place in places)
    return CandlesWritten(new, len(candles) - new - len(conflicts), conflicts)


def _insert(cursor: psycopg.Cursor[Any], journal: dict[str, int | None], announce: str) -> int:
    if announce == "off":
        return cursor.execute(_INSERT, journal).rowcount
    ((new, _),) = cursor.execute(_ANNOUNCING[announce], journal).fetchall()
    return int(new)


def keep_ahead(conn: Connection, candles: Sequence[Candle], journal_id: int) -> None:
    """Write candles to `coin_metrics_ahead` instead, each once; see `db.aside`.

    Raises:
        psycopg.DataError: A value does not fit; nothing of this call is written.
    """
    with _staged(conn, candles) as cursor:
        places = list(range(len(candles)))
        cursor.execute(_KEEP_AHEAD, {"journal_id": journal_id or None, "places": places})


@contextmanager
def _staged(conn: Connection, candles: Sequence[Candle]) -> Iterator[psycopg.Cursor[Any]]:
    """Have candles in the staging table, in a transaction or a savepoint of their own."""
    fit = fitting(conn)
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(_CREATE_STAGING)
        with cursor.copy(_COPY) as copy:
            copy.set_types(_STAGING_TYPES)
            for place, candle in enumerate(candles):
                copy.write_row(_values(place, candle, fit))
        yield cursor
        cursor.execute("TRUNCATE mintwatch_rows")


def latest(conn: Connection, mint: Mint) -> dict[str, Any] | None:
    """Read the newest row of a mint, fit for JSON; None when it has none."""
    return next(iter(recent(conn, 1, mint)), None)


def recent(conn: Connection, limit: int, mint: Mint | None = None) -> Sequence[dict[str, Any]]:
    """Read the newest rows first, of one mint or of all, fit for JSON."""
    query = (
        "SELECT * FROM coin_metrics WHERE timestamp IS NOT NULL ORDER BY timestamp DESC LIMIT "
        "%(limit)s"
        if mint is None
        else "SELECT * FROM coin_metrics WHERE mint = %(mint)s AND timestamp IS NOT NULL"
        " ORDER BY timestamp DESC LIMIT %(limit)s"
    )
    with conn.cursor(row_factory=dict_row) as cursor:
        return [jsonable(row) for row in cursor.execute(query, {"mint": mint, "limit": limit})]


def prices_at(
    conn: Connection, mint: Mint, times_us: Sequence[int], tolerance_us: int
) -> list[PricePoint | None]:
    """Read, for each time, the closing price of the newest row at or before it.

    Args:
        conn: Of the caller.
        mint: The coin.
        times_us: Microseconds since 1970 UTC, any order.
        tolerance_us: How much older than its time a row may be.

    Returns:
        One point a time, in the order of `times_us`; None where no row with a price is near enough.
    """
    with conn.cursor(binary=True) as cursor:
        cursor.adapters.register_loader("timestamptz", MicrosLoader)
        rows = cursor.execute(
            """
            SELECT r.timestamp, r.price_close::float8
            FROM unnest(%(times)s::timestamptz[]) WITH ORDINALITY AS wanted(at, place)
            LEFT JOIN LATERAL (
                SELECT m.timestamp, m.price_close FROM coin_metrics m
                WHERE m.mint = %(mint)s AND m.price_close IS NOT NULL AND m.timestamp <= wanted.at
                  AND m.timestamp >= wanted.at - %(tolerance)s::bigint * interval '1 microsecond'
                ORDER BY m.timestamp DESC LIMIT 1
            ) r ON true
            ORDER BY wanted.place
            """,
            {
                "times": [to_datetime(at) for at in times_us],
                "mint": mint,
                "tolerance": tolerance_us,
            },
        )
        return [None if row[0] is None else PricePoint(*row) for row in rows.fetchall()]


def _values(place: int, candle: Candle, fit: Callable[[str, int], str]) -> tuple[Any, ...]:
    """Order a candle's values as the staging table has its columns."""
    return (
        place,
        fit(candle.mint, 64),
        to_datetime(candle.window_start_us),
        to_datetime(candle.timestamp_us),
        candle.phase_id,
        candle.interval_seconds,
        fit(candle.pool, _POOL_LENGTH),
        candle.price_open,
        candle.price_high,
        candle.price_low,
        candle.price_close,
        candle.market_cap_close_sol,
        candle.bonding_curve_pct,
        candle.virtual_sol_lamports,
        candle.is_koth,
        candle.volatility_pct,
        candle.volume_lamports,
        candle.buy_volume_lamports,
        candle.sell_volume_lamports,
        candle.num_buys,
        candle.num_sells,
        candle.unique_wallets,
        candle.num_micro_trades,
        candle.dev_sold_lamports,
        candle.max_single_buy_lamports,
        candle.max_single_sell_lamports,
        candle.whale_buy_volume_lamports,
        candle.whale_sell_volume_lamports,
        candle.num_whale_buys,
        candle.num_whale_sells,
        candle.covered_us,
        candle.chain_breaks,
        candle.trades_without_amount,
        candle.last_seq,
    )
