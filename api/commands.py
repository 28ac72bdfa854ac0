"""Commands that ask a running service over its API."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import click
import requests

from db.embedded import EmbeddedPostgres
from db.errors import DatabaseError
from settings import Settings, SettingsError, load

TIMEOUT_S: Final = 5.0


class NotReached(click.ClickException):
    """The service does not answer; exit code 1."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the answers as JSON.")
def status(*, as_json: bool) -> None:
    """Show how the running service is, and how to open its database."""
    settings = _settings()
    health = _get(settings, "/health")
    ledger = _get(settings, "/ledger")
    if as_json:
        click.echo(json.dumps({"health": health, "ledger": ledger}, indent=2))
        return
    for label, text in _lines(health, ledger):
        click.echo(f"{label:<10} {text}")
    psql = _psql_line(settings)
    if psql:
        click.echo(f"{'psql':<10} {psql}")


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


def _settings() -> Settings:
    env_file = Path(".env")
    try:
        return load(dict(os.environ), env_file if env_file.exists() else None)
    except SettingsError as error:
        click.echo(f"mintwatch: the configuration cannot be used.\n{error}", err=True)
        sys.exit(78)


def _get(settings: Settings, path: str) -> dict[str, Any]:
    url = f"http://{settings.api_host}:{settings.api_port}{path}"
    headers = {}
    if settings.api_token is not None:
        headers["Authorization"] = f"Bearer {settings.api_token.get_secret_value()}"
    try:
        answer = requests.get(url, headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
    except requests.RequestException as error:
        raise NotReached(
            f"no answer from {url} ({type(error).__name__}): is mintwatch running, with this "
            "API_HOST and API_PORT?"
        ) from error
    return found
