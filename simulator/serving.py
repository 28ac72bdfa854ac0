"""The process of a feed server: options in, a running server with its side channel out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 -- read at run time, when options are converted
from typing import TYPE_CHECKING, Literal

from simulator.control import ControlServer
from simulator.dialogue import KeyState, Manners
from simulator.faults import Faults, read_faults
from simulator.process import say, told_to_end
from simulator.server import FeedServer, ServerConfig

if TYPE_CHECKING:
    from simulator.source import Source


@dataclass(frozen=True, slots=True)
class Common:
    """The options that `simulate` and `replay` share, as click delivers them."""

    host: str
    port: int
    control_port: int
    key_mode: str
    wait_keys: int
    hold: bool
    all_trades: bool
    zombies: float
    no_pong: bool
    no_unsubscribe_ack: bool
    complain: bool
    max_buffer_mib: int
    fault: tuple[str, ...]
    sent_log: Path | None
    duration: float
    until_stdin_closes: bool


async def serve_until_told(
    source: Source, common: Common, seed: int, end: Literal["idle", "close"]
) -> None:
    """Serve until SIGTERM, SIGINT, the end of the duration or of the parent.

    Raises:
        FaultError: for a bad fault setting.
        RecordingError: when a recording cannot be read on.
        OSError: when a port is taken or the sent log cannot be opened.
    """
    config = _server_config(common, seed, end)
    told = told_to_end(until_stdin_closes=common.until_stdin_closes)
    server = FeedServer(source, config)
    await server.start()
    control = ControlServer(server, config.host, common.control_port)
    control.start()
    say({"ws_uri": server.uri, "control_uri": control.uri})
    running = asyncio.create_task(server.wait())
    ending = asyncio.create_task(told.wait())
    try:
        done, _ = await asyncio.wait(
            {running, ending},
            timeout=common.duration or None,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if running in done:
            running.result()
    finally:
        ending.cancel()
        await asyncio.to_thread(control.stop)
        await server.stop()


def _server_config(common: Common, seed: int, end: Literal["idle", "close"]) -> ServerConfig:
    manners = Manners(
        key_state=None if common.key_mode == "by-key" else KeyState(common.key_mode),
        acknowledge_unsubscribe=not common.no_unsubscribe_ack,
        complain=common.complain,
        all_trades=common.all_trades,
        zombie_share=common.zombies,
    )
    return ServerConfig(
        host=common.host,
        port=common.port,
        seed=seed,
        manners=manners,
        faults=_read_faults(common.fault),
        answer_pings=not common.no_pong,
        wait_keys=common.wait_keys,
        hold=common.hold,
        end=end,
        max_buffer_bytes=common.max_buffer_mib * 1024 * 1024,
        sent_log=common.sent_log,
    )


def _read_faults(texts: tuple[str, ...]) -> Faults:
    pairs = [text.partition("=") for text in texts]
    return read_faults((name, value) for name, _, value in pairs)
