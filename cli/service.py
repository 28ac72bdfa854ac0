"""`mintwatch run`, `check` and `migrate`: what works on this machine, without a running service."""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import psycopg
import structlog

from cli.database import dsn_of
from db import migrate
from db.errors import DatabaseError
from settings import (
    Settings,
    SettingsError,
    describe,
    environment,
    load,
    mask_dsn,
    secret_values,
    sources,
)
from settings.private_files import check_folder
from settings.store import SettingsStore
from supervisor import EXIT_BAD_CONFIGURATION, EXIT_GAVE_UP, CannotStart, Service
from telemetry import Redactor, configure_logging

if TYPE_CHECKING:
    from collections.abc import Mapping

COLLECT_AFTER: Final = (20_000, 10, 10)
"""Of the garbage collector: net new objects, and rounds of the generation before."""
ENV_FILE: Final = Path(".env")


@click.command()
@click.option("--demo", is_flag=True, help="Bring what is missing: a market, a webhook receiver.")
def run(*, demo: bool) -> None:
    """Run the service until SIGTERM or Ctrl-C; a second signal ends it at once."""
    # Files get modes of their own; this is for folders above STATE_DIR, and for what others make.
    os.umask(os.umask(0o077) | 0o022)
    environ = dict(os.environ)
    current: list[Service] = []
    _obey_signals(current)
    while True:
        settings = _with_neighbours(_settings(environ)) if demo else _settings(environ)
        redactor = Redactor(secret_values(settings))
        configure_logging(settings.log_level, settings.log_format, sys.stderr, redactor)
        for warning in settings.warnings:
            structlog.get_logger("mintwatch").warning("configuration", text=warning)
        service = Service(settings, _environment(environ), redactor, demo=demo)
        current[:] = [service]
        exit_code = _run_once(service, redactor)
        if exit_code or not service.starts_again:
            sys.exit(exit_code)


def _run_once(service: Service, redactor: Redactor) -> int:
    # By default every few hundred new objects are looked through, and all of them again and again
    # while coins are added: a third of the time under load. Ended coins leave no cycles.
    gc.set_threshold(*COLLECT_AFTER)
    try:
        service.start()
        for label, value in places(service.settings, service.database, service.port):
            click.echo(f"  {label:<9} {value}")
        return service.wait()
    except CannotStart as error:
        click.echo(f"mintwatch: {redactor.text(str(error))}", err=True)
        return error.exit_code
    finally:
        service.stop()


@click.command()
def check() -> None:
    """Print the effective settings and what would be connected to; name every error."""
    settings = _settings(os.environ)
    origin = sources(settings)
    for name, value in describe(settings).items():
        click.echo(f"{name}={'' if value is None else value}  # {origin[name]}")
    click.echo("\nmintwatch run would connect to:")
    dsn = settings.db_dsn
    database = mask_dsn(dsn.get_secret_value()) if dsn else "the embedded PostgreSQL"
    for label, value in places(settings, database, settings.api_port):
        click.echo(f"  {label:<9} {value}")
    for warning in settings.warnings:
        click.echo(f"warning: {warning}", err=True)


def places(settings: Settings, database: str, port: int) -> list[tuple[str, str]]:
    """List what a run is connected to; nothing in here is secret."""
    address = f"http://{settings.api_host}:{port}"
    values = describe(settings)
    feed = settings.replay_path or values["WS_URI"]
    if settings.feed_kind == "simulator" and "ws_uri" not in settings.model_fields_set:
        feed = "the built-in market"
    return [
        ("feed", f"{feed} ({settings.feed_kind}), activation by {settings.activation}"),
        ("database", database),
        ("n8n", str(values["N8N_WEBHOOK_URL"] or "no webhook")),
        ("state", str(settings.state_dir)),
        ("look at", f"{address}/health   {address}/docs"),
    ]


@click.command("migrate")
def migrate_command() -> None:
    """Create or adopt the tables in DB_DSN (or in the embedded PostgreSQL) and exit."""
    settings = _settings(os.environ)
    with ExitStack() as stack:
        try:
            dsn = dsn_of(settings, stack)
            applied = migrate(dsn)
        except (DatabaseError, psycopg.OperationalError) as error:
            said = Redactor(secret_values(settings)).text(str(error).strip())
            click.echo(f"mintwatch: {said}", err=True)
            sys.exit(EXIT_GAVE_UP)
    for name in applied:
        click.echo(f"applied {name}")
    click.echo(f"{len(applied)} migrations applied; the tables are up to date.")


def _settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings: environment, `.env`, and what was changed while the service ran."""
    try:
        given = load(environ, ENV_FILE)
        # Before anything in there is believed.
        check_folder(given.state_dir)
        return load(environ, ENV_FILE, SettingsStore(given.state_dir).load())
    except SettingsError as error:
        click.echo(f"mintwatch: the configuration cannot be used.\n{error}", err=True)
        sys.exit(EXIT_BAD_CONFIGURATION)


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    return environment(environ, ENV_FILE)


def _with_neighbours(settings: Settings) -> Settings:
    """Fill in what makes the whole path run without the internet; what somebody set stays."""
    filled: dict[str, Any] = {}
    if not {"ws_uri", "feed"} & settings.model_fields_set:
        filled["feed"] = "simulator"
    if "activation" not in settings.model_fields_set:
        filled["activation"] = "trades"
    return settings.model_copy(update=filled)


def _obey_signals(current: list[Service]) -> None:
    """Drain on the first signal, end at once on the second; say how it is on SIGUSR1."""
    seen: list[int] = []

    def on_signal(number: int, _: object) -> None:
        if seen or not current:
            os._exit(128 + number)
        seen.append(number)
        current[0].drain(signal.Signals(number).name)

    def on_usr1(_number: int, _: object) -> None:
        for service in current:
            service.dump()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    signal.signal(signal.SIGUSR1, on_usr1)
