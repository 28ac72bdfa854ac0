"""What the routes work with, kept by the application they belong to."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from flask import Flask, current_app

from actors.protocol.operator import GetSettings
from api.slots import Slots
from settings import secret_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from api.database import Database
    from api.gateway import Gateway
    from api.journal import JournalView
    from settings import Settings
    from telemetry import Redactor, Telemetry

ASK_SECONDS: Final = 3.0
STREAMS: Final = 8
"""Event streams at once, each of which keeps a thread."""
_SEARCHES: Final = 2
"""Searches through the journal at once: each keeps a thread, and the disk, for seconds."""
_EXTENSION: Final = "mintwatch"


@dataclass(frozen=True)
class Limits:
    """The places there are for long work, and the end of all of it."""

    streams: Slots = field(
        default_factory=lambda: Slots(
            STREAMS, f"All {STREAMS} event streams are taken: end one of them, or try again.", 30
        )
    )
    searches: Slots = field(
        default_factory=lambda: Slots(
            _SEARCHES, "The journal is being searched for others: try again in a moment.", 2
        )
    )
    changes: Slots = field(
        default_factory=lambda: Slots(
            1, "Another change of sizes or settings is under way: try again once it is done.", 5
        )
    )
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the server stops: what runs for long ends itself."""


@dataclass(frozen=True)
class Services:
    """The application's surroundings. Immutable; used by several threads."""

    gateway: Gateway
    settings: Settings
    """As they were at the start; what can change since is read by `settings_in_force`."""
    telemetry: Telemetry
    database: Database
    redactor: Redactor
    """Masks the secrets in texts that come from elsewhere, such as error messages."""
    monotonic_s: Callable[[], float]
    now_us: Callable[[], int]
    """UTC in microseconds."""
    started_s: float
    """When the application was made, on that clock."""
    journal: JournalView | None
    """None: there is no journal."""
    try_database: Callable[[str], str | None]
    """Says why a connection string cannot be used; None: it can. Blocks for some seconds."""
    limits: Limits = field(default_factory=Limits)

    def ask(self, message: Any, patience_s: float = ASK_SECONDS) -> Any:
        """Ask the supervisor, with the usual patience unless told otherwise.

        Raises:
            NotAnswered: Nobody answered in time.
        """
        return self.gateway.ask(message, patience_s)

    def settings_in_force(self) -> Settings:
        """Give the settings with every change since the start.

        Raises:
            NotAnswered: Nobody answered in time.
        """
        settings: Settings = self.ask(GetSettings())
        self.redactor.learn(secret_values(settings))
        return settings

    def plain(self, text: str | None) -> str | None:
        """Mask the secrets in a text from elsewhere."""
        return None if text is None else self.redactor.text(text)


def attach(services: Services, extensions: dict[str, Any]) -> None:
    """Give the services to an application."""
    extensions[_EXTENSION] = services


def services() -> Services:
    """Give the services of the application that handles the present request."""
    return cast("Services", current_app.extensions[_EXTENSION])


def prefix_of(app: Flask) -> str | None:
    """Give the application's API_PREFIX."""
    found = app.extensions.get(_EXTENSION)
    return found.settings.api_prefix if isinstance(found, Services) else None


def end_long_work(app: Flask) -> None:
    """Have the application's event streams end themselves, within a second."""
    found = app.extensions.get(_EXTENSION)
    if isinstance(found, Services):
        found.limits.closing.set()
