"""Files that nobody else may have had a hand in: STATE_DIR with all that lies in it, and `.env`.

Whoever can write to one of them can change settings, put frames into the journal, or have a file
of ours written elsewhere by a link. So what another user owns or may write to is refused, and so is
a link. Root may own anything: it could do all of that anyway.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from settings.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WRITABLE: Final = stat.S_IWGRP | stat.S_IWOTH
_BY_OTHERS: Final = 0o077
_POSTGRES: Final = "postgres"
"""The embedded server's folder, which looks after itself: as root another user owns it."""


def check_folder(folder: Path) -> None:
    """Make sure that a state folder may be used.

    Raises:
        SettingsError: It may not; the text says why, and what to do.
    """
    if refusal := refusal_of_folder(folder):
        raise SettingsError([f"STATE_DIR cannot be used: {refusal}."])


def refusal_of_folder(folder: Path) -> str | None:
    """Say why a state folder, or something in it, may not be used; None: it may, or is not there.

    Names what is wrong and the command that remedies it. The folder itself may be reached by a
    link. What is ours and no more than readable by others is made private on the way.
    """
    folder = folder.resolve()
    if not folder.exists():
        return None
    above = folder.parent.stat().st_mode
    if above & stat.S_IWOTH and not above & stat.S_ISVTX:
        return f"{folder.parent} may be written to by everybody: chmod o-w {folder.parent}"
    for path in (folder, *_below(folder)):
        if refusal := _refusal(path, follow=False):
            return refusal
    for path in _below(folder):
        _make_private(path)
    return None


def refusal_of_file(path: Path) -> str | None:
    """Say why a file of settings may not be used; None: it may, or is not there."""
    return _refusal(path, follow=True) if path.exists() else None


def _below(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except PermissionError:
        # Whoever opens it next says so.
        return
    for entry in entries:
        if entry.name != _POSTGRES:
            yield entry
            if entry.is_dir() and not entry.is_symlink():
                yield from _below(entry)


def _refusal(path: Path, *, follow: bool) -> str | None:
    try:
        found = path.stat(follow_symlinks=follow)
    except FileNotFoundError:
        # Gone meanwhile: a segment, or a file that SQLite has finished with.
        return None
    if stat.S_ISLNK(found.st_mode):
        return f"{path} is a link to {path.readlink()}, and none is followed there: remove it"
    if found.st_uid not in {os.geteuid(), 0}:
        return f"{path} belongs to user {found.st_uid}: chown it to {os.geteuid()}, or remove it"
    if found.st_mode & _WRITABLE:
        return f"{path} may be written to by others: chmod go-w {path}"
    return None


def _make_private(path: Path) -> None:
    with suppress(OSError):
        found = path.lstat()
        if found.st_uid == os.geteuid() and found.st_mode & _BY_OTHERS:
            path.chmod(stat.S_IMODE(found.st_mode) & ~_BY_OTHERS)
