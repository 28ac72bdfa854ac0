import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from simulator.process import StartError, start_simulator, start_webhook

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 20.0
PARENT = """
import threading
from simulator.process import start_simulator
running = start_simulator(["simulate", "--hold"])
print(running.control_uri, flush=True)
threading.Event().wait(60)
"""


def port_becomes_free(port: int) -> bool:
    waiting = threading.Event()
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S).close()
        except OSError:
            return True
        waiting.wait(0.05)
    return False


def test_child_runs_in_a_session_of_its_own_and_ends_with_0_on_sigterm() -> None:
    running = start_simulator(["simulate", "--hold"])
    session = os.getsid(running.process.pid)

    code = running.stop()

    assert session == running.process.pid
    assert code == 0
    assert running.stop() == 0


def test_sigint_ends_it_with_0_as_well() -> None:
    with start_simulator(["simulate", "--hold"]) as running:
        running.process.send_signal(signal.SIGINT)

        assert running.process.wait(LIMIT_S) == 0


def test_ready_line_is_one_json_object_with_both_addresses() -> None:
    with start_simulator(["simulate", "--hold"]) as running:
        assert running.ready.keys() == {"ws_uri", "control_uri"}
        assert running.uri.startswith("ws://127.0.0.1:")
        assert running.uri.endswith("/api/data")


def test_a_child_that_cannot_start_says_why(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("nonsense\n", encoding="utf-8")

    with pytest.raises(StartError, match="line 1: found"):
        start_simulator(["replay", str(bad)])
    with pytest.raises(StartError, match="there is no fault"):
        start_simulator(["simulate", "--fault", "nonsense=1"])


def test_duration_ends_the_server_by_itself() -> None:
    with start_simulator(["simulate", "--duration", "0.2"]) as running:
        assert running.process.wait(LIMIT_S) == 0


def test_nothing_is_left_behind_when_the_parent_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        host, _, port = parent.stdout.readline().strip().rpartition(":")
        parent.kill()
        parent.wait(LIMIT_S)

        assert host == "http://127.0.0.1"
        assert port_becomes_free(int(port))


def test_webhook_child_starts_and_stops() -> None:
    with start_webhook() as running:
        assert running.received()["count"] == 0
        started = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - started < 5

    assert not [t for t in threading.enumerate() if t.name == "http-json"]
