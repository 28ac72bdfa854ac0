"""Asks `mintwatch audit` in a process of its own, as its users do."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support.service import COMMAND

if TYPE_CHECKING:
    from pathlib import Path


class Answer(NamedTuple):
    """What the command says with `--json`."""

    exit_code: int
    found: dict[str, Any]

    def wrong(self) -> dict[str, list[dict[str, Any]]]:
        """What nothing explains, by verdict; empty when all is well."""
        verdicts = ("missing", "different", "overlap", "extra")
        return {verdict: self.found[verdict] for verdict in verdicts if self.found[verdict]}


def run_audit(
    state_dir: Path, dsn: str, *args: str, **settings: object
) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(state_dir),
        "STATE_DIR": str(state_dir),
        "DB_DSN": dsn,
        **{name: str(value) for name, value in settings.items()},
    }
    return subprocess.run(
        [str(COMMAND), "audit", *args],
        env=environment,
        cwd=state_dir,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def ask(state_dir: Path, dsn: str, *args: str, **settings: object) -> Answer:
    done = run_audit(state_dir, dsn, "--since", "1h", "--json", *args, **settings)
    assert done.stdout, done.stderr
    return Answer(done.returncode, json.loads(done.stdout))
