"""A PumpPortal server on this machine.

Purpose: be what a client of the real feed would meet, on good and on bad days.
Guarantees: one client at a time, a second one is refused with HTTP 403; control texts are the
real ones; each connection's unsent bytes are bounded; the sent log has every data frame that was
handed to the socket, in order.
Not guaranteed: that a frame in the sent log arrived; a client that goes away misses the last.
Relies on: one event loop; every method runs on it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random
from typing import IO, TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from simulator.dialogue import BALANCE_TOO_LOW, Dialogue, KeyState, Manners, key_state_of
from simulator.faults import FaultPipe, Faults, Tail
from simulator.frames import BROKEN, classify
from simulator.replay import recording_line
from simulator.session import Counts, FeedConnection, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from websockets.asyncio.server import Server, ServerConnection
    from websockets.http11 import Request, Response

    from simulator.frames import Frame
    from simulator.source import Source

PATH = "/api/data"
_US_PER_S = 1_000_000
_SETTLE_S = 0.25
_TICK_S = 0.002
_IDLE_S = 0.05
_STEP_US = 20_000
_BATCH = 500
_CALLS_PER_S = 200
_MAX_CALL_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """How the server listens and behaves.

    Attributes:
        host: address to bind.
        port: 0 for any free one.
        seed: of faults and zombies.
        manners: what the server answers.
        faults: how the stream is spoiled.
        answer_pings: whether protocol pings are answered.
        wait_keys: trade subscriptions that must exist before the source's clock starts.
        hold: wait for the `start` command, too.
        end: what to do when a recording is over: stay connected silently, or close.
        max_buffer_bytes: unsent bytes after which a slow reader is dropped.
        sent_log: file to append every sent data frame to.
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 1
    manners: Manners = field(default_factory=Manners)
    faults: Faults = field(default_factory=Faults)
    answer_pings: bool = True
    wait_keys: int = 0
    hold: bool = False
    end: Literal["idle", "close"] = "idle"
    max_buffer_bytes: int = 64 * 1024 * 1024
    sent_log: Path | None = None


class SentLog:
    """Appends sent data frames to a file in the form of a recording."""

    def __init__(self, path: Path | None) -> None:
        self._file: IO[bytes] | None = path.open("ab") if path else None

    def write(self, frames: Sequence[Frame], unix_s: float) -> None:
        """Append a batch and flush it; frames that are no valid data frames are left out."""
        if self._file and frames:
            self._file.write(
                b"".join(recording_line(unix_s, f.data) for f in frames if f.kind != BROKEN)
            )
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()


class FeedServer:
    """Serves one source to one client at a time."""

    def __init__(self, source: Source, config: ServerConfig) -> None:
        self.config = config
        self.counts = Counts()
        self.connections = 0
        self.refused = 0
        self.over_rate = 0
        self.calls: Counter[str] = Counter()
        self.banned_until = 0.0
        self.held = config.hold
        self.position_us = 0
        self.state = "waiting"
        self.answers_pings = config.answer_pings
        self.unfunded = False
        self.session: Session | None = None
        self._source = source
        self._pipe = FaultPipe(config.seed, config.faults)
        self._rng = Random(config.seed)  # noqa: S311 -- repeatable zombies, no secret
        self._tail = Tail(config.faults.redeliver)
        self._log = SentLog(config.sent_log)
        self._occupant: ServerConnection | None = None
        self._server: Server | None = None
        self._pump: asyncio.Task[None] | None = None
        self._calls_at: list[float] = []
        self._changed = asyncio.Event()

    @property
    def uri(self) -> str:
        """Where clients connect."""
        if self._server is None:
            raise RuntimeError("the server is not started; call start() first")
        host, port = next(iter(self._server.sockets)).getsockname()[:2]
        return f"ws://{host}:{port}{PATH}"

    async def start(self) -> None:
        """Listen and begin to serve.

        Raises:
            OSError: when the port is taken.
        """
        self._server = await serve(
            self._converse,
            self.config.host,
            self.config.port,
            process_request=self._admit,
            compression=None,
            max_size=_MAX_CALL_BYTES,
            ping_interval=None,
            close_timeout=2,
            create_connection=FeedConnection,
        )
        self._pump = asyncio.create_task(self._run())

    async def wait(self) -> None:
        """Wait for the pump; returns only when it failed.

        Raises:
            RecordingError: when the recording cannot be read on.
        """
        if self._pump is not None:
            await self._pump

    async def stop(self) -> None:
        """Close the client's connection and stop; blocks for at most a few seconds."""
        if self._pump is not None:
            self._pump.cancel()
            with suppress(asyncio.CancelledError):
                await self._pump
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self._log.close()

    def change_faults(self, faults: Faults) -> None:
        """Spoil the stream differently from now on; frames held back are sent first."""
        self._send(self._pipe.drain())
        self._pipe.faults = faults
        self._tail = Tail(faults.redeliver)

    def set_held(self, *, held: bool) -> None:
        """Stop the source's clock, or let it run (on)."""
        self.held = held
        self._changed.set()

    def ban(self, seconds: float) -> None:
        """Refuse every connection with 403 for a while; an open one stays open."""
        self.banned_until = time.monotonic() + seconds

    def set_funded(self, *, funded: bool) -> None:
        """Let the wallet behind the key run dry, or fill it again."""
        self.unfunded = not funded
        session = self.session
        if session is None:
            return
        session.dialogue.key_state = KeyState.FUNDED if funded else KeyState.UNFUNDED
        if not funded:
            session.say([BALANCE_TOO_LOW])

    def inject(self, text: str) -> None:
        """Send one text as if the source had made it; control texts always go out."""
        data = text.encode("utf-8", "surrogatepass")
        frame = classify(data)
        if frame is not None:
            self._send([frame])
        elif self.session is not None:
            self.session.say([text])

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if urlsplit(request.path).path != PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, f"the feed is at {PATH}\n")
        taken = self._occupant is not None and self._occupant.state is State.OPEN
        if taken or time.monotonic() < self.banned_until:
            self.refused += 1
            return connection.respond(HTTPStatus.FORBIDDEN, "Forbidden\n")
        self._occupant = connection
        return None

    async def _converse(self, connection: ServerConnection) -> None:
        if not isinstance(connection, FeedConnection) or connection.request is None:
            raise TypeError("serve() was given another connection class")
        dialogue = Dialogue(
            self._key_state(connection.request.path), self.config.manners, self._rng
        )
        session = Session(connection, dialogue, self.config.max_buffer_bytes)
        session.answer_pings(answers=self.answers_pings)
        self.session = session
        self.connections += 1
        session.say(dialogue.greeting())
        self._changed.set()
        with suppress(ConnectionClosed):
            async for text in connection:
                self._note_call()
                session.say(dialogue.answer(text))
                self._redeliver(session)
                self._changed.set()
        if self.session is session:
            self.session = None

    def _key_state(self, path: str) -> KeyState:
        state = self.config.manners.key_state or key_state_of(path)
        return KeyState.UNFUNDED if self.unfunded and state is KeyState.FUNDED else state

    def _note_call(self) -> None:
        now_s = time.monotonic()
        self._calls_at = [at for at in self._calls_at if at > now_s - 1] + [now_s]
        self.over_rate += len(self._calls_at) > _CALLS_PER_S

    def _redeliver(self, session: Session) -> None:
        """Send the last frames of the connection before again, once trades are subscribed."""
        if self.connections > 1 and session.dialogue.mints:
            frames = self._tail.frames()
            self._tail = Tail(self._pipe.faults.redeliver)
            self._log.write(session.deliver(frames, self.counts), time.time())

    def _send(self, frames: Sequence[Frame]) -> None:
        if self.session is not None and frames:
            sent = self.session.deliver(frames, self.counts)
            self._log.write(sent, time.time())
            self._tail.remember(sent)

    async def _run(self) -> None:
        await self._until(lambda session: session.dialogue.subscribed)
        await asyncio.sleep(_SETTLE_S)
        self._send(self._source.opening())
        await self._until(lambda session: len(session.dialogue.mints) >= self.config.wait_keys)
        self.state = "running"
        if self._source.unpaced:
            await self._play_unpaced()
        else:
            await self._play_paced()
        self._send(self._pipe.drain())
        self.state = "ended"
        if self.config.end == "close" and self.session is not None:
            await self.session.drained()
            await self.session.close()
        await asyncio.Event().wait()

    async def _until(self, ready: Callable[[Session], bool]) -> None:
        while self.held or self.session is None or not ready(self.session):
            self._changed.clear()
            await self._changed.wait()

    async def _play_unpaced(self) -> None:
        while self._source.next_due_us is not None:
            await self._until(lambda session: session.open)
            self._send(self._spoiled(self._source.frames(0, _BATCH)))
            if self.session is not None:
                await self.session.drained()
            await asyncio.sleep(0)

    async def _play_paced(self) -> None:
        last_s = time.monotonic()
        while (due_us := self._next_due_us()) is not None:
            await asyncio.sleep(min(_IDLE_S, max(_TICK_S, (due_us - self.position_us) / _US_PER_S)))
            now_s = time.monotonic()
            if not self.held:
                await self._advance(self.position_us + int((now_s - last_s) * _US_PER_S))
            last_s = now_s

    async def _advance(self, until_us: int) -> None:
        """Move the source's clock in steps, so that a late wake-up makes no huge batch."""
        while self.position_us < until_us:
            self.position_us = min(until_us, self.position_us + _STEP_US)
            frames = self._source.frames(self.position_us, _BATCH)
            while frames:
                self._send(self._spoiled(frames))
                frames = self._source.frames(self.position_us, _BATCH)
            self._send(self._spoiled([]))
            await asyncio.sleep(0)

    def _next_due_us(self) -> int | None:
        dues = [
            due for due in (self._source.next_due_us, self._pipe.next_due_us) if due is not None
        ]
        return min(dues, default=None)

    def _spoiled(self, frames: list[Frame]) -> list[Frame]:
        if not self._pipe.faults.any and self._pipe.next_due_us is None:
            return frames
        return self._pipe.feed(frames, self.position_us)
