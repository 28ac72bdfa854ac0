"""Single trades (`coin_transactions`), kept when STORE_TRADES is on.

The caller owns the transaction.
"""

from __future__ import annotations

from contextlib import contextmanager
from decimal import Decimal
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec
import psycopg
from psycopg import sql

from db.encoding import fitting
from db.errors import LOCAL_REFUSALS, REFUSED_CLASSES, Verdict, classify
from db.values import to_datetime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from actors.domain import Trade
    from db.pool import Connection

_CREATE_STAGING: Final = """
CREATE TEMP TABLE IF NOT EXISTS mintwatch_staged_trades (
    place int, mint varchar, "timestamp" timestamptz, trader varchar, sol int8, tx_type varchar,
    price float8, is_whale bool, phase_id int, signature varchar, token_units int8, seq int8
) ON COMMIT DELETE ROWS
"""
_STAGING_TYPES: Final = (
    *("int4", "varchar", "timestamptz", "varchar", "int8", "varchar", "float8"),
    *("bool", "int4", "varchar", "int8", "int8"),
)
_COPY: Final = "COPY mintwatch_staged_trades FROM STDIN (FORMAT binary)"
_INSERT_FROM: Final = """
INSERT INTO coin_transactions (
    mint, timestamp, trader_public_key, sol_amount, tx_type, price_sol, is_whale, phase_id_at_time,
    signature, token_amount, seq)
SELECT mint, timestamp, trader, sol * 0.000000001, tx_type, price::text::numeric, is_whale,
    phase_id, signature, token_units * 0.000001, seq
FROM {source} AS staged
ORDER BY mint, signature, trader, tx_type, token_units, staged.place
ON CONFLICT DO NOTHING
"""
_INSERT: Final = sql.SQL(_INSERT_FROM).format(source=sql.Identifier("mintwatch_staged_trades"))
# In the server, as each of 2,000 savepoints from here costs three journeys. What blames no row is
# raised again.
_CREATE_STORE_EACH: Final = sql.SQL(
    """
    CREATE OR REPLACE FUNCTION pg_temp.mintwatch_store_each(blaming text[])
    RETURNS TABLE (place int, stored int, code text, said text) LANGUAGE plpgsql AS $$
    DECLARE
        one mintwatch_staged_trades%ROWTYPE;
    BEGIN
        FOR one IN SELECT * FROM mintwatch_staged_trades s
        ORDER BY s.mint, s.signature, s.trader, s.tx_type, s.token_units, s.place LOOP
            place := one.place;
            code := NULL;
            said := NULL;
            BEGIN
                {insert};
                GET DIAGNOSTICS stored = ROW_COUNT;
            EXCEPTION WHEN OTHERS THEN
                IF pg_catalog.left(SQLSTATE, 2) <> ALL (blaming) THEN
                    RAISE;
                END IF;
                stored := 0;
                code := SQLSTATE;
                said := SQLERRM;
            END;
            RETURN NEXT;
        END LOOP;
    END $$
    """
).format(insert=sql.SQL(_INSERT_FROM).format(source=sql.SQL("(SELECT one.*)")))
_STORE_EACH: Final = "SELECT * FROM pg_temp.mintwatch_store_each(%s)"

# By way of the table's own row type: a column of an adopted table may round, and what it would make
# of our figure is what has to be equal. The time of arrival is another each time.
_FIND_DIFFERENT: Final = """
SELECT staged.place, there.mint IS NULL, there.sol_amount, there.price_sol
FROM mintwatch_staged_trades AS staged
CROSS JOIN LATERAL jsonb_populate_record(NULL::coin_transactions, jsonb_build_object(
    'mint', staged.mint, 'signature', staged.signature, 'trader_public_key', staged.trader,
    'tx_type', staged.tx_type, 'token_amount', staged.token_units * 0.000001,
    'sol_amount', staged.sol * 0.000000001, 'price_sol', staged.price::text::numeric)) AS ours
LEFT JOIN coin_transactions AS there ON there.mint = ours.mint
    AND there.signature = ours.signature AND there.trader_public_key = ours.trader_public_key
    AND there.tx_type = ours.tx_type AND there.token_amount = ours.token_amount
WHERE staged.place <> ALL(%s) AND (there.mint IS NULL
    OR (there.sol_amount, there.price_sol) IS DISTINCT FROM (ours.sol_amount, ours.price_sol))
ORDER BY staged.place
"""


class Conflict(msgspec.Struct, frozen=True):
    """A trade that is there already, with another amount or price."""

    place: int
    sol_amount: Decimal | float | None
    """SOL, as the row that is there has it."""
    price_sol: Decimal | float | None


class TradesWritten(msgspec.Struct, frozen=True):
    """What became of trades. Places are in the order given."""

    new: int
    repeated: int = 0
    """They were there already, with the same amount and price."""
    conflicts: tuple[Conflict, ...] = ()
    refused: tuple[tuple[int, Exception], ...] = ()
    """Places of trades that the table does not take; and why."""


def copy_trades(
    conn: Connection, trades: Sequence[tuple[Trade, int]], *, whale_lamports: int
) -> TradesWritten:
    """Write trades in one go, each once by its identity; what the table refuses is left out.

    Identity is mint, signature, trader, side and token amount. Only when trades were there already
    are they looked at: equal ones are repetitions, others conflicts. When the table refuses
    something each trade is tried alone, in a savepoint of its own: 0.1 s for 2,000 (2 shared
    cores).

    Args:
        conn: With an open transaction, which goes on whatever the table refuses.
        trades: Each with the phase of its candle.
        whale_lamports: A trade of at least this much is a whale's.

    Raises:
        psycopg.Error: Something that blames no trade; see `db.errors.classify`.
    """
    staged = [(place, *trade) for place, trade in enumerate(trades)]
    try:
        with _staging(conn, staged, whale_lamports) as cursor:
            new = cursor.execute(_INSERT).rowcount
            return _compared(cursor, len(staged), new)
    except (psycopg.Error, *LOCAL_REFUSALS) as error:
        if classify(error) is Verdict.RETRY:
            raise
    return _store_each(conn, staged, whale_lamports)


def _store_each(
    conn: Connection, staged: Sequence[tuple[int, Trade, int]], whale_lamports: int
) -> TradesWritten:
    """Try each trade alone; halve around one that cannot even be sent."""
    done: list[TradesWritten] = []
    rest = [staged]
    while rest:
        chunk = rest.pop()
        try:
            with _staging(conn, chunk, whale_lamports) as cursor:
                cursor.execute(_CREATE_STORE_EACH)
                found = cursor.execute(_STORE_EACH, (sorted(REFUSED_CLASSES),)).fetchall()
                refused = [(place, _as_error(code, said)) for place, _, code, said in found if code]
                new = sum(stored for _, stored, _, _ in found)
                done.append(_compared(cursor, len(chunk), new, refused))
        except (psycopg.Error, *LOCAL_REFUSALS) as error:
            match classify(error, single=len(chunk) == 1):
                case Verdict.RETRY:
                    raise
                case Verdict.DEAD:
                    done.append(TradesWritten(0, refused=((chunk[0][0], error),)))
                case Verdict.SPLIT:
                    middle = len(chunk) // 2
                    rest += [chunk[middle:], chunk[:middle]]
    return _together(done)


def _compared(
    cursor: psycopg.Cursor[Any],
    staged: int,
    new: int,
    refused: Sequence[tuple[int, Exception]] = (),
) -> TradesWritten:
    """Tell what was skipped from what was written, while all of it is staged."""
    if new + len(refused) == staged:
        return TradesWritten(new, refused=tuple(refused))
    found = cursor.execute(_FIND_DIFFERENT, ([place for place, _ in refused],)).fetchall()
    conflicts = tuple(Conflict(place, *there) for place, missing, *there in found if not missing)
    lost = [(place, _not_kept()) for place, missing, *_ in found if missing]
    repeated = staged - new - len(refused) - len(found)
    return TradesWritten(new, repeated, conflicts, (*refused, *lost))


def _not_kept() -> ValueError:
    return ValueError(
        "coin_transactions has not kept the trade: look for a trigger or a rule of that table that "
        "takes rows away"
    )


def _together(parts: Sequence[TradesWritten]) -> TradesWritten:
    conflicts = [conflict for part in parts for conflict in part.conflicts]
    refused = [pair for part in parts for pair in part.refused]
    return TradesWritten(
        sum(part.new for part in parts),
        sum(part.repeated for part in parts),
        tuple(sorted(conflicts, key=attrgetter("place"))),
        tuple(sorted(refused, key=itemgetter(0))),
    )


def _as_error(sqlstate: str, said: str) -> psycopg.Error:
    try:
        return psycopg.errors.lookup(sqlstate)(said)
    except KeyError:
        return psycopg.DatabaseError(f"{said} ({sqlstate})")


@contextmanager
def _staging(
    conn: Connection, trades: Iterable[tuple[int, Trade, int]], whale_lamports: int
) -> Iterator[psycopg.Cursor[Any]]:
    """Have trades in the staging table, in a transaction or a savepoint of their own."""
    fit = fitting(conn)
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(_CREATE_STAGING)
        with cursor.copy(_COPY) as copy:
            copy.set_types(_STAGING_TYPES)
            for place, trade, phase_id in trades:
                copy.write_row((place, *_staged(trade, phase_id, whale_lamports, fit)))
        yield cursor
        cursor.execute("TRUNCATE mintwatch_staged_trades")


def _staged(
    trade: Trade, phase_id: int, whale_lamports: int, fit: Callable[[str, int], str]
) -> tuple[Any, ...]:
    # None: the frame did not say.
    lamports: int | None = trade.sol_lamports
    return (
        fit(trade.mint, 64),
        to_datetime(trade.arrived_us),
        fit(trade.trader, 44),
        lamports,
        "buy" if trade.is_buy else "sell",
        trade.price_sol,
        lamports is not None and lamports >= whale_lamports,
        phase_id,
        fit(trade.signature, 88),
        trade.token_units,
        trade.seq,
    )
