"""The audit of rows, some of which were written under a clock that was ahead and put right since.

As in tests/system/test_clock.py libfaketime bends the wall clock of the service alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.audit.asking import ask
from tests.e2e.rows import query
from tests.faults.world import World, eventually

if TYPE_CHECKING:
    from tests.support.service import Service

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def library() -> str:
    """Find libfaketime."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        pytest.fail(
            "libfaketime is missing; `make test-system` installs the Debian package faketime"
        )
    return str(found[0])


def clock(library: str, ahead_s: int) -> dict[str, Any]:
    """Let the wall clock be ahead; the monotonic one stays true."""
    return {
        "LD_PRELOAD": library,
        "FAKETIME": f"+{ahead_s}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def windows(service: Service) -> dict[str, float]:
    prefix = "mintwatch_audit_windows_total"
    return {
        name[len(prefix) + 10 : -2]: value
        for name, value in service.metrics().items()
        if name.startswith(prefix)
    }


def newest_row_s(dsn: str) -> float:
    """Say how many seconds the newest row is ahead of the true time."""
    (newest,) = query(dsn, "SELECT extract(epoch FROM max(timestamp) - now()) FROM coin_metrics")
    return float("-inf") if newest[0] is None else float(newest[0])


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_rows_that_stayed_where_they_were_are_no_differences(
    end: str, library: str, dsn: str, tmp_path: Path
) -> None:
    with World(tmp_path, dsn, AUDIT_INTERVAL=1) as world:
        # Rows of the first run stay, those of the second lie ahead; frames of both are moved.
        for ahead_s in (0, 60):
            world.start(**clock(library, ahead_s))
            world.receive(500)
            eventually(lambda: newest_row_s(dsn) > ahead_s - 10, what="rows of this run")  # noqa: B023
            world.stop() if end == "stop" else world.kill()
        service = world.start(**clock(library, 0))
        world.receive(500)
        eventually(lambda: windows(service)["ok"] > 10, 60, "audited windows")
        sampled = windows(service)
        world.market.fault("hold")
        world.rest()
        world.stop()

        answer = ask(world.state_dir, dsn)

        (ahead,) = query(dsn, "SELECT count(*) FROM coin_metrics_ahead")
        assert "journal_set_back" in service.log
        assert ahead[0] > 0
        assert (answer.exit_code, answer.wrong()) == (0, {})
        assert answer.found["unchecked"] > 10
        assert answer.found["ok"] > 10
        assert {sampled[verdict] for verdict in ("missing", "different", "overlap", "extra")} == {0}
