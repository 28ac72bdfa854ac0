"""The last messages of an actor, with what they took: kept cheaply, rendered when somebody looks.

Guarantees: one writer (the thread that runs the actor's turn) and any number of readers, without a
lock. What is kept of a message is bounded: the first events of a batch and their number, and of
another message with many parts its summary alone, so that a ring never keeps thousands of events
alive.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any, Final, NamedTuple

import msgspec

from actors.runtime.inspection.preview import SUMMARY_CHARS, summary_of
from actors.runtime.messages import Batch

MESSAGES: Final = 20
KEPT_EVENTS: Final = 2
"""Events kept of a batch. A trade takes 0.9 KB with what stands around it, so the rings of 10,000
actors take 180 MiB when each is full of single trades, and not twice as much when it is full of
large batches.
"""
_BULKY: Final = ("tuple", "list", "dict", "set", "Any", "bytes", "Sequence", "Mapping")


class RecentMessage(msgspec.Struct, frozen=True):
    """One message, or one event of a batch, that an actor has handled."""

    at_us: int
    """When its turn came: arrival time, UTC in microseconds."""
    message: str
    """Name of its type."""
    summary: str
    weight: int
    """Events in it."""
    waited_s: float
    taken_s: float
    failed: bool


class Cut(NamedTuple):
    """What stands for a message that is too large to be kept."""

    name: str
    first: tuple[Any, ...] | str
    """The first events, or the summary."""
    events: int


Entry = tuple[Any, int, int, int, int, bool]
"""A handled message before anybody has looked: the message or what is kept of it, its weight, when
it was queued and begun and how long it took (monotonic nanoseconds), whether it failed. A bare
tuple: one is made for each message.
"""


def keep(message: Any) -> Any:
    """Give what may be kept of a message: itself, unless it is large."""
    if isinstance(message, Batch):
        events = message.events
        if len(events) <= KEPT_EVENTS:
            return message
        return Cut(type(message).__name__, events[:KEPT_EVENTS], len(events))
    for name in bulky_fields(message.__class__):
        if _size_of(getattr(message, name)) > KEPT_EVENTS:
            return Cut(type(message).__name__, summary_of(message), 1)
    return message


def render(entry: Entry, now_us: int, now_ns: int, limit: int = SUMMARY_CHARS) -> RecentMessage:
    """Spell an entry out.

    Args:
        entry: what was kept.
        now_us: an instant in arrival time,
        now_ns: and the same on the monotonic clock.
        limit: the most characters of the summary.
    """
    message, weight, enqueued_ns, started_ns, taken_ns, failed = entry
    return RecentMessage(
        at_us=now_us - (now_ns - started_ns) // 1000,
        message=_name_of(message),
        summary=_summary_of(message, limit),
        weight=weight,
        waited_s=max(0, started_ns - enqueued_ns) / 1e9,
        taken_s=taken_ns / 1e9,
        failed=failed,
    )


@functools.lru_cache(maxsize=1_024)
def bulky_fields(kind: Any) -> tuple[str, ...]:
    """Name the fields that may hold many parts, by their annotations."""
    if not issubclass(kind, msgspec.Struct):
        return ()
    notes = {
        name: str(note)
        for each in kind.__mro__
        for name, note in inspect.get_annotations(each).items()
    }
    return tuple(
        name
        for name in kind.__struct_fields__
        if any(word in str(notes.get(name, "Any")) for word in _BULKY)
    )


def _size_of(value: Any) -> int:
    return len(value) if isinstance(value, tuple | list | dict | set | frozenset | bytes) else 0


def _name_of(message: Any) -> str:
    return message.name if isinstance(message, Cut) else type(message).__name__


def _summary_of(message: Any, limit: int) -> str:
    if not isinstance(message, Cut):
        return summary_of(message, limit)
    if isinstance(message.first, str):
        return message.first[:limit]
    left = f", and {message.events - len(message.first)} more events)"
    return f"{message.name}({summary_of(message.first, limit - len(message.name) - 80)[1:-1]}{left}"
