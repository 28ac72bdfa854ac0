"""Turns that take too long: who, on what, and where it hangs."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.runtime.cell import Cell

_STACK_LIMIT: Final = 4_096


class Stall(msgspec.Struct, frozen=True):
    """A turn that is longer than it should be, and not over yet."""

    name: str
    kind: str
    message: str
    """Type of the message being handled."""
    seconds: float
    stack: str
    """Where its thread is, newest call last; without the values of variables."""


def find_stalls(cells: Iterable[Cell], now_ns: int, limit_s: float) -> list[Stall]:
    """Find the turns that have taken longer than `limit_s`; each is reported once."""
    found: list[Stall] = []
    for cell in cells:
        started_ns, envelope = cell.turn_started_ns, cell.envelope
        if started_ns is None or envelope is None or cell.stall_reported_ns == started_ns:
            continue
        seconds = (now_ns - started_ns) / 1e9
        if seconds > limit_s:
            cell.stall_reported_ns = started_ns
            message = type(envelope.message).__name__
            stack = _stack_of(cell.turn_thread)
            found.append(Stall(cell.name, cell.spec.kind, message, seconds, stack))
    return found


def _stack_of(thread_id: int) -> str:
    frame = sys._current_frames().get(thread_id)  # noqa: SLF001 - the interpreter's documented way
    return "" if frame is None else "".join(traceback.format_stack(frame))[-_STACK_LIMIT:]
