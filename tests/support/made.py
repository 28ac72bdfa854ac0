"""Recordings that are made, from fixed seeds: the same bytes each time.

Quiet ones, in which the recording's clock runs far ahead of what a slow machine can do between two
frames, and dense ones, in which it hardly moves.
"""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

from simulator.market import Market, MarketConfig
from simulator.replay import SIMULATED_START_S, record_market, recording_line

if TYPE_CHECKING:
    from pathlib import Path

_CURVE = 32_190_000_000


def creates(path: Path, coins: int, seconds_apart: float) -> Path:
    """Write a recording of nothing but creates, each with a buy of 0.5 SOL."""
    lines = [
        recording_line(1_700_000_000 + number * seconds_apart, json.dumps(_create(number)).encode())
        for number in range(coins)
    ]
    path.write_bytes(b"".join(lines))
    return path


def _create(number: int) -> dict[str, Any]:
    return {
        "signature": f"Create{number}",
        "mint": f"Quiet{number}pump",
        "traderPublicKey": f"Creator{number}",
        "txType": "create",
        "initialBuy": _CURVE / 30 - _CURVE / 30.5,
        "solAmount": 0.5,
        "bondingCurveKey": f"Curve{number}",
        "vTokensInBondingCurve": _CURVE / 30.5,
        "vSolInBondingCurve": 30.5,
        "marketCapSol": 30.5 / (_CURVE / 30.5) * 1e9,
        "name": f"Quiet {number}",
        "symbol": f"Q{number}",
        "uri": "",
        "pool": "pump",
    }


def creates_twice(path: Path) -> Path:
    """Write creates that come again: under the same signature, and under another one."""
    lines = []
    for number in range(20):
        first = _create(number)
        again = first | {"signature": f"Again{number}", "name": "Somebody else", "solAmount": 0.25}
        for place, frame in enumerate((first, first, again, again)):
            # 3 of 4 coins hear of the repetition once their first window is over.
            at_s = 1_700_000_000 + number * 40 + place * (number % 4) * 3
            lines.append((at_s, json.dumps(frame).encode()))
    path.write_bytes(b"".join(recording_line(*line) for line in sorted(lines)))
    return path


def quiet(path: Path, trades: int = 816, minutes: int = 104) -> Path:
    """Write a market of a minute or two, cut up by quiet stretches of 0 to 20 minutes."""
    random = Random(816)
    config = MarketConfig(coins=60, create_rate_per_s=0.6, trades_per_second=8.0)
    frames = Market(104, config).frames(110_000_000)
    ends = [index for index, frame in enumerate(frames) if frame.kind in {"buy", "sell"}]
    frames = frames[: ends[trades - 1] + 1]
    breaks = sorted(random.sample(range(1, len(frames)), 24))
    shares = [random.random() ** 2 for _ in breaks]
    silent_us = minutes * 60_000_000 - frames[-1].due_us
    lengths_us = {
        index: round(silent_us * share / sum(shares))
        for index, share in zip(breaks, shares, strict=True)
    }
    lines, late_us = [], 0
    for index, frame in enumerate(frames):
        late_us += lengths_us.get(index, 0)
        at_s = SIMULATED_START_S + (frame.due_us + late_us) / 1_000_000
        lines.append(recording_line(at_s, frame.data))
    path.write_bytes(b"".join(lines))
    return path


def dense(path: Path, seconds: int = 5, events_per_s: int = 1_000) -> Path:
    """Write a market of 120 coins with so many trades a second."""
    config = MarketConfig(coins=120, create_rate_per_s=60.0, trades_per_second=float(events_per_s))
    record_market(path, 1_000, seconds, config)
    return path


def simulated(path: Path, seconds: int = 420, graduate_share: float = 0.2) -> Path:
    """Write the simulator's measured market, with everything that it sends."""
    config = MarketConfig(graduate_share=graduate_share, instant_share=graduate_share / 4)
    record_market(path, 7, seconds, config)
    return path


def of_2024(path: Path) -> Path:
    """Write a recording in the form of 2024: no `solAmount`, no `pool`."""
    source = dense(path.with_suffix(".now.jsonl"), seconds=2, events_per_s=200)
    with path.open("w") as out:
        for line in source.read_text().splitlines():
            said = json.loads(line)
            for name in ("solAmount", "pool"):
                said["message"].pop(name, None)
            out.write(json.dumps(said) + "\n")
    return path
