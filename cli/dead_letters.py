"""`mintwatch dead-letters`: what nobody handled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.client import asking
from cli.output import as_json_option, say
from cli.tables import plain, table

if TYPE_CHECKING:
    from cli.client import Client


@click.group("dead-letters")
def dead_letters() -> None:
    """Show what nobody handled, send it again, or let it go."""


@dead_letters.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@as_json_option
@asking
def list_(client: Client, *, limit: int, as_json: bool) -> None:
    """Show the newest dead letters."""
    answer = client.get("/dead-letters", limit=limit)
    rows = (
        (
            letter["id"],
            letter["at"],
            letter["actor"],
            letter["reason"],
            letter["message_type"],
            letter["error"] or "",
        )
        for letter in answer["dead_letters"]
    )
    say(answer, table(("ID", "AT", "ACTOR", "REASON", "MESSAGE", "ERROR"), rows), as_json=as_json)


@dead_letters.command()
@click.argument("letter_id", metavar="ID", type=click.IntRange(1))
@as_json_option
@asking
def retry(client: Client, *, letter_id: int, as_json: bool) -> None:
    """Send a dead letter to the same actor again."""
    answer = client.send("POST", f"/dead-letters/{letter_id}/retry")
    say(answer, [plain(answer["message"])], as_json=as_json)


@dead_letters.command()
@click.argument("letter_id", metavar="ID", type=click.IntRange(1))
@as_json_option
@asking
def delete(client: Client, *, letter_id: int, as_json: bool) -> None:
    """Let a dead letter go; its trades stay dead in the ledger."""
    answer = client.send("DELETE", f"/dead-letters/{letter_id}")
    say(answer, [plain(answer["message"])], as_json=as_json)
