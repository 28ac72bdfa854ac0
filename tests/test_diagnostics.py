"""What a process tells of itself when asked: every thread's stack and the busiest actors."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

import pytest
import structlog

from telemetry import configure_logging, dump, log_dump

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Figures(NamedTuple):
    name: str
    busy_share: float = 0.0
    mailbox_depth: int = 0
    turn_seconds: float | None = None
    state: str = "running"
    oldest_age_seconds: float | None = None


@pytest.fixture
def waiting_thread() -> Iterator[threading.Thread]:
    end, begun = threading.Event(), threading.Event()

    def wait_for_the_end() -> None:
        begun.set()
        end.wait(30)

    thread = threading.Thread(target=wait_for_the_end, name="waiter")
    thread.start()
    assert begun.wait(10)
    yield thread
    end.set()
    thread.join(10)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


def test_every_thread_is_told_with_its_stack(waiting_thread: threading.Thread) -> None:
    assert waiting_thread.ident is not None
    frames = {waiting_thread.ident: sys._current_frames()[waiting_thread.ident], 7: sys._getframe()}

    events = dump(frames, {waiting_thread.ident: "waiter"}, [])

    assert [(name, fields["actor"]) for name, fields in events] == [
        ("thread_stack", "thread:thread-7"),
        ("thread_stack", "thread:waiter"),
    ]
    assert "in wait_for_the_end" in events[1][1]["stack"]
    assert "in test_every_thread_is_told_with_its_stack" in events[0][1]["stack"]


def test_long_stack_keeps_its_newest_calls() -> None:
    def even(levels: int) -> FrameType:
        return odd(levels - 1) if levels else sys._getframe()

    def odd(levels: int) -> FrameType:
        return even(levels - 1)

    ((_, fields),) = dump({1: even(200)}, {}, [])

    stack = str(fields["stack"])
    assert len(stack) == 4096
    assert "if levels else sys._getframe()" in stack.splitlines()[-1]


def test_ten_busiest_actors_are_told_and_who_hangs_comes_first() -> None:
    reports = [Figures(f"tracker:{number:02}", busy_share=number / 100) for number in range(30)]
    reports += [Figures("stuck", turn_seconds=9.0), Figures("behind", mailbox_depth=4000)]

    events = dump({}, {}, reports)

    assert [fields["actor"] for _, fields in events] == [
        "stuck",
        *(f"tracker:{number}" for number in range(29, 20, -1)),
    ]
    assert events[0] == (
        "actor_busy",
        {
            "actor": "stuck",
            "state": "running",
            "busy_share": 0.0,
            "turn_seconds": 9.0,
            "mailbox_depth": 0,
            "oldest_age_seconds": None,
        },
    )


def test_depth_decides_between_actors_that_are_equally_busy() -> None:
    events = dump({}, {}, [Figures("a"), Figures("b", mailbox_depth=2), Figures("c")])

    assert events[0][1]["actor"] == "b"


def test_log_has_a_line_for_each_and_the_limit_lets_all_through(
    waiting_thread: threading.Thread,
) -> None:
    stream = io.StringIO()
    configure_logging("WARNING", "json", stream)

    log_dump(structlog.get_logger("mintwatch"), [Figures(f"tracker:{n}") for n in range(12)])

    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    stacks = {line["actor"]: line["stack"] for line in found if line["event"] == "thread_stack"}
    assert {"thread:MainThread", "thread:waiter"} <= stacks.keys()
    assert "in wait_for_the_end" in stacks["thread:waiter"]
    assert len([line for line in found if line["event"] == "actor_busy"]) == 10
