"""`mintwatch actors`: what every actor does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from cli.client import asking
from cli.output import as_json_option, say
from cli.tables import table

if TYPE_CHECKING:
    from cli.client import Client

_HEAD: Final = (
    "NAME",
    "STATE",
    "WAITING",
    "OLDEST S",
    "HANDLED",
    "BUSY %",
    "RESTARTS",
    "LAST ERROR",
)


@click.command()
@click.option("--kind", help="Only those of a kind, such as tracker.")
@click.option("--state", help="Only those in a state, such as quarantined.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@as_json_option
@asking
def actors(
    client: Client, *, kind: str | None, state: str | None, limit: int, as_json: bool
) -> None:
    """Show what the actors do."""
    answer = client.get("/actors", kind=kind, state=state, limit=limit)
    lines = table(_HEAD, (_row(actor) for actor in answer["actors"]))
    left = answer["total"] - answer["count"]
    if left:
        lines.append(f"and {left:,} more: see --limit, --kind and --state")
    say(answer, lines, as_json=as_json)


def _row(actor: dict[str, Any]) -> tuple[Any, ...]:
    return (
        actor["name"],
        actor["state"],
        actor["mailbox_depth"],
        actor["oldest_age_seconds"],
        actor["handled"],
        round(actor["busy_share"] * 100, 1),
        actor["restarts"],
        actor["last_error"] or "",
    )
