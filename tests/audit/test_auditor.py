"""The auditor in the running service: it finds what is wrong by itself, and ends nobody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.e2e.rows import query, rows
from tests.faults.world import World, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.service import Service


def windows(service: Service, verdict: str) -> float:
    return service.metrics()[f'mintwatch_audit_windows_total{{verdict="{verdict}"}}']


def counted(service: Service) -> float:
    """Count windows of all verdicts."""
    return sum(
        value
        for name, value in service.metrics().items()
        if name.startswith("mintwatch_audit_windows_total{")
    )


def auditor(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = service.json("/actors/auditor")
    return found


def test_running_service_finds_its_rows_right_and_then_a_falsified_one(
    dsn: str, tmp_path: Path
) -> None:
    with World(tmp_path, dsn, AUDIT_INTERVAL=1) as world:
        service = world.start()
        eventually(lambda: windows(service, "ok") > 10, 60, "audited windows")
        assert windows(service, "different") == 0
        assert windows(service, "missing") == 0
        assert windows(service, "extra") == 0

        query(dsn, "UPDATE coin_metrics SET volume_sol = volume_sol + 0.000000001")

        eventually(lambda: windows(service, "different") > 0, 60, "a difference")
        line = service.wait_log("audit_difference")
        assert re.search(r"volume_sol", line)
        assert auditor(service)["state"] == "running"
        assert auditor(service)["restarts"] == 0


def test_each_window_is_counted_once(dsn: str, tmp_path: Path) -> None:
    with World(tmp_path, dsn, AUDIT_INTERVAL=1) as world:
        service = world.start()
        eventually(lambda: counted(service) > 0, 60, "the first round")
        world.receive(500)
        world.market.fault("hold")
        world.rest()

        eventually(lambda: counted(service) >= len(rows(dsn)), 100, "the last windows")
        assert counted(service) == len(rows(dsn)) > 100


def test_auditor_leaves_a_round_while_the_database_is_away(dsn: str, tmp_path: Path) -> None:
    with World(tmp_path, dsn, AUDIT_INTERVAL=1) as world:
        service = world.start()
        eventually(lambda: windows(service, "ok") > 0, 60, "audited windows")

        query(dsn, "ALTER TABLE ref_coin_phases RENAME TO gone")

        service.wait_log("audit_round_failed", 30)
        assert auditor(service)["state"] == "running"
        query(dsn, "ALTER TABLE gone RENAME TO ref_coin_phases")
        before = windows(service, "ok")
        eventually(lambda: windows(service, "ok") > before, 60, "the next round")


def test_interval_of_zero_never_looks(dsn: str, tmp_path: Path) -> None:
    with World(tmp_path, dsn, AUDIT_INTERVAL=0) as world:
        service = world.start()
        world.receive(500)
        assert auditor(service)["handled"] == 0
        assert windows(service, "ok") == 0
        world.finish()
