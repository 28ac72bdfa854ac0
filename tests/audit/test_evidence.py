"""What explains that a trade is in no row, read from the disk a piece at a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from actors.audit.evidence import DeadLetterTotals, dead_letters, spooled_windows
from actors.spool.entries import Entry
from actors.spool.store import Spool

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


def steps_of(steps: Generator[None, None, Any]) -> tuple[int, Any]:
    """Go through all steps; say how many there were, and what was found."""
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return count, end.value
        count += 1


def keep_letters(folder: Path, count: int) -> None:
    """Write letters of about 200 bytes, of two mints in turn."""
    with (folder / "dead-letters.jsonl").open("w") as file:
        for number in range(count):
            mint = "MintA" if number % 2 else "MintB"
            letter = {
                "error": "x" * 120,
                "trades": [(mint, number, 1_000 + number)],
                "windows": [(mint, number, number + 5)],
            }
            file.write(json.dumps(letter) + "\n")


def test_dead_letters_are_parsed_a_piece_at_a_time(tmp_path: Path) -> None:
    keep_letters(tmp_path, 5_000)

    steps, found = steps_of(dead_letters(tmp_path, []))

    assert steps > 10
    assert sum(len(trades) for trades in found.trades.values()) == 5_000


def test_dead_letters_of_other_mints_are_left_out(tmp_path: Path) -> None:
    keep_letters(tmp_path, 2)

    _, found = steps_of(dead_letters(tmp_path, [], ["MintA"]))

    assert found == DeadLetterTotals({"MintA": ((1, 6),)}, {"MintA": frozenset({(1, 1_001)})})


def test_damaged_letter_is_left_out(tmp_path: Path) -> None:
    keep_letters(tmp_path, 1)
    with (tmp_path / "dead-letters.jsonl").open("a") as file:
        file.write('{"trades": [["MintA"\n')

    _, found = steps_of(dead_letters(tmp_path, []))

    assert found.trades == {"MintB": frozenset({(0, 1_000)})}


def test_spool_is_read_a_thousand_entries_at_a_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", max_bytes=1 << 30)
    spool.open()
    entries = [
        Entry(
            kind="CandleClosed",
            key=mint,
            weight=1,
            payload=msgspec.msgpack.encode(
                {"candle": {"mint": mint, "window_start_us": start, "timestamp_us": start + 5}}
            ),
        )
        for start in range(1_500)
        for mint in ("MintA", "MintB")
    ]
    spool.put("postgres-writer:0", entries, 0)
    spool.close()

    steps, found = steps_of(spooled_windows(tmp_path, [], ["MintA"]))

    assert steps == 3
    assert found == {"MintA": tuple((start, start + 5) for start in range(1_500))}
