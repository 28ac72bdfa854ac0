"""Command line of the simulator: `simulate`, `replay`, `record` and `webhook`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import click
import msgspec

from simulator.dialogue import KeyState
from simulator.faults import FaultError
from simulator.market import Market, MarketConfig
from simulator.process import say, told_to_end
from simulator.replay import RecordingError, record_market
from simulator.source import MarketSource, RecordingSource
from simulator.webhook import WebhookReceiver

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.source import Source

F = TypeVar("F", bound="Callable[..., object]")
_LOOPBACK = "127.0.0.1"
_PORT = 8765
_CONTROL_PORT = 8766
_WEBHOOK_PORT = 8767


def _port(option: str, default: int, text: str) -> Callable[[F], F]:
    return click.option(
        option, default=default, show_default=True, type=click.IntRange(0, 65535), help=text
    )


def _server_options(command: F) -> F:
    """Add the options that `simulate` and `replay` share."""
    for option in reversed(
        (
            click.option("--host", default=_LOOPBACK, show_default=True, help="Address to bind."),
            _port("--port", _PORT, "Port of the feed; 0: any free one."),
            _port("--control-port", _CONTROL_PORT, "Port of the side channel; 0: any free one."),
            click.option(
                "--key-mode",
                type=click.Choice(["by-key", *(str(state) for state in KeyState)]),
                default="by-key",
                show_default=True,
                help="State of every API key. by-key: none without a key; unfunded..., "
                "unknown... and invalid... are what they say; others are funded.",
            ),
            click.option("--wait-keys", default=0, help="Start at so many trade subscriptions."),
            click.option("--hold", is_flag=True, help="Start at the control command `start`."),
            click.option("--all-trades", is_flag=True, help="Send trades of all coins."),
            click.option("--zombies", default=0.0, help="Share of subscriptions that stay silent."),
            click.option("--no-pong", is_flag=True, help="Leave pings unanswered."),
            click.option("--no-unsubscribe-ack", is_flag=True, help="Stay silent at unsubscribe."),
            click.option("--complain", is_flag=True, help="Answer bad calls with `errors`."),
            click.option("--max-buffer-mib", default=64, help="Unsent MiB; then drop the client."),
            click.option("--fault", multiple=True, help="NAME=VALUE, for example duplicates=0.01."),
            click.option(
                "--sent-log",
                type=click.Path(dir_okay=False, path_type=Path),
                help="Append every sent data frame to this file.",
            ),
            click.option("--duration", default=0.0, help="End after so many seconds; 0: never."),
            click.option("--until-stdin-closes", is_flag=True, hidden=True),
        )
    ):
        command = option(command)
    return command


@click.command()
@click.option("--seed", default=1, show_default=True, help="Same seed, same market.")
@click.option("--rate", default=1.0, show_default=True, help="Multiplier of creates a minute.")
@click.option("--coins", type=click.IntRange(1), help="Load test: so many coins, no others.")
@click.option("--create-rate", type=float, help="Load test: create so many coins a second.")
@click.option("--trades-per-second", default=100.0, show_default=True, help="Load test: trades.")
@click.option("--burst-size", default=0, help="Load test: trades in a burst of 10 ms.")
@click.option("--burst-every", default=10.0, help="Load test: seconds between bursts.")
@click.option(
    "--pool-shape",
    type=click.Choice(["mixed", "full", "bare"]),
    default="mixed",
    show_default=True,
    help="Form of trades after graduation.",
)
@_server_options
def simulate(
    *,
    seed: int,
    rate: float,
    coins: int | None,
    create_rate: float | None,
    trades_per_second: float,
    burst_size: int,
    burst_every: float,
    pool_shape: Literal["full", "bare", "mixed"],
    **options: object,
) -> None:
    """Serve a simulated market as PumpPortal would."""
    config = MarketConfig(
        rate=rate,
        coins=coins,
        create_rate_per_s=create_rate,
        trades_per_second=trades_per_second,
        burst_size=burst_size,
        burst_every_s=burst_every,
        pool_shape=pool_shape,
    )
    _serve(MarketSource(Market(seed, config)), seed, options)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--speed", default=1.0, show_default=True, help="0: as fast as the client reads.")
@click.option("--end", type=click.Choice(["idle", "close"]), default="idle", show_default=True)
@click.option("--seed", default=1, help="Of the faults.")
@_server_options
def replay(
    file: Path, speed: float, end: Literal["idle", "close"], seed: int, **options: object
) -> None:
    """Serve a recording as PumpPortal would."""
    try:
        source = RecordingSource(file, speed)
    except RecordingError as error:
        raise click.ClickException(str(error)) from error
    _serve(source, seed, options, end)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--seed", default=1, show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="Simulated length.")
@click.option("--skip", default=0.0, show_default=True, help="Simulated seconds before.")
@click.option("--rate", default=1.0, show_default=True)
@click.option("--kind", "kinds", multiple=True, help="txTypes to keep; default: all.")
@click.option("--bonk-share", default=0.005, show_default=True)
@click.option("--control-frames", is_flag=True, help="Begin with what the server says.")
def record(
    *,
    file: Path,
    seed: int,
    seconds: float,
    skip: float,
    rate: float,
    kinds: tuple[str, ...],
    bonk_share: float,
    control_frames: bool,
) -> None:
    """Write a recording of the simulated market, on simulated time."""
    config = MarketConfig(rate=rate, bonk_share=bonk_share)
    lines = record_market(
        file,
        seed,
        seconds,
        config,
        kinds=frozenset(kinds) or None,
        skip_s=skip,
        control_frames=control_frames,
    )
    click.echo(f"{file}: {lines} lines")


@click.command()
@click.option("--host", default=_LOOPBACK, show_default=True, help="Address to bind.")
@_port("--port", _WEBHOOK_PORT, "Port; 0: any free one.")
@click.option("--keep", default=1000, type=click.IntRange(1), help="Batches kept in memory.")
@click.option("--log", type=click.Path(dir_okay=False, path_type=Path), help="Append batches here.")
@click.option("--auth", envvar="WEBHOOK_AUTH", help="`Name: value` that every batch must carry.")
@click.option("--until-stdin-closes", is_flag=True, hidden=True)
def webhook(
    *,
    host: str,
    port: int,
    keep: int,
    log: Path | None,
    auth: str | None,
    until_stdin_closes: bool,
) -> None:
    """Receive batches as an n8n webhook would, and show them at /received."""
    try:
        receiver = WebhookReceiver(host, port, keep=keep, log=log, auth=auth)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    asyncio.run(_receive(receiver, until_stdin_closes=until_stdin_closes))


main = click.Group(
    "simulator",
    commands=[simulate, replay, record, webhook],
    help="A PumpPortal server and a webhook receiver on this machine.",
)


def _serve(
    source: Source, seed: int, options: dict[str, object], end: Literal["idle", "close"] = "idle"
) -> None:
    try:
        # Imported late: the server's library is an optional extra, the other commands run without.
        from simulator import serving  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "websockets":
            raise
        raise click.ClickException(
            "the server needs the package websockets; run: pip install 'mintwatch[simulator]'"
        ) from error
    common = msgspec.convert(options, serving.Common)
    try:
        asyncio.run(serving.serve_until_told(source, common, seed, end))
    except (FaultError, RecordingError, OSError) as error:
        raise click.ClickException(str(error)) from error


async def _receive(receiver: WebhookReceiver, *, until_stdin_closes: bool) -> None:
    told = told_to_end(until_stdin_closes=until_stdin_closes)
    receiver.start()
    say({"url": receiver.url})
    await told.wait()
    await asyncio.to_thread(receiver.stop)


if __name__ == "__main__":
    main()
