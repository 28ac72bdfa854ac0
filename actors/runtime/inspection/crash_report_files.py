"""The folder of crash dossiers: one JSON file each, readable by its owner alone.

Guarantees: a file is there whole or not at all; a damaged or foreign one is skipped and left alone.
Blocks as long as the disk does.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SUFFIX: Final = ".json"
_HALF: Final = ".half"
_LARGEST: Final = 1024 * 1024
"""No dossier of ours is larger, see the bounds of its texts."""

_Filed = TypeVar("_Filed", bound=msgspec.Struct)


class CrashReportFiles:
    """See the module's docstring.

    Args:
        folder: where; made when it is missing, and closed to others.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)

    def load(self, kind: type[_Filed]) -> Iterator[tuple[_Filed, int]]:
        """Read every file, oldest first, with its size in bytes; `id` must be the file's name.

        What a process left half written is cleared away.
        """
        for half in self._folder.glob(f"*{_HALF}"):
            with contextlib.suppress(OSError):
                half.unlink()
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            found = _decoded(path, kind)
            if found is not None:
                yield found

    def write(self, name: str, data: bytes) -> None:
        """Write one file.

        Raises:
            OSError: the disk does not take it.
        """
        half = self._folder / (name + _HALF)
        try:
            descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            half.rename(self._path(name))
        except OSError:
            half.unlink(missing_ok=True)
            raise

    def read(self, name: str, kind: type[_Filed]) -> _Filed | None:
        """Read one file back; None when it is gone or damaged."""
        found = _decoded(self._path(name), kind)
        return found[0] if found else None

    def remove(self, name: str) -> None:
        """Remove one file; nothing happens when it is gone.

        Raises:
            OSError: the disk does not let it go.
        """
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / (name + _SUFFIX)


def _decoded(path: Path, kind: type[_Filed]) -> tuple[_Filed, int] | None:
    try:
        if path.stat().st_size > _LARGEST:
            return None
        data = path.read_bytes()
        found: Any = msgspec.json.decode(data, type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return (found, len(data)) if found.id == path.stem else None
