"""Single trades (`coin_transactions`), kept when STORE_TRADES is on.

The caller owns the transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import psycopg

from db.encoding import fitting
from db.errors import LOCAL_REFUSALS, Verdict, classify
from db.values import to_datetime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.domain import Trade
    from db.pool import Connection

_CREATE_STAGING: Final = """
CREATE TEMP TABLE IF NOT EXISTS mintwatch_trades (
    mint varchar, "timestamp" timestamptz, trader varchar, sol int8, tx_type varchar, price float8,
    is_whale bool, phase_id int, signature varchar, token_units int8, seq int8
) ON COMMIT DELETE ROWS
"""
_STAGING_TYPES: Final = (
    *("varchar", "timestamptz", "varchar", "int8", "varchar", "float8"),
    *("bool", "int4", "varchar", "int8", "int8"),
)
_COPY: Final = "COPY mintwatch_trades FROM STDIN (FORMAT binary)"
_INSERT: Final = """
INSERT INTO coin_transactions (
    mint, timestamp, trader_public_key, sol_amount, tx_type, price_sol, is_whale, phase_id_at_time,
    signature, token_amount, seq)
SELECT mint, timestamp, trader, sol * 0.000000001, tx_type, price::text::numeric, is_whale,
phase_id,
    signature, token_units * 0.000001, seq
FROM mintwatch_trades
ORDER BY mint, signature, trader, tx_type, token_units
ON CONFLICT (mint, signature, trader_public_key, tx_type, token_amount) DO NOTHING
"""


class TradesWritten(msgspec.Struct, frozen=True):
    """What became of trades."""

    new: int
    refused: tuple[tuple[int, Exception], ...] = ()
    """Places, in the order given, of trades that the table does not take; and why."""


def copy_trades(
    conn: Connection, trades: Sequence[tuple[Trade, int]], *, whale_lamports: int
) -> TradesWritten:
    """Write trades in one go, each once by its identity; what the table refuses is left out.

    Identity is mint, signature, trader, side and token amount. When the table refuses something the
    trades are halved, each half in a savepoint, until the refused ones stand alone: about 2 ms for
    a refused one among 2,000.

    Args:
        conn: With an open transaction, which goes on whatever the table refuses.
        trades: Each with the phase of its candle.
        whale_lamports: A trade of at least this much is a whale's.

    Raises:
        psycopg.Error: Something that blames no trade; see `db.errors.classify`.
    """
    new = 0
    refused: list[tuple[int, Exception]] = []
    rest = [range(len(trades))] if trades else []
    while rest:
        places = rest.pop()
        try:
            new += _copy(conn, [trades[place] for place in places], whale_lamports)
        except (psycopg.Error, *LOCAL_REFUSALS) as error:
            match classify(error, single=len(places) == 1):
                case Verdict.RETRY:
                    raise
                case Verdict.DEAD:
                    refused.append((places[0], error))
                case Verdict.SPLIT:
                    middle = len(places) // 2
                    rest += [places[middle:], places[:middle]]
    return TradesWritten(new, tuple(refused))


def _copy(conn: Connection, trades: Sequence[tuple[Trade, int]], whale_lamports: int) -> int:
    """Write trades in a savepoint, all or none; return how many were new."""
    fit = fitting(conn)
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(_CREATE_STAGING)
        with cursor.copy(_COPY) as copy:
            copy.set_types(_STAGING_TYPES)
            for trade, phase_id in trades:
                copy.write_row(_staged(trade, phase_id, whale_lamports, fit))
        inserted = cursor.execute(_INSERT).rowcount
        cursor.execute("TRUNCATE mintwatch_trades")
    return inserted


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
