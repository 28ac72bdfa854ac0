"""Commands that ask a running service over its API, and the audit, which reads for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cli.acknowledge import acknowledge
from cli.actors import actors
from cli.audit import audit_command
from cli.coins import tap, tracker, why
from cli.config import config
from cli.dead_letters import dead_letters
from cli.resize import resize
from cli.status import status

if TYPE_CHECKING:
    import click

COMMANDS: Final[tuple[click.Command, ...]] = (
    status,
    acknowledge,
    actors,
    tracker,
    why,
    tap,
    resize,
    config,
    dead_letters,
    audit_command,
)
"""All of them, for the command line's root."""

__all__ = ["COMMANDS", "status"]
