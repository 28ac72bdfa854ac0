"""What operators have changed, kept over restarts, and who changed it.

Purpose: `settings.json` in STATE_DIR holds the changes in force, `settings-history.jsonl` beside it
the last 1,000 changes. Both have mode 0600, because the first holds secrets as they are.

Guarantees: after `save` or `append` returns, the change survives a crash and a loss of power; a
crash meanwhile leaves the file as it was. A secret is masked before it reaches the history.

Not guaranteed: anything between several threads. One owner reads and writes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from settings.errors import SettingsError, is_secret
from settings.files import replace_file
from settings.masking import MASK, Secret, Shown, shown
from settings.model import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

HISTORY_BOUND: Final = 1_000
"""Changes on record: years of what people do by hand, and some hundred kilobytes to rewrite."""
_FILE_BOUND: Final = 1 << 20
"""Bytes of settings.json; all settings at their longest need a tenth of it."""
_TEXT_BOUND: Final = 500
"""Characters of one value in the history."""


class Change(msgspec.Struct, frozen=True):
    """One change, as it was made."""

    at_us: int
    """UTC, microseconds since 1970."""
    by: str
    """Who asked for it: the address."""
    changed: dict[str, tuple[Shown, Shown]]
    """By attribute, before and after; secrets masked."""


class SettingsStore:
    """The two files of one STATE_DIR, which must exist."""

    def __init__(self, state_dir: Path) -> None:
        self._overrides = state_dir / "settings.json"
        self._history = state_dir / "settings-history.jsonl"

    def load(self) -> dict[str, Any]:
        """Read the changes in force, by attribute; empty when there are none.

        Names and values are not checked here: `settings.load` does, who is given them.

        Raises:
            SettingsError: The file cannot be read or is damaged; the text says which, and what to
                do.
        """
        remedy = "correct it, or remove it to go back to the environment"
        try:
            with self._overrides.open("rb") as stream:
                raw = stream.read(_FILE_BOUND + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _not_readable(self._overrides, error) from None
        if len(raw) > _FILE_BOUND:
            raise SettingsError([f"{self._overrides} is larger than 1 MiB: {remedy}."])
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError):
            # Not in its words, which could quote a secret.
            found = None
        if not isinstance(found, dict):
            raise SettingsError([f"{self._overrides} is damaged (no JSON object): {remedy}."])
        return found

    def save(self, overrides: Mapping[str, Any]) -> None:
        """Keep these changes instead of the ones before. Blocks for two flushes to the disk.

        Raises:
            SettingsError: The file cannot be written; the one before stays.
        """
        text = json.dumps(dict(overrides), indent=2, sort_keys=True, allow_nan=False)
        self._replace(self._overrides, f"{text}\n".encode())

    def append(self, change: Change) -> None:
        """Add a change to the history; past 1,000 the oldest goes. Blocks as `save` does.

        Raises:
            SettingsError: The file cannot be written; the one before stays.
        """
        kept = self._read_history()[-(HISTORY_BOUND - 1) :]
        self._replace(self._history, _lines([*kept, _masked(change)]))

    def history(self, limit: int, offset: int = 0) -> tuple[Change, ...]:
        """Give changes newest first, `limit` at most, after leaving out the `offset` newest.

        A line that is damaged is left out. Reads the whole file, which is bounded.

        Raises:
            SettingsError: The file cannot be read.
        """
        return tuple(self._read_history()[::-1][offset : offset + limit])

    def _read_history(self) -> list[Change]:
        try:
            lines = self._history.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _not_readable(self._history, error) from None
        return [change for line in lines if (change := _decoded(line)) is not None]

    def _replace(self, path: Path, content: bytes) -> None:
        try:
            replace_file(path, content)
        except OSError as error:
            raise _not_writable(path, error) from None


def _not_readable(path: Path, error: OSError) -> SettingsError:
    return SettingsError([f"{path} cannot be read ({error.strerror}): give mintwatch access."])


def _not_writable(path: Path, error: OSError) -> SettingsError:
    remedy = "see to STATE_DIR, then make the change again"
    return SettingsError([f"{path} cannot be written ({error.strerror}): {remedy}."])


def _decoded(line: bytes) -> Change | None:
    try:
        return msgspec.json.decode(line, type=Change)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _lines(changes: Iterable[Change]) -> bytes:
    return b"".join(msgspec.json.encode(change) + b"\n" for change in changes)


def _masked(change: Change) -> Change:
    """Mask and bound what is written, whatever the caller has masked already."""
    return Change(
        at_us=change.at_us,
        by=change.by[:_TEXT_BOUND],
        changed={
            name: (_harmless(name, before), _harmless(name, after))
            for name, (before, after) in change.changed.items()
        },
    )


def _harmless(name: str, value: Shown) -> Shown:
    if not isinstance(value, str):
        return value
    info = Settings.model_fields.get(name)
    if info is None:
        return MASK
    text = shown(name.upper(), Secret(value) if is_secret(info) else value)
    # Half a surrogate pair has no form in UTF-8.
    return str(text)[:_TEXT_BOUND].encode("utf-8", "replace").decode()
