"""What explains that a trade is in no row: the spool, and the file of dead letters.

Read beside a running service. Everything blocks on the disk; what cannot be read is a remark, never
an error.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.audit.books import Span, Spans

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

SPOOL: Final = "spool.sqlite"
LETTERS: Final = ("dead-letters.jsonl.1", "dead-letters.jsonl")
_SPOOLED: Final = """
SELECT id, CASE WHEN kind = 'CandleClosed' AND is_wanted(key) THEN payload END
FROM entries WHERE id > ? ORDER BY id LIMIT 1000
"""
_BUSY_S: Final = 1.0
_STEP_BYTES: Final = 64 * 1024
"""Dead letters parsed in one step, some milliseconds; a longer line is one step."""


def spooled_windows(
    state_dir: Path, remarks: list[str], mints: Sequence[str] | None = None
) -> Generator[None, None, Spans]:
    """List, by mint, the windows of candles that wait on disk for the database.

    Args:
        state_dir: Where the spool lies.
        remarks: Gets a sentence when it cannot be read.
        mints: Of these alone; None: of all.

    Yields:
        After every 1,000 entries.
    """
    path = state_dir / SPOOL
    if not path.exists():
        return {}
    found: dict[str, list[Span]] = {}
    wanted = None if mints is None else frozenset(mints)
    last_id = 0
    try:
        # Read only, so that its owner notices nothing: readers of a WAL keep nobody waiting.
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S)) as db:
            db.create_function("is_wanted", 1, lambda key: wanted is None or key in wanted)
            # A page is a transaction of its own: one that stays open would let the WAL grow.
            while page := db.execute(_SPOOLED, (last_id,)).fetchall():
                for last_id, payload in page:  # noqa: B007 - the last one is where to go on
                    if payload is not None:
                        _note_candle(payload, found)
                yield
    except sqlite3.Error as error:
        remarks.append(f"the spool cannot be read ({error}): candles in it count as missing")
    return {mint: tuple(spans) for mint, spans in found.items()}


def _note_candle(payload: bytes, found: dict[str, list[Span]]) -> None:
    with suppress(msgspec.DecodeError, KeyError, TypeError):
        candle = msgspec.msgpack.decode(payload)["candle"]
        span = (candle["window_start_us"], candle["timestamp_us"])
        found.setdefault(candle["mint"], []).append(span)


class DeadLetterTotals(msgspec.Struct, frozen=True):
    """What the file of dead letters says, by mint."""

    windows: dict[str, tuple[Span, ...]] = {}
    trades: dict[str, frozenset[Span]] = {}
    """By number and arrival."""


def dead_letters(
    state_dir: Path, remarks: list[str], mints: Sequence[str] | None = None
) -> Generator[None, None, DeadLetterTotals]:
    """Read both files of dead letters; a line that is damaged, or half written, is left out.

    Args:
        state_dir: Where they lie.
        remarks: Gets a sentence when one cannot be read.
        mints: Of these alone; None: of all.

    Yields:
        After every 64 KiB.
    """
    windows: dict[str, list[Span]] = {}
    trades: dict[str, set[Span]] = {}
    wanted = None if mints is None else frozenset(mints)
    for name in LETTERS:
        for letter in _letters(state_dir / name, remarks):
            if letter is None:
                yield
                continue
            with suppress(KeyError, TypeError, ValueError):
                for mint, seq, at_us in letter["trades"]:
                    if wanted is None or mint in wanted:
                        trades.setdefault(mint, set()).add((seq, at_us))
                for mint, start_us, end_us in letter["windows"]:
                    if wanted is None or mint in wanted:
                        windows.setdefault(mint, []).append((start_us, end_us))
    return DeadLetterTotals(
        {mint: tuple(spans) for mint, spans in windows.items()},
        {mint: frozenset(keys) for mint, keys in trades.items()},
    )


def _letters(path: Path, remarks: list[str]) -> Iterator[dict[str, Any] | None]:
    """Walk the letters of a file, and give None after every `_STEP_BYTES`."""
    parsed = 0
    try:
        with path.open("rb") as file:
            for line in file:
                with suppress(ValueError):
                    letter = json.loads(line)
                    if isinstance(letter, dict):
                        yield letter
                parsed += len(line)
                if parsed >= _STEP_BYTES:
                    parsed = 0
                    yield None
    except FileNotFoundError:
        return
    except OSError as error:
        remarks.append(f"{path.name} cannot be read ({error.strerror}): it explains nothing")
