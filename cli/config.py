"""`mintwatch config`: the settings in force, and their changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.client import asking
from cli.output import as_json_option, say
from cli.resize import dry_run_option
from cli.tables import pairs, plain, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.client import Client

_CHANGE_S = 20.0


@click.group()
def config() -> None:
    """Show the settings in force, change them, and see who has."""


@config.command()
@click.argument("names", nargs=-1)
@as_json_option
@asking
def show(client: Client, *, names: tuple[str, ...], as_json: bool) -> None:
    """Show every setting, or those of these names; secrets are masked."""
    wanted = {name.lower() for name in names}
    found = client.get("/config/settings")["settings"]
    known = {setting["name"] for setting in found}
    if wanted - known:
        raise click.BadParameter(f"there is no setting {', '.join(sorted(wanted - known))}.")
    shown = [setting for setting in found if not wanted or setting["name"] in wanted]
    rows = ((setting["name"], _value(setting["value"]), setting["acts"]) for setting in shown)
    say({"settings": shown}, table(("NAME", "VALUE", "A CHANGE ACTS"), rows), as_json=as_json)


@config.command("set")
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE...")
@dry_run_option
@as_json_option
@asking
def set_(client: Client, *, changes: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Change settings, all or none; they stay over a restart.

    KEY=- asks for the value without showing it, for secrets.
    """
    _change(client, dict(_read(change) for change in changes), dry_run=dry_run, as_json=as_json)


@config.command()
@click.argument("names", nargs=-1, required=True)
@dry_run_option
@as_json_option
@asking
def reset(client: Client, *, names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Give settings back to the environment, or to their defaults."""
    changes = {name.lower(): None for name in names}
    _change(client, changes, dry_run=dry_run, as_json=as_json)


@config.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@as_json_option
@asking
def history(client: Client, *, limit: int, offset: int, as_json: bool) -> None:
    """Show who changed which setting, newest first."""
    answer = client.get("/config/history", limit=limit, offset=offset)
    rows = (
        (change["at"], change["by"], name, _value(values["before"]), _value(values["after"]))
        for change in answer["changes"]
        for name, values in change["changed"].items()
    )
    say(answer, table(("AT", "BY", "NAME", "BEFORE", "AFTER"), rows), as_json=as_json)


def _read(change: str) -> tuple[str, str]:
    name, equals, value = change.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{change!r} is not in the form KEY=VALUE.")
    if value == "-":
        value = click.prompt(name, hide_input=True)
    return name.lower(), value


def _change(client: Client, changes: dict[str, Any], *, dry_run: bool, as_json: bool) -> None:
    params = {"dry_run": "true"} if dry_run else {}
    answer = client.send("PUT", "/config", changes, params=params, timeout_s=_CHANGE_S)
    say(answer, _lines(answer), as_json=as_json)


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    yield from pairs(
        (name, f"{_value(values['before'])} -> {_value(values['after'])}")
        for name, values in answer["changed"].items()
    )
    yield plain(answer["message"])


def _value(value: Any) -> str:
    """Write a setting as it would be given."""
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case _:
            return str(value)
