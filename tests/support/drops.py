"""How often something has left the straight way, as the service counts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.domain import Drop
    from telemetry import Telemetry


def dropped(telemetry: Telemetry, drop: Drop) -> int:
    """Read the counter of one reason."""
    return int(telemetry.value("mintwatch_dropped_total", reason=drop.value))
