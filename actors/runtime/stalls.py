"""Turns that take too long: who, on what, and where it hangs.

A turn is one message being handled, or one hook: `constructor and on_start`, `on_stop`, `poll`.
"""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.runtime.cell import Cell

BLOCKED_FACTOR: Final = 2.0
"""A turn this many times longer than what is reported is not waited for any more."""
_STACK_LIMIT: Final = 4_096


class Stall(msgspec.Struct, frozen=True):
    """A turn that is longer than it should be, and not over yet."""

    name: str
    kind: str
    message: str
    """Type of the message being handled, or the hook."""
    seconds: float
    stack: str
    """Where its thread is, newest call last; without the values of variables."""


class LongTurn(NamedTuple):
    """A turn that is not over after a while."""

    cell: Cell
    started_ns: int
    seconds: float


def long_turns(cells: Iterable[Cell], now_ns: int, limit_s: float) -> list[LongTurn]:
    """Find the turns that have taken longer than `limit_s` by now."""
    limit_ns = limit_s * 1e9
    return [
        LongTurn(cell, started_ns, (now_ns - started_ns) / 1e9)
        for cell in cells
        if (started_ns := cell.turn_started_ns) is not None and now_ns - started_ns > limit_ns
    ]


def find_stalls(turns: Iterable[LongTurn]) -> list[Stall]:
    """Describe the turns that were not described before."""
    found: list[Stall] = []
    for cell, started_ns, seconds in turns:
        if cell.stall_reported_ns == started_ns:
            continue
        cell.stall_reported_ns = started_ns
        stack = _stack_of(cell.turn_thread)
        found.append(Stall(cell.name, cell.spec.kind, cell.doing, seconds, stack))
    return found


def _stack_of(thread_id: int) -> str:
    frame = sys._current_frames().get(thread_id)  # noqa: SLF001 - the interpreter's documented way
    return "" if frame is None else "".join(traceback.format_stack(frame))[-_STACK_LIMIT:]
