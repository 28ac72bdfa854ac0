"""The connection against the local PumpPortal server: what was sent is what arrived."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from actors.connection import GetFeed, WatchMint
from actors.domain import Coin, FeedState
from actors.protocol.supervisor import CONNECTION, DISCOVERY
from simulator.process import start_simulator
from tests.connection.feed_server import LIMIT_S
from tests.connection.system import Running, running
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


def received_by(run: Running) -> list[dict[str, Any]]:
    return [json.loads(record.data) for record in run.journal.records]


def sent_in(log: Path) -> list[dict[str, Any]]:
    lines = log.read_bytes().splitlines() if log.exists() else []
    return [json.loads(line)["message"] for line in lines if line.endswith(b"}")]


def watch_everything(run: Running) -> int:
    """Ask for the trades of every coin seen so far, as discovery would."""
    coins = [event.mint for event in run.told[DISCOVERY] if isinstance(event, Coin)]
    for mint in coins:
        run.tell(WatchMint(mint))
    return len(coins)


def test_every_frame_the_server_sent_is_in_the_journal_in_order(tmp_path: Path) -> None:
    # Given a market of 30 coins with 400 trades a second, with duplicates and rubbish in it
    log = tmp_path / "sent.jsonl"
    args = [
        "simulate",
        "--coins",
        "30",
        "--trades-per-second",
        "400",
        "--seed",
        "5",
        "--sent-log",
        str(log),
    ]
    args += ["--fault", "duplicates=0.02", "--fault", "unknown_types=0.02"]
    with (
        start_simulator(args) as simulator,
        running(simulator.uri, pumpportal_api_key="funded-key") as run,
    ):
        run.wait_for_state(FeedState.LIVE)
        wait_until(lambda: watch_everything(run) >= 30)

        # When a good thousand frames have come, and the server falls silent
        wait_until(lambda: run.report().frames.get("buy", 0) > 600)
        simulator.fault("silence", what="all")
        wait_until(lambda: received_by(run) == sent_in(log))

        # Then each of them is in the journal, in order, and every trade in the books
        received = received_by(run)
        assert len(received) > 1_000
        kinds = Counter(frame["txType"] for frame in received)
        report = run.system.ask(CONNECTION, GetFeed(), LIMIT_S)
        assert (report.frames["buy"], report.frames["sell"]) == (kinds["buy"], kinds["sell"])
        assert report.billed_frames == kinds["buy"] + kinds["sell"]
        assert run.system.ledger.balanced


def test_unfunded_key_is_an_honest_collector_of_creates() -> None:
    with start_simulator(["simulate", "--rate", "30"]) as simulator, running(simulator.uri) as run:
        run.wait_for(DISCOVERY, Coin)
        watch_everything(run)

        report = run.wait_for_state(FeedState.DISCOVERY_ONLY)

        assert "0.02 SOL" in report.reason
        run.wait_for(DISCOVERY, Coin, len(run.told[DISCOVERY]) + 2)
