"""`mintwatch acknowledge`: rows that are kept aside were looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.client import asking
from cli.output import as_json_option, say

if TYPE_CHECKING:
    from cli.client import Client


@click.command()
@click.argument("kind", type=click.Choice(("ahead", "conflicts")))
@as_json_option
@asking
def acknowledge(client: Client, *, kind: str, as_json: bool) -> None:
    """Say that you have looked at rows kept in coin_metrics_ahead or coin_metrics_conflicts.

    They are no problem any more; nothing is deleted.
    """
    answer = client.send("POST", f"/problems/{kind}/acknowledge")
    say(answer, [f"Acknowledged: {answer['rows']} rows of {kind}."], as_json=as_json)
