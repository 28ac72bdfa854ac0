"""Frames of the shipped recordings to typed events, beside the standard library's JSON parser.

The peer only parses: it checks nothing, rounds nothing and makes no event.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from actors.connection.decoder import decode
from actors.connection.replay_source import read_recording
from actors.domain import Coin, Trade
from bench.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDINGS: Final = Path(__file__).parent.parent / "tests" / "recordings"
FRAMES: Final = 60_000
ROUNDS: Final = 3


def run() -> list[Figure]:
    """Decode trades and creates; takes about 2 s."""
    return [
        _figure("buys and sells", _frames("market", Trade)),
        _figure("creates", _frames("session", Coin)),
    ]


def recorded(name: str) -> list[bytes]:
    """Read the frames of a shipped recording."""
    return [item.frame for item in read_recording(RECORDINGS / f"{name}.jsonl.gz")]


def _frames(name: str, kind: type[Trade | Coin]) -> list[bytes]:
    return [frame for frame in recorded(name) if isinstance(decode(frame, 1, 1), kind)]


def _figure(what: str, frames: list[bytes]) -> Figure:
    return Figure(
        f"decoding of {what}",
        "us/frame",
        _us_per_frame(lambda frame: decode(frame, 1, 1), frames),
        _us_per_frame(json.loads, frames),
        "json.loads alone",
        more_is_better=False,
    )


def _us_per_frame(parse: Callable[[bytes], object], frames: list[bytes]) -> float:
    """Take the best of some rounds over the frames, repeated."""
    times = FRAMES // len(frames) // ROUNDS + 1
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(times):
            for frame in frames:
                parse(frame)
        best = min(best, (time.perf_counter() - began) / (times * len(frames)))
    return best * 1e6
