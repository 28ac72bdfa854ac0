"""`mintwatch status`: how the service is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from cli.client import client_of, settings_of_caller, whom_options
from cli.output import as_json_option, say
from cli.tables import plain
from db.embedded.server import EmbeddedPostgres
from db.errors import DatabaseError

if TYPE_CHECKING:
    from settings import Settings


EXIT_PROBLEMS: Final = 4


@click.command()
@whom_options
@as_json_option
def status(*, url: str | None, send_token: bool, as_json: bool) -> None:
    """Show how the running service is, and how to open its database.

    Exits with 4 while there are problems; they come first.
    """
    settings = settings_of_caller()
    client = client_of(settings, url, send_token=send_token)
    answer = {"health": client.get("/health"), "ledger": client.get("/ledger")}
    problems = answer["health"]["problems"]
    lines = [*_problem_lines(problems), *_lines(answer["health"], answer["ledger"])]
    psql = None if as_json or url else _psql_line(settings)
    if psql:
        lines.append(("psql", psql))
    say(answer, (f"{label:<10} {text}" for label, text in lines), as_json=as_json)
    if problems:
        sys.exit(EXIT_PROBLEMS)


def _problem_lines(problems: list[dict[str, str]]) -> list[tuple[str, str]]:
    lines = []
    for each in problems:
        lines.append(("problem", plain(f"{each['kind']}, since {each['since']}: {each['says']}")))
        lines.append(("do", each["do"]))
    return lines


def _lines(health: dict[str, Any], ledger: dict[str, Any]) -> list[tuple[str, str]]:
    tracking = health["tracking_stats"]
    discovery = health["discovery_stats"]
    cache = health["cache_stats"]
    age = health["last_message_ago"]
    heard = "no frame yet" if age is None else f"last frame {age:.1f} s ago"
    return [
        ("status", f"{health['status']}, up {health['uptime_seconds']:.0f} s"),
        ("feed", f"{'connected' if health['ws_connected'] else 'not connected'}, {heard}"),
        ("database", "answers" if health["db_connected"] else "away"),
        ("coins", f"{tracking['active_coins']} tracked, {cache['total_coins']} in the cache"),
        (
            "trades",
            f"{tracking['total_trades']} in candles, {tracking['metrics_saved']} rows saved",
        ),
        ("n8n", f"{discovery['buffer_size']} coins waiting"),
        ("ledger", "balanced" if ledger["balanced"] else "NOT balanced"),
    ]


def _psql_line(settings: Settings) -> str | None:
    if settings.db_dsn is not None:
        return None
    try:
        return EmbeddedPostgres(settings.state_dir).status().psql_line
    except DatabaseError:
        return None
