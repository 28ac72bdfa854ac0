"""The supervisor's files in STATE_DIR: changed settings and their history, and pinned mints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from actors.domain import Mint
from settings import Settings, SettingsError, changed, merged
from settings.files import replace_file
from settings.store import Change, SettingsStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from settings import Differences

PINS: Final = "pins.json"


class SettingsFiles:
    """Reads and writes those files; one owner at a time.

    Args:
        state_dir: the folder, which must exist.
        environ: what holds without any change, as `settings.environment` gives it.
        now_us: the time for the history, microseconds UTC.
    """

    def __init__(
        self, state_dir: Path, environ: Mapping[str, str], now_us: Callable[[], int]
    ) -> None:
        self._store = SettingsStore(state_dir)
        self._environ = environ
        self._now_us = now_us
        self._pins = state_dir / PINS

    def propose(
        self, settings: Settings, changes: Mapping[str, Any]
    ) -> tuple[Settings, Differences]:
        """Give the settings as they would be, and what would differ.

        Raises:
            SettingsError: a change is not possible; it names every mistake.
        """
        return changed(settings, self._environ, changes)

    def keep(self, changes: Mapping[str, Any], changed: Differences, by: str) -> None:
        """Keep changes over restarts, and enter them into the history.

        Raises:
            SettingsError: the disk does not take them.
        """
        self._store.save(merged(self._store.load(), changes))
        self._store.append(Change(self._now_us(), by, changed))

    def history(self, limit: int, offset: int) -> tuple[Change, ...]:
        """Give who changed what, newest first.

        Raises:
            SettingsError: the file cannot be read.
        """
        return self._store.history(limit, offset)

    def pins(self) -> frozenset[Mint]:
        """Give the mints that are pinned; none, and a warning, when the file is damaged."""
        try:
            return frozenset(msgspec.json.decode(self._pins.read_bytes(), type=list[Mint]))
        except FileNotFoundError:
            return frozenset()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            structlog.get_logger("mintwatch").warning(
                "pins_not_read", file=str(self._pins), cause=str(error), hint="pin the coins again"
            )
            return frozenset()

    def keep_pins(self, pins: frozenset[Mint]) -> None:
        """Keep the pinned mints over restarts.

        Raises:
            SettingsError: the disk does not take them.
        """
        try:
            replace_file(self._pins, msgspec.json.encode(sorted(pins)))
        except OSError as error:
            text = f"{self._pins} cannot be written ({error.strerror}): see to STATE_DIR."
            raise SettingsError([text]) from error
