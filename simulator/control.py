"""The side channel of the simulator: what a test may ask and do while the feed runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from simulator.dialogue import SILENCES
from simulator.faults import FaultError, read_faults
from simulator.http_json import Answer, JsonServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from simulator.http_json import Request
    from simulator.server import FeedServer

_ANSWER_LIMIT_S = 5.0
Fields = dict[str, object]


class ControlError(ValueError):
    """A command that does not exist or lacks something; the text says what to send."""


class _Command(msgspec.Struct):
    """One command. Fields that its kind does not use are ignored."""

    kind: str
    what: str = "all"
    keys: list[str] = []
    heal: bool = True
    mid_frame: bool = False
    reset: bool = False
    drop: bool = False
    answer: bool = True
    seconds: float = 3600.0
    text: str = ""
    settings: dict[str, float] = {}


class Control:
    """Carries out commands. All methods run on the server's event loop."""

    def __init__(self, server: FeedServer) -> None:
        self._server = server
        self._commands: dict[str, Callable[[_Command], Awaitable[None]]] = {
            "drop": self._drop,
            "close": self._close,
            "silence": self._silence,
            "resume": self._resume,
            "ban": self._ban,
            "unfund": self._unfund,
            "fund": self._fund,
            "pings": self._pings,
            "hold": self._hold,
            "start": self._start,
            "send": self._send,
            "faults": self._faults,
        }

    async def do(self, body: bytes) -> Fields:
        """Carry out one command and return the state after it.

        Raises:
            ControlError: for a body that is no command.
        """
        try:
            command = msgspec.json.decode(body, type=_Command)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ControlError(f'send {{"kind": ...}}: {error}') from error
        act = self._commands.get(command.kind)
        if act is None:
            kinds = ", ".join(sorted(self._commands))
            raise ControlError(f"there is no command {command.kind!r}; there are: {kinds}")
        await act(command)
        return await self.stats()

    async def stats(self) -> Fields:
        """Return what the server did and where it stands."""
        server, session = self._server, self._server.session
        dialogue = session.dialogue if session else None
        return {
            "connections": server.connections,
            "connected": session is not None and session.open,
            "refused": server.refused,
            "frames_sent_by_kind": dict(server.counts.by_kind),
            "billed": server.counts.billed,
            "bytes_sent": server.counts.bytes_sent,
            "unsent_bytes": session.unsent_bytes if session and session.open else 0,
            "subscribed_keys": len(dialogue.mints) if dialogue else 0,
            "subscribed_accounts": len(dialogue.accounts) if dialogue else 0,
            "subscribed_creates": bool(dialogue and dialogue.creates),
            "subscribed_migrations": bool(dialogue and dialogue.migrations),
            "zombies": len(dialogue.zombies.keys) if dialogue else 0,
            "calls": dict(server.calls),
            "oversized_calls": dialogue.oversized_calls if dialogue else 0,
            "calls_over_rate": server.over_rate,
            "key_state": str(dialogue.key_state) if dialogue else None,
            "state": "held" if server.held else server.state,
            "position_s": server.position_us / 1_000_000,
        }

    async def keys(self) -> Fields:
        """Return the subscribed mints and accounts, sorted."""
        session = self._server.session
        if session is None:
            return {"mints": [], "accounts": []}
        return {
            "mints": sorted(session.dialogue.mints),
            "accounts": sorted(session.dialogue.accounts),
        }

    async def _drop(self, command: _Command) -> None:
        session = self._server.session
        if session is not None and command.reset:
            session.reset()
        elif session is not None:
            await session.drop(mid_frame=command.mid_frame)

    async def _close(self, _: _Command) -> None:
        if self._server.session is not None:
            await self._server.session.close()

    async def _silence(self, command: _Command) -> None:
        session = self._server.session
        if session is None:
            raise ControlError("nobody is connected; connect before silencing")
        if command.what == "keys":
            session.dialogue.silence_keys(command.keys, heal=command.heal)
        elif command.what in SILENCES:
            session.dialogue.silenced.add(command.what)
        else:
            raise ControlError(f"cannot silence {command.what!r}; try keys, {', '.join(SILENCES)}")

    async def _resume(self, _: _Command) -> None:
        self._server.banned_until = 0.0
        if self._server.session is not None:
            self._server.session.dialogue.resume()

    async def _ban(self, command: _Command) -> None:
        self._server.ban(command.seconds)
        if command.drop:
            await self._drop(command)

    async def _unfund(self, _: _Command) -> None:
        self._server.set_funded(funded=False)

    async def _fund(self, _: _Command) -> None:
        self._server.set_funded(funded=True)

    async def _pings(self, command: _Command) -> None:
        self._server.answers_pings = command.answer
        if self._server.session is not None:
            self._server.session.answer_pings(answers=command.answer)

    async def _hold(self, _: _Command) -> None:
        self._server.set_held(held=True)

    async def _start(self, _: _Command) -> None:
        self._server.set_held(held=False)

    async def _send(self, command: _Command) -> None:
        self._server.inject(command.text)

    async def _faults(self, command: _Command) -> None:
        try:
            self._server.change_faults(read_faults(command.settings.items()))
        except FaultError as error:
            raise ControlError(str(error)) from error


class ControlServer:
    """The HTTP side of `Control`: GET /control/stats, GET /control/keys, POST /control/fault."""

    def __init__(self, server: FeedServer, host: str, port: int) -> None:
        """Bind; call it on the running event loop.

        Raises:
            OSError: when the port is taken.
        """
        self._loop = asyncio.get_running_loop()
        self._control = Control(server)
        self._http = JsonServer(host, port, self._handle)

    @property
    def uri(self) -> str:
        """The root of the side channel."""
        return self._http.url

    def start(self) -> None:
        """Begin to answer."""
        self._http.start()

    def stop(self) -> None:
        """Stop answering."""
        self._http.stop()

    def _handle(self, request: Request) -> Answer:
        route = (request.method, urlsplit(request.path).path)
        if route == ("GET", "/control/stats"):
            work = self._control.stats()
        elif route == ("GET", "/control/keys"):
            work = self._control.keys()
        elif route == ("POST", "/control/fault"):
            work = self._control.do(request.body)
        else:
            return Answer(404, {"error": "try /control/stats, /control/keys or /control/fault"})
        try:
            answer = asyncio.run_coroutine_threadsafe(work, self._loop).result(_ANSWER_LIMIT_S)
        except ControlError as error:
            return Answer(400, {"error": str(error)})
        except TimeoutError:
            return Answer(503, {"error": "the server is busy; try again"})
        return Answer(200, answer)
