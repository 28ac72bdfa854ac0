from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from actors.spool.entries import Entry
from actors.spool.store import Spool, SpoolError, SpoolFullError, SpoolUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024
OWNER = "postgres-writer:0"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "spool.sqlite3"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    spool = Spool(path, MIB)
    spool.open()
    yield spool
    spool.close()


def row(text: str, key: str = "", weight: int = 0) -> Entry:
    return Entry(kind="row", payload=text.encode(), key=key, weight=weight)


def texts(spool: Spool, owner: str = OWNER, limit: int = 100) -> list[str]:
    return [entry.payload.decode() for entry in spool.oldest(owner, limit)]


def fill(spool: Spool) -> int:
    """Put entries until one is refused; return how many were stored."""
    for stored in range(100):
        try:
            spool.put(OWNER, [row("x" * 10_000)], now_us=0)
        except SpoolFullError:
            return stored
    raise AssertionError("the spool has no bound")


def damage(path: Path) -> None:
    """Overwrite every page but the first with rubbish."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


def test_entries_come_back_oldest_first_with_all_they_were_put_with(spool: Spool) -> None:
    spool.put(OWNER, [row("a", "m1", 2), row("b", "m2", 3)], now_us=10)
    spool.put(OWNER, [row("c", "m1")], now_us=20)

    first, second, third = spool.oldest(OWNER, 10)

    assert (first.kind, first.payload, first.key, first.weight, first.put_us) == (
        "row",
        b"a",
        "m1",
        2,
        10,
    )
    assert (second.payload, second.key, second.weight) == (b"b", "m2", 3)
    assert (third.payload, third.put_us) == (b"c", 20)
    assert first.id < second.id < third.id


def test_oldest_reads_no_more_than_the_limit(spool: Spool) -> None:
    spool.put(OWNER, [row("a"), row("b"), row("c")], now_us=0)

    assert texts(spool, limit=2) == ["a", "b"]


def test_an_owner_sees_only_its_own_entries(spool: Spool) -> None:
    spool.put(OWNER, [row("mine")], now_us=0)
    spool.put("n8n-writer", [row("theirs")], now_us=0)

    assert texts(spool) == ["mine"]
    assert texts(spool, "n8n-writer") == ["theirs"]
    assert spool.stats("n8n-writer").entries == 1


def test_removed_entries_are_gone_and_their_ids_are_not_used_again(spool: Spool) -> None:
    spool.put(OWNER, [row("a", weight=2), row("b", weight=5)], now_us=0)
    removed = spool.oldest(OWNER, 10)

    spool.remove(OWNER, removed)
    spool.put(OWNER, [row("c")], now_us=0)

    (entry,) = spool.oldest(OWNER, 10)
    assert entry.payload == b"c"
    assert entry.id > removed[-1].id


def test_entries_of_one_key_can_be_removed(spool: Spool) -> None:
    spool.put("n8n-writer", [row("x", "batch-1"), row("y", "batch-2")], now_us=0)

    spool.remove_key("n8n-writer", "batch-1")

    assert texts(spool, "n8n-writer") == ["y"]
    assert spool.stats("n8n-writer").entries == 1


def test_stats_count_entries_trades_and_the_oldest_put(spool: Spool) -> None:
    spool.put(OWNER, [row("a", weight=2), row("b", weight=3)], now_us=100)
    spool.put(OWNER, [row("c", weight=4)], now_us=200)
    spool.remove(OWNER, spool.oldest(OWNER, 2))

    stats = spool.stats(OWNER)

    assert (stats.entries, stats.weight, stats.oldest_put_us) == (1, 4, 200)
    assert 0 < stats.file_bytes < MIB


def test_stats_of_an_owner_without_entries_are_zero(spool: Spool) -> None:
    stats = spool.stats("nobody")

    assert (stats.entries, stats.weight, stats.oldest_put_us) == (0, 0, None)


def test_entries_and_counts_are_there_after_closing_and_opening_again(
    spool: Spool, path: Path
) -> None:
    spool.put(OWNER, [row("a", weight=7)], now_us=5)
    spool.close()

    again = Spool(path, MIB)
    again.open()

    assert texts(again) == ["a"]
    assert again.stats(OWNER).weight == 7
    again.close()


def test_at_its_bound_the_spool_refuses_and_keeps_what_it_has(path: Path) -> None:
    spool = Spool(path, 256 * 1024)
    spool.open()
    stored = fill(spool)

    with pytest.raises(SpoolFullError, match="SPOOL_MAX_MB"):
        spool.put(OWNER, [row("x" * 10_000)], now_us=0)

    assert 15 < stored < 26
    assert spool.stats(OWNER).entries == stored
    assert spool.stats(OWNER).file_bytes <= 256 * 1024
    spool.close()


def test_there_is_room_again_once_entries_are_removed(path: Path) -> None:
    spool = Spool(path, 256 * 1024)
    spool.open()
    fill(spool)

    spool.remove(OWNER, spool.oldest(OWNER, 10))
    spool.put(OWNER, [row("y" * 10_000)], now_us=0)

    assert spool.oldest(OWNER, 100)[-1].payload[:1] == b"y"
    spool.close()


def test_removing_everything_gives_the_space_back_to_the_disk(path: Path) -> None:
    spool = Spool(path, 8 * MIB)
    spool.open()
    spool.put(OWNER, [row("x" * 100_000) for _ in range(40)], now_us=0)

    spool.remove(OWNER, spool.oldest(OWNER, 100))
    spool.close()

    assert path.stat().st_size < 200_000


def test_a_put_that_fails_halfway_stores_nothing(spool: Spool) -> None:
    spool.put(OWNER, [row("a", weight=1)], now_us=0)
    broken = Entry(kind="row", payload=b"c", key="m", weight=2**80)

    with pytest.raises(OverflowError):
        spool.put(OWNER, [row("b", weight=1), broken], now_us=0)

    assert texts(spool) == ["a"]
    assert spool.stats(OWNER).weight == 1


def test_file_and_folder_belong_to_their_owner_alone(spool: Spool, path: Path) -> None:
    spool.put(OWNER, [row("a")], now_us=0)

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_a_file_that_is_no_spool_is_moved_aside_with_an_error_in_the_log(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database" * 100)
    spool = Spool(path, MIB)

    with capture_logs() as logs:
        spool.open()
    spool.put(OWNER, [row("a")], now_us=0)

    aside = path.with_name("spool.sqlite3.corrupt-1")
    assert aside.read_bytes().startswith(b"this is not a database")
    assert texts(spool) == ["a"]
    (event,) = [log for log in logs if log["event"] == "spool_damaged"]
    assert event["log_level"] == "error"
    assert event["moved_to"] == str(aside)
    spool.close()


def test_a_second_damaged_file_does_not_overwrite_the_first(path: Path) -> None:
    for text in (b"first " * 100, b"second " * 100):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text)
        spool = Spool(path, MIB)
        spool.open()
        spool.close()

    assert path.with_name("spool.sqlite3.corrupt-1").read_bytes().startswith(b"first")
    assert path.with_name("spool.sqlite3.corrupt-2").read_bytes().startswith(b"second")


def test_a_file_of_another_format_is_moved_aside(path: Path) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE entries (x)")
    other.execute("PRAGMA user_version = 99")
    other.commit()
    other.close()
    spool = Spool(path, MIB)

    spool.open()

    assert path.with_name("spool.sqlite3.corrupt-1").exists()
    assert texts(spool) == []
    spool.close()


def test_damage_found_while_reading_ends_in_an_empty_spool_that_works(path: Path) -> None:
    first = Spool(path, 8 * MIB)
    first.open()
    first.put(OWNER, [row("x" * 1000) for _ in range(500)], now_us=0)
    first.close()
    damage(path)
    spool = Spool(path, 8 * MIB)

    assert spool.oldest(OWNER, 10) == []
    spool.put(OWNER, [row("a")], now_us=0)

    assert texts(spool) == ["a"]
    assert spool.stats(OWNER).entries == 1
    assert path.with_name("spool.sqlite3.corrupt-1").exists()
    spool.close()


def test_an_owner_notices_that_another_has_moved_the_file_aside(spool: Spool, path: Path) -> None:
    spool.put(OWNER, [row("old")], now_us=0)
    path.rename(path.with_name("spool.sqlite3.corrupt-1"))
    fresh = Spool(path, MIB)
    fresh.open()

    spool.put(OWNER, [row("new")], now_us=0)

    assert texts(fresh) == ["new"]
    assert texts(spool) == ["new"]
    fresh.close()


def test_a_folder_that_cannot_be_made_is_reported_not_raised_raw(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    spool = Spool(tmp_path / "file" / "spool.sqlite3", MIB)

    with pytest.raises(SpoolUnavailableError, match="cannot be opened"):
        spool.open()


def test_a_full_disk_refuses_the_entry_and_leaves_the_others(path: Path) -> None:
    script = f"""
import resource, signal
from pathlib import Path
from actors.spool.entries import Entry
from actors.spool.store import Spool, SpoolError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
spool = Spool(Path({str(path)!r}), 64 * 1024 * 1024)
spool.open()
spool.put("o", [Entry("row", b"kept")], 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    spool.put("o", [Entry("row", b"x" * 400_000)], 0)
except SpoolError as error:
    print("refused:", type(error).__name__)
print([entry.payload for entry in spool.oldest("o", 10)])
spool.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )

    refused, kept = done.stdout.splitlines()
    assert refused.startswith("refused: Spool")
    assert kept == "[b'kept']"


def test_everything_put_before_a_kill_is_there_afterwards(path: Path) -> None:
    script = f"""
import itertools
from pathlib import Path
from actors.spool.entries import Entry
from actors.spool.store import Spool
spool = Spool(Path({str(path)!r}), 64 * 1024 * 1024)
spool.open()
for number in itertools.count():
    spool.put("o", [Entry("row", b"%d" % number), Entry("row", b"%d'" % number)], 0)
    print(number, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = -1
    for line in process.stdout:
        acknowledged = int(line)
        if acknowledged >= 20:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.stdout.close()
    process.wait(timeout=30)
    spool = Spool(path, 64 * MIB)
    spool.open()

    found = texts(spool, "o", limit=100_000)

    assert len(found) % 2 == 0
    expected = [text for n in range(len(found) // 2) for text in (f"{n}", f"{n}'")]
    assert found == expected
    assert len(found) // 2 > acknowledged
    spool.close()


def test_owners_in_several_threads_lose_nothing(path: Path) -> None:
    failures: list[SpoolError] = []

    def work(owner: str) -> None:
        spool = Spool(path, 64 * MIB)
        try:
            spool.open()
            for number in range(30):
                spool.put(owner, [row(f"{number}")], now_us=0)
        except SpoolError as error:
            failures.append(error)
        finally:
            spool.close()

    threads = [threading.Thread(target=work, args=(f"writer:{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    reader = Spool(path, 64 * MIB)
    reader.open()
    assert failures == []
    for n in range(4):
        assert texts(reader, f"writer:{n}") == [str(number) for number in range(30)]
    reader.close()


def test_reassigning_moves_each_key_to_its_new_owner_in_unchanged_order(spool: Spool) -> None:
    spool.put("postgres-writer:0", [row("a1", "A"), row("b1", "B")], now_us=0)
    spool.put("postgres-writer:1", [row("c1", "C"), row("d1", "D"), row("c2", "C")], now_us=0)
    spool.put("n8n-writer", [row("batch", "A")], now_us=0)
    owners = {"A": "postgres-writer:0", "C": "postgres-writer:0"}

    moved = spool.reassign("postgres-writer:", lambda key: owners.get(key, "postgres-writer:2"))

    assert moved == 4
    assert texts(spool, "postgres-writer:0") == ["a1", "c1", "c2"]
    assert texts(spool, "postgres-writer:2") == ["b1", "d1"]
    assert texts(spool, "postgres-writer:1") == []
    assert texts(spool, "n8n-writer") == ["batch"]
    assert spool.stats("postgres-writer:0").entries == 3
