"""What the routes work with, kept by the application they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from flask import current_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from api.database import Database
    from api.gateway import Gateway
    from settings import Settings
    from telemetry import Redactor, Telemetry

ASK_SECONDS: Final = 3.0
_EXTENSION: Final = "mintwatch"


@dataclass(frozen=True)
class Services:
    """The application's surroundings. Immutable; used by several threads."""

    gateway: Gateway
    settings: Settings
    telemetry: Telemetry
    database: Database
    redactor: Redactor
    """Masks the secrets in texts that come from elsewhere, such as error messages."""
    monotonic_s: Callable[[], float]
    now_us: Callable[[], int]
    """UTC in microseconds."""
    started_s: float
    """When the application was made, on that clock."""

    def ask(self, message: Any) -> Any:
        """Ask the supervisor with the usual patience.

        Raises:
            NotAnswered: Nobody answered within `ASK_SECONDS`.
        """
        return self.gateway.ask(message, ASK_SECONDS)

    def plain(self, text: str | None) -> str | None:
        """Mask the secrets in a text from elsewhere."""
        return None if text is None else self.redactor.text(text)


def attach(services: Services, extensions: dict[str, Any]) -> None:
    """Give the services to an application."""
    extensions[_EXTENSION] = services


def services() -> Services:
    """Give the services of the application that handles the present request."""
    return cast("Services", current_app.extensions[_EXTENSION])
