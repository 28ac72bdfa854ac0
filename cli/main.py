"""`mintwatch ...`: every command by name; a module is imported when its command is called."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

COMMANDS: Final = {
    "run": "cli.service:run",
    "check": "cli.service:check",
    "migrate": "cli.service:migrate_command",
    "status": "cli.status:status",
    "acknowledge": "cli.acknowledge:acknowledge",
    "actors": "cli.actors:actors",
    "tracker": "cli.coins:tracker",
    "why": "cli.coins:why",
    "tap": "cli.coins:tap",
    "resize": "cli.resize:resize",
    "config": "cli.config:config",
    "phases": "cli.phases:phases",
    "dead-letters": "cli.dead_letters:dead_letters",
    "audit": "cli.audit:audit_command",
    "compare": "cli.compare:compare_command",
    "simulate": "simulator.cli:simulate",
    "replay": "simulator.cli:replay",
    "record": "simulator.cli:record",
    "webhook": "simulator.cli:webhook",
}
"""Where each command stands. Starting the whole service takes two seconds of imports, asking one
takes a tenth of that.
"""


class Commands(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name them all."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one; None: there is none of this name."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.command(cls=Commands)
@click.version_option(package_name="mintwatch")
def main() -> None:
    """Watch every new coin on pump.fun, one actor per mint."""


if __name__ == "__main__":
    main()
