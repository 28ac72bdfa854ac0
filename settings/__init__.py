"""Every setting of the service: typed, bounded, frozen.

`load` reads the environment it is given, a `.env` file (the environment wins) and what was changed
while the service ran (which wins over both), and either returns `Settings` or raises one
`SettingsError` that holds every mistake at once. `Settings(...)` itself reads nothing but its
arguments. `changed` gives the settings after a change. The name of a setting is its attribute in
upper case; numbers are seconds unless the name says otherwise.
"""

from __future__ import annotations

from settings.changeable import FIXED, LIVE, RESTARTS, restarts
from settings.changes import Differences, changed, merged
from settings.conflicts import conflicts, is_loopback
from settings.destinations import destination
from settings.errors import SettingsError
from settings.masking import MASK, Secret, Shown, mask_dsn, mask_url
from settings.model import NAMES, Settings, describe, secret_values, sources, suggest
from settings.reading import environment, load
from settings.values import FeedKind

__all__ = [
    "FIXED", "LIVE", "MASK", "NAMES", "RESTARTS",
    "Differences", "FeedKind", "Secret", "Settings", "SettingsError", "Shown",
    "changed", "conflicts", "describe", "destination", "environment", "is_loopback", "load",
    "mask_dsn", "mask_url", "merged", "restarts", "secret_values", "sources", "suggest",
]  # fmt: skip
