"""Writes one batch: in one transaction, or in halves around the rows that are refused.

Guarantees: pieces are committed in order, each is settled in the step that commits or buries it,
and stream-watch hears what became of every stream change. An error that blames no row ends the
batch where it stands; what was settled stays settled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.domain import Drop, Place
from actors.postgres_writer.batch import halves, mint_of, sort_out
from actors.postgres_writer.database import WRITE_ERRORS
from actors.protocol.postgres_writer import StoreTrade, StreamEnded
from actors.protocol.stream_watch import StreamChangesCommitted
from actors.protocol.supervisor import STREAM_WATCH
from actors.spool.store import SpoolError
from db.errors import Verdict, classify, one_line
from db.values import exact, sol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from actors.domain import Candle
    from actors.postgres_writer.batch import Contents
    from actors.postgres_writer.database import (
        BatchOutcome,
        RefusedRow,
        TradeConflict,
        WriterDatabase,
    )
    from actors.postgres_writer.outbox import Outbox, Piece
    from actors.postgres_writer.state import WriterState
    from actors.protocol.postgres_writer import StreamChange
    from actors.runtime import Context

_TURN_S: Final = 2.0
"""A batch full of bad rows is halved for this long a turn; the rest waits for the next one."""
_US_PER_SECOND: Final = 1_000_000


class Committer:
    """See the module's docstring. Blocks as the database does."""

    def __init__(
        self, context: Context, state: WriterState, outbox: Outbox, database: WriterDatabase
    ) -> None:
        self._context = context
        self._state = state
        self._outbox = outbox
        self._database = database

    def write(self, rows: int, limit_s: float | None) -> Exception | None:
        """Write the oldest batch; return the error that stopped it and does not blame a row.

        Args:
            rows: How many the batch has at most.
            limit_s: Bound for one statement in seconds; None leaves the session's own.
        """
        try:
            self._write_pieces(self._outbox.oldest(rows), limit_s)
        except (*WRITE_ERRORS, SpoolError) as error:
            return error
        return None

    def _write_pieces(self, pieces: Sequence[Piece], limit_s: float | None) -> None:
        """Write pieces in order, halving around the refused ones; may leave some for later.

        Raises:
            psycopg.Error, OSError, SpoolError: Try again later; what was settled stays settled.
        """
        deadline_s = self._context.monotonic_s() + _TURN_S
        rest: list[Sequence[Piece]] = [pieces] if pieces else []
        while rest:
            chunk = rest.pop()
            try:
                self._commit(chunk, limit_s)
            except WRITE_ERRORS as error:
                verdict = classify(error, single=len(chunk) == 1)
                self._context.telemetry.db_errors.labels(type=verdict.value).inc()
                if verdict is Verdict.RETRY:
                    raise
                if verdict is Verdict.SPLIT:
                    first, second = halves(chunk)
                    rest += [second, first]
                    continue
                self._give_up(chunk[0], error)
            if self._context.monotonic_s() > deadline_s:
                return

    def _commit(self, chunk: Sequence[Piece], limit_s: float | None) -> None:
        contents = sort_out([item for item, _ in chunk])
        began_s = self._context.monotonic_s()
        outcome = self._database.write(contents, limit_s)
        took_s = self._context.monotonic_s() - began_s
        self._outbox.settle(chunk, Place.COMMITTED)
        self._state.committed_rows += len(contents.candles) - len(outcome.conflicts)
        self._tell(contents.changes)
        self._measure(contents, outcome, took_s)
        self._account(outcome)

    def _account(self, outcome: BatchOutcome) -> None:
        """Say of everything that did not become a row what became of it."""
        self._dropped(Drop.ROW_REPEATED, outcome.repeated)
        self._dropped(Drop.ROW_AHEAD, outcome.ahead)
        self._dropped(Drop.TRADE_REPEATED, outcome.trades_repeated)
        for candle in outcome.conflicts:
            self._tell_conflict(candle)
        for conflict in outcome.trade_conflicts:
            self._tell_trade_conflict(conflict)
        for refused in outcome.refused:
            self._tell_refused(refused)

    def _tell_conflict(self, candle: Candle) -> None:
        """Report a candle that is kept beside the rows; its trades are in no row."""
        self._context.ledger.move(Place.COMMITTED, Place.DEAD, candle.num_trades)
        self._dropped(Drop.ROW_CONFLICT)
        self._context.note(candle.mint, "row_conflict", timestamp_us=candle.timestamp_us)
        self._context.log.error(
            "row_conflict",
            mint=candle.mint,
            timestamp_us=candle.timestamp_us,
            do="compare coin_metrics with coin_metrics_conflicts, then acknowledge",
        )

    def _tell_trade_conflict(self, conflict: TradeConflict) -> None:
        """Keep a trade that the database has with other figures; its candle is not touched."""
        item, there = conflict
        trade = item.trade
        figures = {
            "sol_amount_there": _figure(there.sol_amount),
            "sol_amount_came": _figure(sol(trade.sol_lamports)),
            "price_sol_there": _figure(there.price_sol),
            "price_sol_came": _figure(exact(trade.price_sol)),
        }
        text = "coin_transactions has this trade with other figures: {}".format(
            ", ".join(f"{name} {figure}" for name, figure in figures.items())
        )
        self._context.dead_letter(item, "refused", ValueError(text))
        self._dropped(Drop.TRADE_CONFLICT)
        self._context.note(trade.mint, "trade_conflict", seq=trade.seq)
        self._context.log.error(
            "trade_conflict",
            mint=trade.mint,
            signature=trade.signature,
            **figures,
            do="put coin_transactions right, then delete the dead letter",
        )

    def _tell_refused(self, refused: RefusedRow) -> None:
        """Bury a trade or a coin alone; the ledger counts trades with their candles."""
        item, error = refused
        self._context.dead_letter(item, "refused", error)
        cause = one_line(error)
        if isinstance(item, StoreTrade):
            self._dropped(Drop.TRADE_REFUSED)
            self._context.note(item.trade.mint, "trade_refused", error=type(error).__name__)
            self._context.log.error(
                "trade_refused",
                mint=item.trade.mint,
                signature=item.trade.signature,
                error=cause,
                do="let coin_transactions take such a value, then retry the dead letter",
            )
        else:
            self._dropped(Drop.COIN_REFUSED)
            self._context.note(item.coin.mint, "coin_refused", error=type(error).__name__)
            self._context.log.error(
                "coin_refused",
                mint=item.coin.mint,
                error=cause,
                do="let discovered_coins take such a value, then retry the dead letter",
            )

    def _dropped(self, reason: Drop, count: int = 1) -> None:
        self._context.telemetry.dropped.labels(reason=reason.value).inc(count)

    def _give_up(self, piece: Piece, error: Exception) -> None:
        self._outbox.give_up([piece], error)
        self._dropped(Drop.ROW_REFUSED)
        self._context.log.error("row_refused", mint=mint_of(piece.item), error=one_line(error))

    def _tell(self, changes: Sequence[StreamChange]) -> None:
        mints = [mint for change in changes if (mint := mint_of(change)) is not None]
        if mints:
            self._context.tell(STREAM_WATCH, StreamChangesCommitted(tuple(mints)))
        for mint, change in zip(mints, changes, strict=True):
            active = not isinstance(change, StreamEnded)
            self._context.note(mint, "stream_committed", phase=change.phase_id, active=active)

    def _measure(self, contents: Contents, outcome: BatchOutcome, took_s: float) -> None:
        telemetry = self._context.telemetry
        telemetry.metrics_saved.inc(outcome.new)
        telemetry.trades_stored.inc(outcome.trades_new)
        telemetry.ath_updates.inc(len(contents.aths))
        telemetry.batch_rows.observe(len(contents.candles))
        telemetry.commit_seconds.observe(took_s)
        telemetry.flush_duration_seconds.observe(took_s)
        now_us = self._context.now_us()
        for candle in contents.candles:
            late_s = (now_us - candle.timestamp_us) / _US_PER_SECOND
            telemetry.window_to_commit_seconds.observe(max(0.0, late_s))


def _figure(value: Decimal | float | None) -> str | None:
    return None if value is None else f"{value:f}"
