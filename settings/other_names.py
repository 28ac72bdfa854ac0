"""Names of settings that are not ours: read as ours, or known to have no effect. Pure data.

They are known in the environment and the `.env` file alone: whoever changes a setting while the
service runs has to know its name.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Retired(NamedTuple):
    """Why a setting has no effect any more, and which one to look at instead."""

    because: str
    instead: str


ALIASES: Final[Mapping[str, str]] = MappingProxyType({"HEALTH_PORT": "API_PORT"})
"""As good as our own name: two different values are a mistake."""
SUCCESSOR: Final[Mapping[str, str]] = MappingProxyType(
    {
        "DATABASE_URL": "DB_DSN",
        "N8N_FIND_WEBHOOK_URL": "N8N_WEBHOOK_URL",
        "N8N_FIND_WEBHOOK_METHOD": "N8N_WEBHOOK_METHOD",
        "COIN_CACHE_MAX_SIZE": "COIN_CACHE_MAX",
    }
)
"""As pump-platform, the original's successor, has them. Our own name wins, wherever it stands:
`DATABASE_URL` may well be there for another program.
"""
RETIRED: Final[Mapping[str, Retired]] = MappingProxyType(
    {
        "TRADE_BUFFER_SECONDS": Retired(
            "trades of a coin are kept as long as the coin", "COIN_CACHE_SECONDS"
        )
    }
)
