"""Commands that ask a running service over its API, and the audit, which reads for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.commands.acknowledge import acknowledge
from api.commands.actors import actors
from api.commands.audit import audit_command
from api.commands.coins import tap, tracker, why
from api.commands.config import config
from api.commands.letters import dead_letters
from api.commands.resize import resize
from api.commands.status import status

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
