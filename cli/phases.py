"""`mintwatch phases`: the table of phases as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from cli.client import asking
from cli.output import as_json_option, say
from cli.tables import plain, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.client import Client

_ENDING: Final = 99


@click.group()
def phases() -> None:
    """Set how often a coin of a certain age is written."""


@phases.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do it; without, what would change is only shown.")
@as_json_option
@asking
def preset(client: Client, *, name: str, yes: bool, as_json: bool) -> None:
    """Replace the regular phases by those of NAME: pump-platform, original or default.

    Phases 99 and 100 stay. Active streams of a phase that goes move to the next higher one; where
    there is none, they end.
    """
    params = {} if yes else {"dry_run": "true"}
    answer = client.send("PUT", "/database/phases", {"preset": name}, params=params)
    say(answer, _lines(answer), as_json=as_json)


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    changed = answer["changed"]
    if changed:
        rows = ((each["id"], _phase(each["before"]), _phase(each["after"])) for each in changed)
        yield from table(("ID", "NOW" if answer["dry_run"] else "BEFORE", "THEN"), rows)
    for moved in answer["moved_streams"]:
        ends = ", which ends them" if moved["to_phase_id"] == _ENDING else ""
        yield (
            f"Active streams of phase {moved['from_phase_id']} that move to phase "
            f"{moved['to_phase_id']}{ends}: {moved['streams']:,}."
        )
    yield plain(answer["message"])
    if changed and answer["dry_run"]:
        yield "Add --yes to do it."


def _phase(phase: dict[str, Any] | None) -> str:
    if phase is None:
        return "-"
    return (
        f"{phase['name']}: every {phase['interval_seconds']} s, "
        f"{phase['min_age_minutes']} to {phase['max_age_minutes']} min"
    )
