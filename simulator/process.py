"""Simulator and webhook receiver as processes of their own.

Purpose: start one, wait until it is ready, talk to it, end it.
Guarantees: the child has its own session, so a Ctrl-C at the terminal does not reach it; it ends
by itself when its parent dies, even by SIGKILL, because its standard input closes then.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

import msgspec
import requests

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

_READY_LIMIT_S = 20.0
_HTTP_LIMIT_S = 10.0
_STOP_LIMIT_S = 10.0
_KILL_LIMIT_S = 5.0
_MAX_READY_BYTES = 10_000
_MAX_ERROR_BYTES = 4_000
TIE = "--until-stdin-closes"


class StartError(RuntimeError):
    """A child that did not become ready; the text has the end of what it wrote to stderr."""


def end_with_stdin(on_end: Callable[[], object]) -> None:
    """Call `on_end` on a thread of its own when standard input closes."""

    def wait() -> None:
        with suppress(OSError):
            while os.read(0, 4096):
                pass
        on_end()

    threading.Thread(target=wait, name="end-with-stdin", daemon=True).start()


def told_to_end(*, until_stdin_closes: bool) -> asyncio.Event:
    """Return an event that is set by SIGTERM, SIGINT, or the end of the parent."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    if until_stdin_closes:
        end_with_stdin(lambda: loop.call_soon_threadsafe(told.set))
    return told


def say(ready: dict[str, str]) -> None:
    """Print the ready line, the only thing that a server process writes to its stdout."""
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()


class Started:
    """A child that is ready. Use it as a context manager, or call `stop`."""

    def __init__(self, args: Sequence[str], ready_limit_s: float = _READY_LIMIT_S) -> None:
        """Start `python -m simulator.cli ARGS` and wait for its ready line.

        Args:
            args: command and options.
            ready_limit_s: how long to wait.

        Raises:
            StartError: when the child ends or is not ready in time; it is gone then.
        """
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- stop() closes it
        self.process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
            [sys.executable, "-m", "simulator.cli", *args, TIE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
            env=_environment(),
        )
        try:
            self.ready = self._wait_ready(time.monotonic() + ready_limit_s)
        except BaseException:
            self.stop(0)
            raise

    def stop(self, timeout: float = _STOP_LIMIT_S) -> int:
        """End the child: SIGTERM, after `timeout` seconds SIGKILL. Harmless when repeated.

        Returns:
            Its exit code.
        """
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
        code = self.process.wait(_KILL_LIMIT_S)
        for pipe in (self.process.stdin, self.process.stdout, self._stderr):
            if pipe is not None:
                pipe.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _wait_ready(self, deadline: float) -> dict[str, str]:
        stdout = self.process.stdout
        line = b""
        while stdout is not None and not line.endswith(b"\n") and len(line) < _MAX_READY_BYTES:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([stdout], [], [], left_s)[0]:
                raise StartError(f"the simulator was not ready in time; {self._complaint()}")
            chunk = os.read(stdout.fileno(), _MAX_READY_BYTES)
            if not chunk:
                self.process.wait(_KILL_LIMIT_S)
                raise StartError(f"the simulator ended at its start; {self._complaint()}")
            line += chunk
        return msgspec.json.decode(line, type=dict[str, str])

    def _complaint(self) -> str:
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _MAX_ERROR_BYTES))
        text = self._stderr.read().decode(errors="replace").strip()
        return f"it wrote: {text}" if text else "it wrote nothing"


class Running(Started):
    """A running feed server."""

    @property
    def uri(self) -> str:
        """Where WebSocket clients connect."""
        return self.ready["ws_uri"]

    @property
    def control_uri(self) -> str:
        """The root of the side channel."""
        return self.ready["control_uri"]

    def stats(self) -> dict[str, object]:
        """Ask what the server did (blocks for at most 10 s)."""
        return _fetched(requests.get(f"{self.control_uri}/control/stats", timeout=_HTTP_LIMIT_S))

    def keys(self) -> dict[str, object]:
        """Ask for the subscribed mints and accounts (blocks for at most 10 s)."""
        return _fetched(requests.get(f"{self.control_uri}/control/keys", timeout=_HTTP_LIMIT_S))

    def fault(self, kind: str, **fields: object) -> dict[str, object]:
        """Send one command and return the stats after it (blocks for at most 10 s).

        Raises:
            ValueError: when the server refuses the command.
        """
        url = f"{self.control_uri}/control/fault"
        command: Mapping[str, object] = {"kind": kind, **fields}
        return _fetched(requests.post(url, json=command, timeout=_HTTP_LIMIT_S))


class RunningWebhook(Started):
    """A running webhook receiver."""

    @property
    def url(self) -> str:
        """The root of the receiver; batches may go to any path below."""
        return self.ready["url"]

    def received(self, last: int = 100) -> dict[str, object]:
        """Ask for totals and the last batches (blocks for at most 10 s)."""
        return _fetched(requests.get(f"{self.url}/received?last={last}", timeout=_HTTP_LIMIT_S))

    def set_mode(self, mode: str, times: int = 0) -> None:
        """Make it misbehave, for the next `times` requests or until told otherwise (0)."""
        order = {"mode": mode, "times": times}
        _fetched(requests.post(f"{self.url}/control", json=order, timeout=_HTTP_LIMIT_S))


def start_simulator(args: Sequence[str]) -> Running:
    """Start `simulate ...` or `replay FILE ...`; ports are free ones unless given.

    Raises:
        StartError: when it does not become ready.
    """
    return Running([*args, *_free(args, "--port"), *_free(args, "--control-port")])


def start_webhook(args: Sequence[str] = ()) -> RunningWebhook:
    """Start the webhook receiver with options as on the command line.

    Raises:
        StartError: when it does not become ready.
    """
    return RunningWebhook(["webhook", *args, *_free(args, "--port")])


def _free(args: Sequence[str], option: str) -> list[str]:
    given = any(arg == option or arg.startswith(option + "=") for arg in args)
    return [] if given else [option, "0"]


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parent.parent)
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, path] if path else [root])}


def _fetched(response: requests.Response) -> dict[str, object]:
    answer = msgspec.json.decode(response.content, type=dict[str, object])
    if not response.ok:
        raise ValueError(f"the simulator refused: {answer.get('error')}")
    return answer
