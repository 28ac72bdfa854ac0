"""The audit of a real service's rows, beside it and behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.audit.asking import ask
from tests.e2e.rows import rows
from tests.faults.world import World, eventually

if TYPE_CHECKING:
    from pathlib import Path


def test_clean_run_agrees(dsn: str, tmp_path: Path) -> None:
    with World(tmp_path, dsn) as world:
        world.start()
        world.receive(1_500)
        world.finish()

        answer = ask(world.state_dir, dsn)

        assert answer.wrong() == {}
        assert answer.exit_code == 0
        assert answer.found["pending"] == 0
        assert answer.found["checked"] + answer.found["unchecked"] == len(rows(dsn)) > 100
