"""What a running process is at: every thread's stack, and the actors that work most."""

from __future__ import annotations

import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import FrameType

    import structlog

BUSIEST: Final = 10
_STACK_CHARACTERS: Final = 4_096
"""Of a stack the newest calls: they say where it hangs."""
_THREADS: Final = 256
"""Threads that are told; mintwatch has some twenty."""

Event = tuple[str, dict[str, Any]]
"""Name and fields of a log line."""


class Report(Protocol):
    """What is told of an actor; `actors.runtime.ActorReport` is one."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def state(self) -> str:
        """Whether it runs."""

    @property
    def mailbox_depth(self) -> int:
        """Events that wait."""

    @property
    def oldest_age_seconds(self) -> float | None:
        """How long the oldest of them has waited."""

    @property
    def busy_share(self) -> float:
        """Share of its time spent in handlers, 0 to 1."""

    @property
    def turn_seconds(self) -> float | None:
        """How long the running handler has been at it, None when idle."""


def dump(
    frames: Mapping[int, FrameType], names: Mapping[int, str], reports: Iterable[Report]
) -> tuple[Event, ...]:
    """Describe all threads and the busiest actors, one log line each; pure.

    Stacks have no values of variables. Each line has an `actor` of its own, so that the limit of
    lines per event and actor lets all of them through.

    Args:
        frames: What each thread is at, by its identifier, as `sys._current_frames` gives it.
        names: Names of threads by identifier.
        reports: All actors.
    """
    threads = sorted((names.get(number, f"thread-{number}"), number) for number in frames)
    told = [
        ("thread_stack", {"actor": f"thread:{name}", "stack": _stack(frames[number])})
        for name, number in threads[:_THREADS]
    ]
    busiest = sorted(reports, key=_business, reverse=True)[:BUSIEST]
    return (*told, *(("actor_busy", _fields(report)) for report in busiest))


def log_dump(log: structlog.stdlib.BoundLogger, reports: Iterable[Report]) -> None:
    """Log what this process is at, with level warning, so that nobody misses what he asked for.

    Not to be called in a signal handler: logging takes locks that the interrupted line may hold.
    """
    frames = sys._current_frames()  # noqa: SLF001 - the interpreter's documented way
    names = {thread.ident: thread.name for thread in threading.enumerate() if thread.ident}
    for event, fields in dump(frames, names, reports):
        log.warning(event, **fields)


def _stack(frame: FrameType) -> str:
    return "".join(traceback.format_stack(frame))[-_STACK_CHARACTERS:]


def _business(report: Report) -> tuple[float, float, int]:
    """Order by who hangs in a turn now, then by share of time, then by what waits."""
    return (report.turn_seconds or 0.0, report.busy_share, report.mailbox_depth)


def _fields(report: Report) -> dict[str, Any]:
    return {
        "actor": report.name,
        "state": report.state,
        "busy_share": report.busy_share,
        "turn_seconds": report.turn_seconds,
        "mailbox_depth": report.mailbox_depth,
        "oldest_age_seconds": report.oldest_age_seconds,
    }
