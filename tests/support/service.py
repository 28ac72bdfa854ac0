"""The service as its users run it: `mintwatch run` in a process of its own.

`Service(folder, **settings)` is a context manager. The process gets a session, a working folder,
a STATE_DIR and an environment of its own, and whatever is left of it at the end is killed. When a
test fails inside the `with`, the end of the log is shown. Before it is told to end, or killed, its
ledger must balance, wherever the API gives it. A secret is planted in every run: no answer and no
line of the log may show it.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import requests

from tests.secrets.planted import leaks
from tests.support.books import check_answer
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

COMMAND = Path(sysconfig.get_path("scripts")) / "mintwatch"
_HTTP_LIMIT_S = 10.0
_SHOWN_CHARACTERS = 12_000
PLANTED = "planted-in-every-run"
_ENDS = frozenset({signal.SIGTERM, signal.SIGINT})
_ADDRESS = re.compile(r"look at +http://127\.0\.0\.1:(\d+)/health")


class Service:
    """One `mintwatch run`, started at once. Settings are given by name: `FEED="..."`."""

    def __init__(self, folder: Path, **settings: object) -> None:
        """Start it; `folder` becomes its STATE_DIR unless the settings name another."""
        folder.mkdir(parents=True, exist_ok=True)
        self._home = tempfile.TemporaryDirectory(prefix="mintwatch-e2e-")
        self._log = Path(self._home.name) / "log"
        self._last_log: str | None = None
        self.ending_us: int | None = None
        """When it was first told to end, or was killed; microseconds UTC."""
        given = {name: str(value) for name, value in settings.items()}
        defaults = {
            "STATE_DIR": str(folder),
            "API_PORT": "0",
            "DRAIN_TIMEOUT": "15",
            "N8N_AUTH_HEADER": f"X-Planted: {PLANTED}",
        }
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": self._home.name,
            # A process that hangs tells where when it is aborted.
            "PYTHONFAULTHANDLER": "1",
            **defaults,
            **given,
        }
        token = given.get("API_TOKEN")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(COMMAND), "run"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self._home.name,
                start_new_session=True,
            )

    # What it says.

    @property
    def log(self) -> str:
        """Everything it has printed so far; stays readable afterwards."""
        if self._last_log is not None:
            return self._last_log
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_log(self, text: str, limit_s: float = 20.0) -> str:
        """Wait for a line that contains `text`, and return the line."""

        def found() -> str | None:
            return next((line for line in self.log.splitlines() if text in line), None)

        line: str = wait_until(self._alive(found), limit_s, f"the log line {text!r}")
        return line

    @property
    def port(self) -> int:
        """Where the API listens; waits until the service says so, last when it starts again."""

        def found() -> int:
            ports: list[str] = _ADDRESS.findall(self.log)
            return int(ports[-1]) if ports else 0

        port: int = wait_until(self._alive(found), what="the address of the API")
        return port

    def get(self, path: str) -> requests.Response:
        """Ask the API."""
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: object = None) -> requests.Response:
        """Ask the API, with a token where one is set."""
        response = requests.request(
            method,
            f"http://127.0.0.1:{self.port}{path}",
            json=body,
            headers=self._headers,
            timeout=_HTTP_LIMIT_S,
        )
        assert not leaks(response.content, [PLANTED]), f"{path} shows a secret"
        return response

    def json(self, path: str) -> dict[str, Any]:
        """Ask the API for an object, which must be given with 200."""
        response = self.get(path)
        assert response.status_code == 200, f"{path}: {response.status_code} {response.text}"
        answer: dict[str, Any] = response.json()
        return answer

    def ledger(self) -> dict[str, Any]:
        """Ask where every trade is; the books must balance at any moment."""
        ledger = self.json("/ledger")
        check_answer(ledger)
        return ledger

    def wait_ready(self, limit_s: float = 20.0) -> None:
        """Wait until /readyz says 200."""
        wait_until(
            self._alive(lambda: self.get("/readyz").status_code == 200), limit_s, "readiness"
        )

    def metrics(self) -> dict[str, float]:
        """Read every sample, named as in the exposition, labels included."""
        samples: dict[str, float] = {}
        for line in self.get("/metrics").text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                samples[name] = float(value)
        return samples

    def wait_received(self, trades: int, limit_s: float = 30.0) -> dict[str, Any]:
        """Wait until so many trades have come in, and return the ledger then."""

        def found() -> dict[str, Any] | None:
            ledger = self.ledger()
            return ledger if ledger["received"] >= trades else None

        ledger: dict[str, Any] = wait_until(self._alive(found), limit_s, f"{trades} trades")
        return ledger

    def settled(self) -> dict[str, Any]:
        """Wait, once the feed stands still, until all it sent is dealt with; return the ledger.

        All has arrived when the feed clock, which stands still while a socket has more to give,
        has gone on for half a second. What waits in the mailbox of a paused tracker is dealt with
        as far as it can be: a pause leaves it there, queued, until the tracker goes on.
        """
        after = datetime.now(UTC) + timedelta(seconds=0.5)

        def found() -> dict[str, Any] | None:
            until = datetime.fromisoformat(self.json("/feed")["covered_until"])
            ledger = self.ledger()
            queued = ledger["places"]["queued"]
            has_settled = until > after and (queued == 0 or queued <= self._kept_by_paused())
            return ledger if has_settled else None

        ledger: dict[str, Any] = wait_until(self._alive(found), what="a settled service")
        return ledger

    def _kept_by_paused(self) -> int:
        """Count the events in the mailboxes of paused trackers."""
        trackers = self.json("/actors?kind=tracker")["actors"]
        return sum(row["mailbox_depth"] for row in trackers if row["state"] == "paused")

    # How it ends.

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to the process alone, not to its children."""
        if number in _ENDS:
            self._before_end()
        self.process.send_signal(number)

    def kill9(self) -> None:
        """End it without a word, and wait until it is gone."""
        self._before_end()
        self.process.kill()
        self.process.wait(10)

    def _before_end(self) -> None:
        """Check the books, unless it is told to end already, and note the time."""
        if self.ending_us is None:
            self.check_books()
            self.ending_us = time.time_ns() // 1000

    def check_books(self) -> None:
        """Check that the ledger balances, where the API gives it."""
        if self.process.poll() is None and _ADDRESS.search(self.log):
            with suppress(requests.RequestException):
                response = self.get("/ledger")
                if response.ok:
                    check_answer(response.json())

    def wait(self, limit_s: float = 20.0) -> int:
        """Wait for its end and return the exit code.

        Raises:
            AssertionError: it did not end; the log has the stacks of its threads then.
        """
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(10)
            raise AssertionError(f"mintwatch did not end within {limit_s} s") from None

    def stop(self, limit_s: float = 20.0) -> int:
        """Ask for an orderly end and wait for it."""
        self.signal(signal.SIGTERM)
        return self.wait(limit_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.check_books()
        finally:
            self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        try:
            self._clear(in_order=error is None)
        finally:
            self._last_log = self.log
            if error is not None:
                error.add_note(f"The service's log:\n{self._last_log[-_SHOWN_CHARACTERS:]}")
            self._home.cleanup()
        assert not leaks(self._last_log.encode(), [PLANTED]), "the log shows a secret"

    def _clear(self, *, in_order: bool) -> None:
        was_running = self.process.poll() is None
        if was_running:
            self.process.kill()
        self.process.wait(10)
        left = _processes_of_session(self.process.pid)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if in_order and not was_running:
            assert not left, f"mintwatch left processes behind: {left}"

    def _alive(self, condition: Callable[[], Any]) -> Callable[[], Any]:
        """Give up on a condition as soon as the process has ended without meeting it."""

        def check() -> Any:
            ended = self.process.poll()
            found = None
            with suppress(requests.RequestException):
                found = condition()
            assert found or ended is None, f"mintwatch ended with {ended}"
            return found

        return check


def _processes_of_session(session: int) -> list[int]:
    """List what still runs in a session, on systems that have /proc."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            # The name in parentheses may hold anything; the fields are behind the last one.
            state, _, _, sid = entry.read_text().rpartition(")")[2].split()[:4]
            if int(sid) == session and state != "Z":
                found.append(int(entry.parent.name))
    return found


def free_port() -> int:
    """Give a port that nobody listened on a moment ago."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
