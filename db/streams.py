"""Coins that are or were tracked (`coin_streams`); the caller owns the transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from psycopg.rows import dict_row

from actors.domain import AllTimeHigh, Mint, Wallet
from db.values import MicrosLoader, exact, jsonable, to_datetime

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from db.pool import Connection


class StreamRow(msgspec.Struct, frozen=True):
    """All that is needed to track a coin, gathered from its stream, its discovery and its rows."""

    mint: Mint
    phase_id: int
    is_active: bool
    started_us: int | None
    created_us: int | None
    """When the token was created; None when nobody knows."""
    creator: Wallet | None
    ath: AllTimeHigh | None
    """The greater of the stored one and the highs of later rows; None when both are empty or 0."""
    last_row_us: int | None
    """End of the newest row of ours in `coin_metrics`; the original's, without a window, do not
    count.
    """
    rows_seq: int = 0
    """Sequence number of the newest trade in rows of this journal; 0: there is none."""


def active_mints(conn: Connection) -> dict[Mint, int]:
    """Read the mints of all active streams with their phase: one cheap query, for polling."""
    rows = conn.execute(
        "SELECT token_address, coalesce(current_phase_id, 1) FROM coin_streams"
        " WHERE is_active AND token_address IS NOT NULL"
    )
    return {Mint(mint): phase_id for mint, phase_id in rows.fetchall()}


def read_streams(conn: Connection, mints: Iterable[Mint], journal_id: int = 0) -> list[StreamRow]:
    """Gather the streams of these mints, active or not; a mint without a stream is left out.

    One query with a few index look-ups a mint: about 80 us together. Rows of one journal commit in
    order, so the newest of them has the greatest number. It is looked for among the newest 50 rows
    first: no index has the journals, as it would cost each write a tenth. Where another journal
    wrote all of those, the mint's rows are gone through, about 1 ms for 1,000.

    Args:
        conn: Of the caller.
        mints: Which.
        journal_id: Whose sequence numbers `rows_seq` is of; 0: of none, and it is 0.
    """
    with conn.cursor(binary=True) as cursor:
        cursor.adapters.register_loader("timestamptz", MicrosLoader)
        rows = cursor.execute(
            """
            SELECT s.token_address, coalesce(s.current_phase_id, 1), s.is_active IS TRUE,
            s.started_at,
                   d.token_created_at, nullif(d.trader_public_key, ''),
                   coalesce(s.ath_price_sol, 0)::float8, s.ath_timestamp,
                   higher.price_high::float8, higher.timestamp, newest.timestamp,
                   greatest(coalesce(recent.last_seq, older.last_seq), ahead.last_seq, 0)
            FROM coin_streams s
            LEFT JOIN discovered_coins d ON d.token_address = s.token_address
            LEFT JOIN LATERAL (
                SELECT m.timestamp FROM coin_metrics m
                WHERE m.mint = s.token_address AND m.window_start IS NOT NULL
                  AND m.timestamp IS NOT NULL
                ORDER BY m.timestamp DESC LIMIT 1
            ) newest ON true
            LEFT JOIN LATERAL (
                SELECT newest_few.last_seq FROM (
                    SELECT m.last_seq, m.journal_id, m.timestamp FROM coin_metrics m
                    WHERE m.mint = s.token_address AND m.window_start IS NOT NULL
                    ORDER BY m.timestamp DESC LIMIT 50
                ) newest_few
                WHERE newest_few.journal_id = nullif(%(journal_id)s, 0)
                ORDER BY newest_few.timestamp DESC LIMIT 1
            ) recent ON true
            LEFT JOIN LATERAL (
                -- Only where another journal wrote all of the newest few: goes through its rows.
                SELECT m.last_seq FROM coin_metrics m
                WHERE recent.last_seq IS NULL AND m.mint = s.token_address
                  AND m.window_start IS NOT NULL AND m.journal_id = nullif(%(journal_id)s, 0)
                ORDER BY m.timestamp DESC LIMIT 1
            ) older ON true
            LEFT JOIN LATERAL (
                SELECT max(a.last_seq) AS last_seq FROM coin_metrics_ahead a
                WHERE a.mint = s.token_address AND a.journal_id = nullif(%(journal_id)s, 0)
            ) ahead ON true
            LEFT JOIN LATERAL (
                SELECT m.price_high, m.timestamp FROM coin_metrics m
                WHERE m.mint = s.token_address
                  AND m.timestamp > coalesce(s.ath_timestamp, '-infinity')
                  AND m.price_high > coalesce(s.ath_price_sol, 0)
                ORDER BY m.price_high DESC, m.timestamp LIMIT 1
            ) higher ON true
            WHERE s.token_address = ANY(%(mints)s)
            """,
            {"mints": list(mints), "journal_id": journal_id},
        )
        return [_stream(row) for row in rows.fetchall()]


def get_stream(conn: Connection, mint: Mint) -> dict[str, Any] | None:
    """Read the row of a stream with `phase_name`, fit for JSON; None when there is none."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            """
            SELECT s.*, p.name AS phase_name FROM coin_streams s
            LEFT JOIN ref_coin_phases p ON p.id = s.current_phase_id
            WHERE s.token_address = %s
            """,
            (mint,),
        ).fetchone()
        return None if row is None else jsonable(row)


def page(conn: Connection, limit: int) -> Sequence[dict[str, Any]]:
    """Read the rows with the highest ids first, fit for JSON."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("SELECT * FROM coin_streams ORDER BY id DESC LIMIT %s", (limit,))
        return [jsonable(row) for row in rows]


def stats(conn: Connection) -> dict[str, Any]:
    """Count the streams, in total, active, ended, and all of them by phase."""
    rows = conn.execute(
        """
        SELECT coalesce(current_phase_id, 1), count(*), count(*) FILTER (WHERE is_active)
        FROM coin_streams GROUP BY 1 ORDER BY 1
        """
    ).fetchall()
    total, active = sum(row[1] for row in rows), sum(row[2] for row in rows)
    return {
        "total_streams": total,
        "active_streams": active,
        "ended_streams": total - active,
        "streams_by_phase": {str(phase_id): count for phase_id, count, _ in rows},
    }


def start_stream(conn: Connection, mint: Mint, phase_id: int, started_us: int) -> None:
    """Make a coin's stream active.

    An active one stays as it is; an ended one begins anew and keeps its all-time high.
    """
    conn.execute(
        """
        INSERT INTO coin_streams AS known (token_address, current_phase_id, is_active, started_at)
        VALUES (%s, %s, true, %s)
        ON CONFLICT (token_address) DO UPDATE SET
            current_phase_id = EXCLUDED.current_phase_id, is_active = true, is_graduated = false,
            started_at = EXCLUDED.started_at
        WHERE known.is_active IS NOT TRUE
        """,
        (mint, phase_id, to_datetime(started_us)),
    )


def change_phase(conn: Connection, mint: Mint, phase_id: int) -> None:
    """Write the phase of an active stream; an ended one keeps the phase it ended in."""
    conn.execute(
        "UPDATE coin_streams SET current_phase_id = %s WHERE token_address = %s AND is_active",
        (phase_id, mint),
    )


def end_stream(conn: Connection, mint: Mint, phase_id: int, *, graduated: bool) -> None:
    """Make a stream inactive, in the phase that says how it ended (99 or 100)."""
    conn.execute(
        """
        UPDATE coin_streams
        SET is_active = false, current_phase_id = %s, is_graduated = %s OR is_graduated IS TRUE
        WHERE token_address = %s
        """,
        (phase_id, graduated, mint),
    )


def raise_aths(conn: Connection, aths: Iterable[AllTimeHigh]) -> int:
    """Raise stored all-time highs, never lower one, and say how many rose.

    The time moves only with the price. A mint without a stream is ignored.
    """
    best: dict[Mint, AllTimeHigh] = {}
    for ath in aths:
        if ath.mint not in best or ath.price_sol > best[ath.mint].price_sol:
            best[ath.mint] = ath
    if not best:
        return 0
    found = [best[mint] for mint in sorted(best)]
    return conn.execute(
        """
        UPDATE coin_streams s
        SET ath_price_sol = greatest(s.ath_price_sol, n.price), ath_timestamp = n.at
        FROM unnest(%s::text[], %s::numeric[], %s::timestamptz[]) AS n(mint, price, at)
        WHERE s.token_address = n.mint AND (s.ath_price_sol IS NULL OR s.ath_price_sol < n.price)
        """,
        (
            [ath.mint for ath in found],
            [exact(ath.price_sol) for ath in found],
            [to_datetime(ath.at_us) for ath in found],
        ),
    ).rowcount


def _stream(row: tuple[Any, ...]) -> StreamRow:
    mint, phase_id, is_active, started_us, created_us, creator, *rest = row
    stored, stored_us, higher, higher_us, *of_rows = rest
    ath = None
    if higher is not None:
        ath = AllTimeHigh(mint, higher, higher_us)
    elif stored > 0:
        ath = AllTimeHigh(mint, stored, stored_us or started_us or 0)
    return StreamRow(mint, phase_id, is_active, started_us, created_us, creator, ath, *of_rows)
