"""Replacing a small file so that a crash at any moment leaves the old or the new one whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write a file anew, with mode 0600. Blocks for two flushes to the disk.

    The new one is written beside the old one first (its name and `.new`). Once this returns, it
    survives a loss of power.

    Raises:
        OSError: The disk does not take it; the old file stays.
    """
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    # Exclusively, so that neither a link nor wider rights of an old file count.
    target = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(target, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    """Have the new name survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
