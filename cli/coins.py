"""`mintwatch tracker`, `why` and `tap`: one coin."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from cli.client import Refused, asking, quoted
from cli.output import as_json_option, say
from cli.tables import pairs, plain, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.client import Client

SILENCE_S: Final = 40.0
"""A stream that is silent for longer than two heartbeats and a half is lost."""


@click.command()
@click.argument("mint")
@as_json_option
@asking
def tracker(client: Client, *, mint: str, as_json: bool) -> None:
    """Show what is known of a coin in memory: its candle, timers, route and last messages."""
    answer = client.get(f"/trackers/{quoted(mint)}")
    say(answer, _overview(answer), as_json=as_json)


@click.command()
@click.argument("mint")
@as_json_option
@asking
def why(client: Client, *, mint: str, as_json: bool) -> None:
    """Show what has happened to a coin, and why; oldest first."""
    answer = client.get(f"/trackers/{quoted(mint)}/why")
    lines = [
        f"{note['at']}  {plain(note['actor'])}: {plain(note['text'])}" for note in answer["notes"]
    ]
    say(answer, lines, as_json=as_json)


@click.command()
@click.argument("mint")
@as_json_option
@asking
def tap(client: Client, *, mint: str, as_json: bool) -> None:
    """Listen in on a coin until Ctrl-C, its end, or 15 minutes have passed."""
    try:
        with client.lines(f"/trackers/{quoted(mint)}/tap", SILENCE_S) as lines:
            for name, data in events(lines):
                if as_json:
                    click.echo(json.dumps({"event": name, "data": data}))
                else:
                    click.echo(_heard(name, data))
                if name == "end":
                    return
    except KeyboardInterrupt:
        return
    raise Refused("the stream broke off: open it again.")


def events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read server-sent events; comments are passed over."""
    name = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def _overview(answer: dict[str, Any]) -> list[str]:
    actor, figures, cached = answer["actor"], answer["tracker"], answer["cached"]
    rows: list[tuple[str, Any]] = [("mint", answer["mint"])]
    if actor is not None:
        held = [word for word in ("paused", "pinned") if answer[word] and word != actor["state"]]
        rows += [
            ("state", ", ".join([actor["state"], *held])),
            ("waiting", actor["mailbox_depth"]),
            ("restarts", actor["restarts"]),
            ("last error", actor["last_error"]),
        ]
    if figures is not None:
        rows += _figures(figures)
    if cached is not None:
        rows += [
            ("in the cache", f"since {cached['discovered_at']}"),
            ("trades", cached["cached_trades"]),
        ]
    if answer["route"] is not None:
        route = answer["route"]
        rows += [("subscription", route["subscription"]), ("parked", route["parked_trades"])]
    rows += [("timer", f"{timer['key']} {_due(timer)}") for timer in answer["timers"]]
    return [*pairs(rows), *_recent(answer["recent"])]


def _figures(figures: dict[str, Any]) -> list[tuple[str, Any]]:
    candle = figures["candle"]
    return [
        ("phase", f"{figures['phase_id']}, {candle['interval_seconds']} s"),
        ("window", f"{figures['window_start'] or '-'} to {figures['window_end'] or '-'}"),
        ("price", candle["price_close"]),
        ("volume", f"{candle['volume_sol']:.9g} SOL"),
        ("trades", f"{candle['num_buys']} buys, {candle['num_sells']} sells in this window"),
        ("in all", f"{figures['trades_total']:,} trades, {figures['candles_total']:,} candles"),
        ("covered", figures["covered"]),
    ]


def _due(timer: dict[str, Any]) -> str:
    if timer["in_seconds"] is not None:
        return f"in {timer['in_seconds']:.1f} s"
    return f"at {timer['feed_at']} of the feed"


def _recent(recent: list[dict[str, Any]]) -> list[str]:
    if not recent:
        return []
    head = ("AT", "MESSAGE", "WAITED MS", "TOOK MS", "SUMMARY")
    return ["", *table(head, (_message(message) for message in recent))]


def _message(message: dict[str, Any]) -> tuple[Any, ...]:
    return (
        message["at"],
        message["message"] + (" FAILED" if message["failed"] else ""),
        round(message["waited_seconds"] * 1e3, 3),
        round(message["taken_seconds"] * 1e3, 3),
        message["summary"],
    )


def _heard(name: str, data: dict[str, Any]) -> str:
    match name:
        case "handled":
            failed = " FAILED" if data["failed"] else ""
            took = data["taken_seconds"] * 1e3
            return f"{data['at']}  {plain(data['summary'])}{failed}  ({took:.3f} ms)"
        case "note":
            return f"{data['at']}  {plain(data['actor'])}: {plain(data['text'])}"
        case "dropped":
            return f"({data['dropped']:,} left out so far: they came faster than they were read)"
        case "begin":
            return f"listening to {plain(data['mint'])}; Ctrl-C ends it"
        case _:
            return plain(str(data.get("reason", name)))
