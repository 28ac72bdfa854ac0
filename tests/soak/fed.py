"""The connection without a socket: whoever runs the test hands it what it would have read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import structlog

from actors.connection import ConnectionActor
from actors.runtime import Message

if TYPE_CHECKING:
    from actors.domain import Mint


def quiet_log() -> structlog.stdlib.BoundLogger:
    """Make a log for a system of which thousands of actors start, fail and end: errors alone."""
    wrapper = structlog.make_filtering_bound_logger(logging.ERROR)
    log: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(), wrapper_class=wrapper
    )
    return log


class Fed(Message, frozen=True):
    """The test hands the connection the frames of one slice, which arrive now."""

    frames: tuple[bytes, ...]


class _FedReader:
    """Reads what the last message held; does nothing by itself."""

    def __init__(self, actor: FedConnection) -> None:
        self._actor = actor
        self.frames: tuple[bytes, ...] = ()

    def start(self) -> None:
        pass

    resume = stop = release = start

    def turn(self) -> None:
        frames, self.frames = self.frames, ()
        self._actor.read(frames)

    def cover(self, mint: Mint) -> None:
        pass


class FedConnection(ConnectionActor):
    """The connection with its own turns, dispatch, routes and parking; `StartReading` begins it."""

    polls = False

    def _make_reader(self) -> _FedReader:
        self._fed = _FedReader(self)
        return self._fed

    def on_receive(self, message: Any) -> Any:
        if not isinstance(message, Fed):
            return super().on_receive(message)
        self._fed.frames = message.frames
        self.poll()
        return None

    def read(self, frames: tuple[bytes, ...]) -> None:
        """Do what a reader of a socket does about a slice."""
        # Nobody listens; what is told is that coins are wanted no more.
        self._state.subscriptions.due(self.context.monotonic_s())
        arrived = self._pipeline.stamped(frames)
        batch = self._pipeline.partition(arrived)
        self._pipeline.journal(batch)
        self._pipeline.route(batch)
        self._pipeline.advance(self.context.now_us())
