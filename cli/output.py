"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")


def say(answer: Any, lines: Iterable[str], *, as_json: bool) -> None:
    """Print an answer as it is, or its lines."""
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    for line in lines:
        click.echo(line)
