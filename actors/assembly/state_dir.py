"""STATE_DIR: the names of what lies in it, and the lock by which one process at a time has it."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from pathlib import Path

JOURNAL: Final = "journal"
"""The journal's folder."""
DOSSIERS: Final = "dossiers"
"""The folder of crash dossiers."""
TIMELINES: Final = "timelines.msgpack"
"""The file of the mints' timelines."""


class StateDirInUse(Exception):  # noqa: N818 - it names what is wrong
    """Another process has the folder; the text says which."""


def take_state_dir(folder: Path) -> TextIO:
    """Make the folder and hold its lock, until the file that is given back is closed.

    Raises:
        OSError: the folder cannot be made or written to.
        StateDirInUse: another process holds the lock.
    """
    # As root, PostgreSQL runs as somebody else, who must be able to walk through.
    folder.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    # Not through a link: what is written into the lock would be written elsewhere.
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    lock = os.fdopen(os.open(folder / "lock", flags, 0o600), "a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        lock.close()
        raise StateDirInUse(holder) from error
    with suppress(OSError):
        # Who holds it is a courtesy: on a full disk the lock holds all the same.
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
    return lock
