"""`mintwatch resize`: sizes of the running service."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import TYPE_CHECKING, Any, Final

import click

from cli.client import asking, quoted
from cli.output import as_json_option, say
from cli.tables import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.client import Client

MOVE_S: Final = 70.0
"""The service gives up after 60 s by itself."""
_LOOK_S: Final = 0.5

dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would happen; do nothing.")


@click.group()
def resize() -> None:
    """Change sizes under load, losing nothing."""


@resize.command()
@click.argument("count", type=click.IntRange(1, 64))
@dry_run_option
@as_json_option
@asking
def threads(client: Client, *, count: int, dry_run: bool, as_json: bool) -> None:
    """Set how many threads the trackers share."""
    answer = _send(client, "dispatcher", {"threads": count}, dry_run=dry_run)
    say(answer, _lines(answer), as_json=as_json)


@resize.command()
@click.argument("count", type=click.IntRange(1, 16), required=False)
@click.option("--batch-size", type=click.IntRange(1, 50_000), help="Rows in one batch.")
@click.option("--batch-timeout-ms", type=click.IntRange(1, 60_000), help="Age of one batch.")
@dry_run_option
@as_json_option
@asking
def writers(
    client: Client,
    *,
    count: int | None,
    batch_size: int | None,
    batch_timeout_ms: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Set how many postgres-writers there are, or their batches; shows how far a move is."""
    wished = {
        "instances": count,
        "batch_size": batch_size,
        "batch_timeout_ms": batch_timeout_ms,
    }
    body = {name: value for name, value in wished.items() if value is not None}
    if not body:
        raise click.UsageError("Give COUNT, --batch-size or --batch-timeout-ms.")
    answer = _moved(client, body, dry_run=dry_run)
    say(answer, _lines(answer), as_json=as_json)


@resize.command()
@click.argument("count", type=click.IntRange(1, 1_000_000))
@dry_run_option
@as_json_option
@asking
def trackers(client: Client, *, count: int, dry_run: bool, as_json: bool) -> None:
    """Set how many coins are tracked at most."""
    answer = _send(client, "trackers", {"max_trackers": count}, dry_run=dry_run)
    say(answer, _lines(answer), as_json=as_json)


@resize.command()
@click.argument("name")
@click.argument("capacity", type=click.IntRange(64, 1_000_000))
@dry_run_option
@as_json_option
@asking
def mailbox(client: Client, *, name: str, capacity: int, dry_run: bool, as_json: bool) -> None:
    """Set how many events the mailbox of one actor takes, until the service ends."""
    answer = _send(client, quoted(name), {"mailbox_capacity": capacity}, dry_run=dry_run)
    say(answer, _lines(answer), as_json=as_json)


def _send(client: Client, group: str, body: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
    params = {"dry_run": "true"} if dry_run else {}
    return client.send("PATCH", f"/actors/{group}", body, params=params, timeout_s=MOVE_S)


def _moved(client: Client, body: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
    """Ask for other writers, and tell on the side how far they are."""
    answer: Future[dict[str, Any]] = Future()

    def ask() -> None:
        try:
            answer.set_result(_send(client, "postgres-writer", body, dry_run=dry_run))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            answer.set_exception(error)

    threading.Thread(target=ask, name="resize", daemon=True).start()
    shown = ""
    while True:
        try:
            return answer.result(_LOOK_S)
        except NotYet:
            now = ", ".join(_writers(client))
            if now != shown:
                shown = now
                click.echo(f"moving: {now}", err=True)


def _writers(client: Client) -> Iterator[str]:
    for actor in client.get("/actors", kind="postgres-writer")["actors"]:
        held = "" if actor["state"] == "running" else f" {actor['state']}"
        yield f"{plain(actor['name'])}{held} ({actor['mailbox_depth']:,} waiting)"


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    for name, after in answer["after"].items():
        yield f"{plain(name)}: {answer['before'].get(name, '-')} -> {after}"
    for effect in answer["effects"]:
        yield plain(effect)
    if answer["dry_run"]:
        yield "Nothing was done (--dry-run)."
