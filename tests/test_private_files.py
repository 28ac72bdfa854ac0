"""Which files of STATE_DIR are taken for ours, and what is made of their modes."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from actors.assembly.state_dir import take_state_dir
from settings import SettingsError, load
from settings.private_files import refusal_of_file, refusal_of_folder

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = 65_534


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as an earlier version left it under an ordinary umask."""
    made = tmp_path / "state"
    for part in ("journal", "dossiers", "postgres/data"):
        (made / part).mkdir(mode=0o755, parents=True)
    for name in ("lock", "settings.json", "spool.sqlite", "journal/1.frames", "postgres/port"):
        (made / name).write_text("{}")
        (made / name).chmod(0o644)
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folder_of_an_earlier_version_is_taken_and_made_private(folder: Path) -> None:
    assert refusal_of_folder(folder) is None
    assert {mode(folder / name) for name in ("lock", "settings.json", "journal/1.frames")} == {
        0o600
    }
    assert {mode(folder / name) for name in ("journal", "dossiers")} == {0o700}
    assert mode(folder / "postgres/port") == 0o644


def test_folder_that_is_not_there_is_no_mistake(tmp_path: Path) -> None:
    assert refusal_of_folder(tmp_path / "new" / "state") is None
    assert refusal_of_file(tmp_path / ".env") is None


@pytest.mark.parametrize("who", [0o020, 0o002], ids=["group", "everybody"])
@pytest.mark.parametrize("name", ["", "settings.json", "journal", "journal/1.frames", "lock"])
def test_what_others_may_write_to_is_refused(folder: Path, name: str, who: int) -> None:
    path = folder / name if name else folder
    path.chmod(mode(path) | who)
    assert refusal_of_folder(folder) == (f"{path} may be written to by others: chmod go-w {path}")
    assert mode(path) & who, "nothing is mended in silence that somebody may have used"


@pytest.mark.parametrize("name", ["lock", "settings.json", "journal", "dossiers/x.json"])
def test_link_inside_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "elsewhere"
    path = folder / name
    if path.is_dir():
        (path / "1.frames").unlink()
        path.rmdir()
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    assert refusal_of_folder(folder) == (
        f"{path} is a link to {target}, and none is followed there: remove it"
    )


def test_folder_may_be_reached_by_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert refusal_of_folder(tmp_path / "link") is None


def test_folder_in_one_that_everybody_writes_to_is_refused_unless_that_is_sticky(
    folder: Path,
) -> None:
    folder.parent.chmod(0o777)
    assert "chmod o-w" in (refusal_of_folder(folder) or "")
    folder.parent.chmod(0o1777)
    assert refusal_of_folder(folder) is None


def test_lock_is_not_taken_through_a_link(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "lock").symlink_to(mine)
    with pytest.raises(OSError, match="Too many levels"):
        take_state_dir(tmp_path / "state")
    assert mine.read_text() == "mine"


def test_lock_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with take_state_dir(tmp_path / "state"):
            assert mode(tmp_path / "state" / "lock") == 0o600
            assert mode(tmp_path / "state") & 0o066 == 0
    finally:
        os.umask(before)


def test_env_file_that_others_may_write_to_is_a_mistake(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("BATCH_SIZE=20\n")
    env_file.chmod(0o666)
    with pytest.raises(SettingsError, match=r"chmod go-w .*/\.env"):
        load({}, env_file)
    env_file.chmod(0o644)
    assert load({}, env_file).batch_size == 20


@pytest.mark.root
@pytest.mark.parametrize("name", ["", "lock", "settings.json", "journal", "journal/1.frames"])
def test_what_another_user_owns_is_refused(folder: Path, name: str) -> None:
    path = folder / name if name else folder
    os.chown(path, NOBODY, NOBODY)
    assert (refusal_of_folder(folder) or "").startswith(f"{path} belongs to user {NOBODY}")


@pytest.mark.root
def test_env_file_of_another_user_is_a_mistake(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("BATCH_SIZE=20\n")
    os.chown(env_file, NOBODY, NOBODY)
    with pytest.raises(SettingsError, match=f"belongs to user {NOBODY}"):
        load({}, env_file)
