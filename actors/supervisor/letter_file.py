"""Dead letters on disk: what an audit needs to explain that a trade is in no row.

One JSON line a letter: when, who, why, the message's type, the trades and windows that were in it,
and the error with secrets masked. Texts of strangers are not in it.

Bounds: 16 MiB, then the file is put aside as `.1` in place of the one before.
Guarantees: `write` never raises for the disk and never waits for a sync; a letter that cannot be
written is counted, and the file is tried again with the next one. Any thread may write.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any, Final

from actors.domain import Candle, Coin, Trade
from actors.protocol.postgres_writer import CandleClosed
from actors.protocol.tracker import CreatorBuy, HandOver
from actors.runtime.messages import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from actors.runtime import DeadLetter

NAME: Final = "dead-letters.jsonl"
MAX_BYTES: Final = 16 * 1024 * 1024
_MODE: Final = 0o600


class DeadLetterFile:
    """See the module's docstring.

    Args:
        folder: STATE_DIR.
        redact: Masks secrets in a text.
        max_bytes: From this size on the file is put aside.
    """

    def __init__(
        self, folder: Path, redact: Callable[[str], str], max_bytes: int = MAX_BYTES
    ) -> None:
        self._path = folder / NAME
        self._old = folder / f"{NAME}.1"
        self._redact = redact
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self.lost = 0
        """Letters that could not be written."""

    def write(self, letter: DeadLetter) -> None:
        """Append a letter that had trades in it; others explain nothing to an audit."""
        trades = [(trade.mint, trade.seq, trade.arrived_us) for trade in _trades(letter.message)]
        windows = [
            (candle.mint, candle.window_start_us, candle.timestamp_us)
            for candle in _candles(letter.message)
        ]
        if not trades and not windows:
            return
        line = {
            "at_us": letter.at_us,
            "actor": letter.actor,
            "reason": letter.reason,
            "type": type(letter.message).__name__,
            "trades": trades,
            "windows": windows,
            "error": None if letter.error is None else self._redact(letter.error),
        }
        with self._lock:
            try:
                self._append(json.dumps(line).encode("ascii") + b"\n")
            except OSError:
                self.lost += 1

    def _append(self, line: bytes) -> None:
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC
        fd = os.open(self._path, flags, _MODE)
        try:
            os.write(fd, line)
            is_full = os.fstat(fd).st_size >= self._max_bytes
        finally:
            os.close(fd)
        if is_full:
            self._path.replace(self._old)


def _trades(message: Any) -> Iterator[Trade]:
    match message:
        case Trade():
            yield message
        case Coin(buy=buy) | CreatorBuy(coin=Coin(buy=buy)):
            if buy is not None:
                yield buy
        case Batch(events=events) | HandOver(events=events):
            for event in events:
                yield from _trades(event)
        case _:
            return


def _candles(message: Any) -> Iterator[Candle]:
    match message:
        case CandleClosed(candle=candle):
            yield candle
        case _:
            return
