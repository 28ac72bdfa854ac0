from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from actors.domain import Mint, Trade, Wallet
from actors.protocol.tracker import HandOver, HandOverDone, TradesArrived
from actors.runtime import DeadLetter
from actors.supervisor.letter_file import DeadLetterFile

if TYPE_CHECKING:
    from pathlib import Path

A = Mint("MintA")


def trade(seq: int) -> Trade:
    return Trade(
        seq=seq,
        arrived_us=1_000_000 + seq,
        mint=A,
        signature=f"Sig{seq}",
        trader=Wallet("Wallet"),
        is_buy=True,
        sol_lamports=5,
        token_units=7,
        price_sol=None,
        virtual_sol_lamports=None,
        virtual_token_units=None,
        pool="pump",
    )


def letter(message: Any, error: str | None = None) -> DeadLetter:
    return DeadLetter(
        id=1,
        at_us=9,
        actor="tracker:MintA",
        reason="failed",
        message=message,
        error=error,
        traceback="Traceback: secret",
    )


def lines(folder: Path, name: str = "dead-letters.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def make(folder: Path, max_bytes: int = 1_000_000) -> DeadLetterFile:
    return DeadLetterFile(folder, lambda text: text.replace("secret", "***"), max_bytes)


def test_letter_is_a_line_with_the_trades_in_it_and_no_secret(tmp_path: Path) -> None:
    make(tmp_path).write(letter(trade(3), "ValueError: a secret"))

    assert lines(tmp_path) == [
        {
            "at_us": 9,
            "actor": "tracker:MintA",
            "reason": "failed",
            "type": "Trade",
            "trades": [["MintA", 3, 1_000_003]],
            "windows": [],
            "error": "ValueError: a ***",
        }
    ]
    assert (tmp_path / "dead-letters.jsonl").stat().st_mode & 0o777 == 0o600


def test_batches_are_looked_into(tmp_path: Path) -> None:
    letters = make(tmp_path)
    letters.write(letter(TradesArrived((trade(1), trade(2)))))
    letters.write(letter(HandOver((trade(4), HandOverDone(A, None)))))

    assert [line["trades"] for line in lines(tmp_path)] == [
        [["MintA", 1, 1_000_001], ["MintA", 2, 1_000_002]],
        [["MintA", 4, 1_000_004]],
    ]


def test_letter_without_a_trade_is_not_written(tmp_path: Path) -> None:
    make(tmp_path).write(letter("a text"))

    assert list(tmp_path.iterdir()) == []


def test_file_past_its_bound_is_put_aside_once(tmp_path: Path) -> None:
    letters = make(tmp_path, max_bytes=400)
    for seq in range(12):
        letters.write(letter(trade(seq)))

    assert {path.name for path in tmp_path.iterdir()} <= {
        "dead-letters.jsonl",
        "dead-letters.jsonl.1",
    }
    assert lines(tmp_path, "dead-letters.jsonl.1")
    assert all(path.stat().st_size < 800 for path in tmp_path.iterdir())


def test_disk_that_refuses_is_counted_and_hurts_nobody(tmp_path: Path) -> None:
    letters = make(tmp_path / "missing")

    letters.write(letter(trade(1)))
    (tmp_path / "missing").mkdir()
    letters.write(letter(trade(2)))

    assert letters.lost == 1
    assert [line["trades"][0][1] for line in lines(tmp_path / "missing")] == [2]


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    letters = make(tmp_path)

    def write() -> None:
        for seq in range(100):
            letters.write(letter(trade(seq)))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(lines(tmp_path)) == 400
