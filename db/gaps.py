"""Times in which nothing was observed (`feed_gaps`). The caller owns the transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from db.encoding import fitting
from db.values import jsonable, to_datetime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain import FeedGap, Mint
    from db.pool import Connection

_REASON_LENGTH = 1_000


def insert_gap(conn: Connection, gap: FeedGap) -> None:
    """Write a gap. Telling it again (same mint and start) adds an end it lacked, nothing else."""
    conn.execute(
        """
        INSERT INTO feed_gaps (mint, started_at, ended_at, reason) VALUES (%s, %s, %s, %s)
        ON CONFLICT ((coalesce(mint, '')), started_at)
        DO UPDATE SET ended_at = coalesce(feed_gaps.ended_at, EXCLUDED.ended_at)
        """,
        (
            gap.mint,
            to_datetime(gap.started_us),
            None if gap.ended_us is None else to_datetime(gap.ended_us),
            fitting(conn)(gap.reason, _REASON_LENGTH),
        ),
    )


def recent_gaps(conn: Connection, limit: int, mint: Mint | None = None) -> Sequence[dict[str, Any]]:
    """Read gaps, newest first, fit for JSON; with a mint, its own and those of the whole feed."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            SELECT id, mint, started_at, ended_at, reason FROM feed_gaps
            WHERE %(mint)s::text IS NULL OR mint IS NULL OR mint = %(mint)s
            ORDER BY started_at DESC, id DESC LIMIT %(limit)s
            """,
            {"mint": mint, "limit": limit},
        )
        return [jsonable(row) for row in rows]
