"""What is kept of changed settings, and that no crash, no damage and no reader breaks it."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from settings import SettingsError, load
from settings.store import Change, SettingsStore

if TYPE_CHECKING:
    from pathlib import Path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def change(number: int) -> Change:
    return Change(at_us=number, by="127.0.0.1", changed={"batch_size": (number, number + 1)})


def test_changes_are_there_after_a_restart(tmp_path: Path) -> None:
    kept = {"batch_size": 20, "bad_names_pattern": "x\u00e9\u2026", "n8n_webhook_url": ""}

    SettingsStore(tmp_path).save(kept)

    assert SettingsStore(tmp_path).load() == kept


def test_nothing_kept_is_no_change(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path)

    assert store.load() == {}
    assert store.history(10) == ()


def test_only_its_user_can_read_the_files(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = SettingsStore(tmp_path)
        store.save({"api_token": "hunter2"})
        store.append(change(1))
    finally:
        os.umask(before)

    assert {p.name: oct(mode_of(p)) for p in tmp_path.iterdir()} == {
        "settings.json": "0o600",
        "settings-history.jsonl": "0o600",
    }


def test_file_that_others_could_read_is_closed_by_the_next_save(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text("{}")
    path.chmod(0o644)

    SettingsStore(tmp_path).save({"batch_size": 20})

    assert mode_of(path) == 0o600


def test_link_left_in_place_of_the_new_file_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    (tmp_path / "settings.json.new").symlink_to(elsewhere)

    SettingsStore(tmp_path).save({"batch_size": 20})

    assert elsewhere.read_text() == "untouched"
    assert not (tmp_path / "settings.json").is_symlink()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"db_dsn": "postgresql://u:hunter2@h/d"',
        b"[1]",
        b"\xff",
        b"[" * 100_000,
        b'{"a": "' + b"x" * (1 << 20) + b'"}',
    ],
    ids=["empty", "begun", "torn", "list", "binary", "deep", "huge"],
)
def test_damaged_file_is_named_and_not_quoted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(content)

    with pytest.raises(SettingsError) as caught:
        SettingsStore(tmp_path).load()

    (error,) = caught.value.errors
    assert error.startswith(f"{path} is ")
    assert error.endswith("correct it, or remove it to go back to the environment.")
    assert "hunter2" not in error
    assert caught.value.__cause__ is None


def test_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "settings.json").mkdir()

    with pytest.raises(SettingsError, match=r"settings\.json cannot be read \(Is a directory\)"):
        SettingsStore(tmp_path).load()


def test_failed_save_leaves_what_was_kept(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path)
    store.save({"batch_size": 20})
    (tmp_path / "settings.json.new").mkdir()

    with pytest.raises(SettingsError, match=r"settings\.json cannot be written"):
        store.save({"batch_size": 30})

    assert store.load() == {"batch_size": 20}


def test_kept_name_that_is_no_setting_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    SettingsStore(tmp_path).save({"batch_siz": 20, "api_port": 1, "batch_timeout": 5})

    with pytest.raises(SettingsError) as caught:
        load({}, None, SettingsStore(tmp_path).load())

    errors = caught.value.errors
    assert [error.split()[0] for error in errors] == [
        "API_PORT",
        "'batch_siz'",
        "BATCH_TIMEOUT",
        "API_PORT,",
    ]
    assert "settings.json of STATE_DIR" in errors[-1]


def test_history_is_newest_first_and_comes_in_pages(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path)
    for number in range(5):
        store.append(change(number))

    assert [c.at_us for c in store.history(2)] == [4, 3]
    assert [c.at_us for c in store.history(2, 3)] == [1, 0]
    assert store.history(2, 5) == ()
    assert SettingsStore(tmp_path).history(1) == (
        Change(at_us=4, by="127.0.0.1", changed={"batch_size": (4, 5)}),
    )


def test_history_forgets_the_oldest_past_a_thousand(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path)
    lines = [
        json.dumps({"at_us": number, "by": "x", "changed": {}}).encode() for number in range(1000)
    ]
    (tmp_path / "settings-history.jsonl").write_bytes(b"\n".join(lines) + b"\n")

    store.append(change(5000))

    found = store.history(2000)
    assert (len(found), found[0].at_us, found[-1].at_us) == (1000, 5000, 1)


def test_damaged_line_of_the_history_costs_only_itself(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path)
    store.append(change(1))
    path = tmp_path / "settings-history.jsonl"
    path.write_bytes(path.read_bytes() + b'\xff{"at_us": 2\n')

    store.append(change(3))

    assert [c.at_us for c in store.history(10)] == [3, 1]


def test_secret_is_masked_before_it_is_written(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path)

    store.append(
        Change(
            at_us=1,
            by="x" * 5000,
            changed={
                "db_dsn": ("postgresql://u:hunter2@h/d", None),
                "n8n_auth_header": (None, "Authorization: Bearer hunter2"),
                "n8n_webhook_url": (None, "https://u:hunter2@n8n/hook?key=hunter2"),
                "pumpportal_api_key": ("***", "hunter2"),
                "no_such_setting": ("hunter2", 1),
                "bad_names_pattern": ("a\ud800", "b" * 4096),
            },
        )
    )

    raw = (tmp_path / "settings-history.jsonl").read_bytes()
    assert b"hunter2" not in raw
    assert len(raw) < 3000
    (found,) = store.history(1)
    assert found.changed["db_dsn"] == ("postgresql://u:***@h/d", None)
    assert found.changed["n8n_webhook_url"] == (None, "https://***@n8n/hook?key=***")
    assert found.changed["pumpportal_api_key"] == ("***", "***")
    assert found.changed["bad_names_pattern"] == ("a?", "b" * 500)
