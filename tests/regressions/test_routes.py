"""A route that is closed twice, as for a coin that graduates while everything ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.domain import Mint
from actors.protocol.connection import RouteMint, StopReading, UnrouteMint
from actors.protocol.discovery import RouteClosed
from tests.connection.test_replay_source import Replay, buy, record

if TYPE_CHECKING:
    from pathlib import Path

A = Mint("MintA")


def test_a_tracker_that_has_ended_already_is_not_a_dead_letter(tmp_path: Path) -> None:
    replay = Replay(record(tmp_path / "r.jsonl", (1.0, buy("MintA"))))
    tracker = replay.tracker()
    replay.tell(RouteMint(A), StopReading())
    assert len(tracker.of(RouteClosed)) == 1
    replay.system.stop("tracker:MintA")
    replay.tell(UnrouteMint(A))
    assert replay.system.letters() == []
