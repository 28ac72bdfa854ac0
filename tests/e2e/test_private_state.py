"""A real service and its state folder: what others have laid there is not used."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from simulator.process import start_simulator
from tests.e2e.recordings import FROM_CREATE, NO_FILTER
from tests.support.service import Service

MARKET = ("simulate", "--coins", "5", "--trades-per-second", "50")


def test_lock_that_is_a_link_is_refused_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    mine, state = tmp_path / "mine", tmp_path / "state"
    mine.write_text("my own notes")
    state.mkdir(mode=0o700)
    (state / "lock").symlink_to(mine)

    with Service(state, FEED="simulator") as service:
        assert service.wait() == 78
        assert f"{state / 'lock'} is a link to {mine}" in service.log

    assert mine.read_text() == "my own notes"


@pytest.mark.parametrize("name", ["settings.json", "."])
def test_settings_that_others_may_have_written_are_not_believed(tmp_path: Path, name: str) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    settings = state / "settings.json"
    settings.write_text(json.dumps({"ws_uri": "ws://127.0.0.1:7/", "pumpportal_api_key": ""}))
    settings.chmod(0o600)
    written = state / name
    written.chmod(written.stat().st_mode | 0o022)

    with Service(state, PUMPPORTAL_API_KEY="funded") as service:
        assert service.wait() == 78
        assert f"{written} may be written to by others: chmod go-w {written}" in service.log


def test_nothing_is_open_to_others_whatever_the_umask(tmp_path: Path) -> None:
    state = tmp_path / "above" / "state"
    before = os.umask(0)
    try:
        with (
            start_simulator(MARKET) as market,
            Service(
                tmp_path / "not used",
                STATE_DIR=state,
                WS_URI=market.uri,
                PUMPPORTAL_API_KEY="funded",
                **FROM_CREATE,
                **NO_FILTER,
            ) as service,
        ):
            service.wait_ready(60)
            service.wait_received(50)
            assert service.ask("PUT", "/config", {"batch_size": 20}).status_code == 200
            assert service.stop() == 0
    finally:
        os.umask(before)

    entries = [path for path in state.rglob("*") if not path.is_symlink()]
    modes = {path.relative_to(state): stat.S_IMODE(path.lstat().st_mode) for path in entries}
    assert [path for path, mode in modes.items() if mode & 0o022] == []
    ours = {path: mode for path, mode in modes.items() if path.parts[0] != "postgres"}
    assert {path for path in ours if len(path.parts) == 1} >= {
        Path(name) for name in ("lock", "settings.json", "spool.sqlite", "journal")
    }
    assert [path for path, mode in ours.items() if mode & 0o077] == []
    assert stat.S_IMODE(state.stat().st_mode) & 0o066 == 0
