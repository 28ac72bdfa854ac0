"""What the embedded PostgreSQL needs of the machine: small files, ports, processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

TAIL_BYTES: Final = 4_000
"""How much of a log or a program's output goes into an error."""
_PS_TIMEOUT_S: Final = 15.0


def environment() -> dict[str, str]:
    """Give the programs what they need; PGPORT, PGDATA and the like must not reach them."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def whole(seconds: float) -> str:
    """Write a time as pg_ctl takes it: whole seconds, at least one."""
    return str(max(1, round(seconds)))


def is_free(port: int) -> bool:
    """Say whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def read_own(path: Path) -> str:
    """Read a small file that is no symbolic link; missing: an empty text."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return ""
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        return file.read(TAIL_BYTES)


def tail(path: Path) -> str:
    """Read the end of a log that is no symbolic link."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        file.seek(max(0, os.fstat(descriptor).st_size - TAIL_BYTES))
        return file.read().decode(errors="replace")


def write_secret(path: Path, secret: str) -> str:
    """Write a file of mode 0600 anew and return the secret."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{secret}\n")
    return secret


def command_of(pid: int) -> str | None:
    """Read the command line of a process; None: no such process, or it cannot be told."""
    if sys.platform.startswith("linux"):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return None
        return command.replace(b"\0", b" ").decode(errors="replace")
    done = subprocess.run(  # noqa: S603 - fixed program, a number as argument
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)],
        check=False,
        capture_output=True,
        timeout=_PS_TIMEOUT_S,
    )
    return done.stdout.decode(errors="replace") or None
