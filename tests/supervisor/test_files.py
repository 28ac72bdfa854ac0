"""What the supervisor keeps in STATE_DIR beside journal and spool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.assembly.timeline_files import EVERY_S, Timelines
from actors.domain import Mint
from actors.operator.settings_files import SettingsFiles
from actors.runtime.inspection.timeline import Note, Timeline
from settings import Settings, SettingsError, load
from settings.store import SettingsStore

if TYPE_CHECKING:
    from pathlib import Path

MINT = Mint("So1anaMint")
NOW_US = 1_700_000_000_000_000


def book(folder: Path, **environ: str) -> SettingsFiles:
    return SettingsFiles(folder, environ, lambda: NOW_US)


def note(what: str) -> Note:
    return Note(NOW_US, "supervisor", what, {})


def test_kept_change_is_there_at_the_next_start(tmp_path: Path) -> None:
    settings, changed = book(tmp_path).propose(Settings(), {"coin_cache_seconds": 60})
    book(tmp_path).keep({"coin_cache_seconds": 60}, changed, "10.0.0.1")
    assert settings.coin_cache_seconds == 60
    assert load({}, None, SettingsStore(tmp_path).load()).coin_cache_seconds == 60
    [entry] = book(tmp_path).history(10, 0)
    assert (entry.at_us, entry.by, entry.changed) == (
        NOW_US,
        "10.0.0.1",
        {"coin_cache_seconds": (120, 60)},
    )


def test_change_that_is_given_back_leaves_the_environment_in_force(tmp_path: Path) -> None:
    mine = book(tmp_path, COIN_CACHE_SECONDS="90")
    settings = load({"COIN_CACHE_SECONDS": "90"}, None)
    changed_settings, changed = mine.propose(settings, {"coin_cache_seconds": 60})
    mine.keep({"coin_cache_seconds": 60}, changed, "test")
    back, changed = mine.propose(changed_settings, {"coin_cache_seconds": None})
    mine.keep({"coin_cache_seconds": None}, changed, "test")
    assert back.coin_cache_seconds == 90
    assert SettingsStore(tmp_path).load() == {}


def test_pins_are_there_at_the_next_start(tmp_path: Path) -> None:
    book(tmp_path).keep_pins(frozenset({MINT}))
    assert book(tmp_path).pins() == {MINT}


@pytest.mark.parametrize("content", [b"", b"not json", b'{"a": 1}', b"[1, 2]", b"\xff\xfe"])
def test_damaged_pins_pin_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pins.json").write_bytes(content)
    assert book(tmp_path).pins() == frozenset()


def test_pins_that_cannot_be_written_say_where_and_why(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"pins\.json cannot be written"):
        book(tmp_path / "missing").keep_pins(frozenset({MINT}))


def test_timelines_go_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "timelines.msgpack"
    before, after = Timeline(), Timeline()
    before.note(MINT, note("tracking"))
    Timelines(before, path).save()
    Timelines(after, path).load()
    after.note(MINT, note("graduated"))
    assert [each.what for each in after.of(MINT) or ()] == ["tracking", "graduated"]


def test_timelines_are_written_once_a_minute(tmp_path: Path) -> None:
    path, now = tmp_path / "timelines.msgpack", [0.0]
    timelines = Timelines(Timeline(), path, lambda: now[0])
    now[0] = EVERY_S - 1
    timelines.save_now_and_then()
    assert not path.exists()
    now[0] = EVERY_S
    timelines.save_now_and_then()
    assert path.exists()


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x91\x01", bytes(range(64))])
def test_damaged_timelines_are_left_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "timelines.msgpack"
    path.write_bytes(content)
    timelines = Timeline()
    Timelines(timelines, path).load()
    assert timelines.of(MINT) is None


def test_timelines_that_cannot_be_written_stop_nothing(tmp_path: Path) -> None:
    Timelines(Timeline(), tmp_path / "missing" / "timelines.msgpack").save()
    assert list(tmp_path.iterdir()) == []
