"""The original's loop and mintwatch on one recording, each into a database of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pytest

from cli.times import iso
from simulator.market import MarketConfig
from simulator.replay import record_market
from tests.compare.databases import Answer, ask, insert_rows_of_original, make_theirs
from tests.e2e.recordings import FROM_CREATE, NO_FILTER, recording
from tests.e2e.rows import insert_streams, query
from tests.support import independent
from tests.support.original import rows_of_original
from tests.support.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MINUTE_US = 60_000_000
AGREEING = {"same", "rounding", "windows"}
THEIR_GRADUATION_LAMPORTS = 84_575_000_000


class Played(NamedTuple):
    """What both have written of a recording."""

    theirs: str
    ours: str
    lines: list[independent.Line]

    def ask(self, *args: str) -> Answer:
        """Compare all of it."""
        since_us, until_us = self.lines[0].at_us - MINUTE_US, self.lines[-1].at_us + MINUTE_US
        return ask(self.theirs, self.ours, *args, since=iso(since_us), until=iso(until_us))

    @property
    def without_their_price(self) -> set[str]:
        """Coins with a trade whose frame lacks the reserves, where the original has no price."""
        return {t.mint for t in independent.trades(self.lines) if t.v_sol_lamports is None}

    @property
    def beyond_their_graduation(self) -> set[str]:
        """Coins whose virtual reserves are above what the original takes for a full curve."""
        return {
            trade.mint
            for trade in independent.trades(self.lines)
            if (trade.v_sol_lamports or 0) >= THEIR_GRADUATION_LAMPORTS
        }


@pytest.fixture
def play(dsn: str, empty_dsn: str, tmp_path: Path) -> Callable[..., Played]:
    """Play a recording through both."""

    def play_both(
        file: Path,
        is_lost: Callable[[str, float], bool] = lambda _mint, _at_s: False,
        **settings: str,
    ) -> Played:
        lines = independent.read(file)
        mints = {trade.mint for trade in independent.trades(lines)}
        make_theirs(empty_dsn)
        insert_rows_of_original(empty_dsn, rows_of_original(file, mints, is_lost=is_lost))
        if not settings:
            insert_streams(dsn, mints, lines[0].at_us)
        with Service(tmp_path / "state", FEED=f"replay:{file}", DB_DSN=dsn, **settings) as service:
            assert service.wait(60) == 0
        return Played(empty_dsn, dsn, lines)

    return play_both


def shifted(source: Path, target: Path, by_s: float) -> Path:
    """Write a recording again, at another time."""
    with target.open("w", encoding="utf-8") as out:
        for line in independent.read(source):
            frame = json.dumps(line.frame, default=float)
            at_s = line.at_us / 1_000_000 + by_s
            out.write(f'{{"received_at": {at_s:.6f}, "message": {frame}}}\n')
    return target


def test_recorded_market_differs_by_rounding_and_by_early_graduation(
    play: Callable[..., Played],
) -> None:
    played = play(recording("market"))

    answer = played.ask()

    graduated = {mint for mint, why in answer.by_coin.items() if why == ["early_graduation"]}
    assert graduated == played.beyond_their_graduation
    priceless = {mint for mint, why in answer.by_coin.items() if why == ["other"]}
    assert priceless <= played.without_their_price
    assert answer.reasons.keys() <= {"rounding", "windows", "early_graduation", "other"}
    assert answer.reasons["rounding"] > 10
    assert answer.exit_code == (4 if graduated | priceless else 0)
    trades = independent.trades(played.lines)
    assert answer.found["ours"]["trades"] == len(trades)
    assert answer.found["coins"] == len({trade.mint for trade in trades})


def test_trades_that_drift_over_the_end_of_an_hour_are_windows(
    play: Callable[..., Played], tmp_path: Path
) -> None:
    """The hour ends 40.3 s behind the first trade, in the middle of their windows."""
    source = recording("market")
    by_s = 3_600 - (independent.read(source)[0].at_us / 1e6 + 40.3) % 3_600

    played = play(shifted(source, tmp_path / "shifted.jsonl", by_s))

    answer = played.ask()
    moved = [
        hour
        for hour in answer.found["differences"]
        if hour["reason"] == "windows" and hour["theirs"]["trades"] != hour["ours"]["trades"]
    ]
    assert len(moved) >= 2
    others = {mint for mint, why in answer.by_coin.items() if not AGREEING.issuperset(why)}
    assert others <= played.beyond_their_graduation | played.without_their_price
    assert others >= played.beyond_their_graduation


def test_flushes_that_failed_for_some_seconds_are_lost(play: Callable[..., Played]) -> None:
    source = recording("market")
    began_s = independent.read(source)[0].at_us / 1e6

    played = play(source, lambda _mint, at_s: began_s + 40 < at_s < began_s + 45.5)

    answer = played.ask()
    lost = [hour for hour in answer.found["differences"] if hour["reason"] == "lost"]
    assert len(lost) >= 10
    assert answer.exit_code == 4
    # Where they had no row before, or none behind, nobody can tell it from another beginning.
    others = {mint for mint, why in answer.by_coin.items() if why == ["other"]}
    assert others <= played.without_their_price
    assert answer.reasons.keys() <= AGREEING | {"early_graduation", "lost", "only_ours", "other"}
    assert all(hour["theirs"]["trades"] < hour["ours"]["trades"] for hour in lost)


def test_hours_of_a_busy_market_agree_until_the_original_takes_coins_for_graduated(
    play: Callable[..., Played], tmp_path: Path
) -> None:
    """Two and a half hours of 6 coins, one trade in 10 s each, in windows of 5, 30 and 60 s."""
    file = tmp_path / "market.jsonl"
    config = MarketConfig(coins=6, trades_per_second=0.6, bonk_share=0)
    record_market(file, 1, 9_000, config, kinds={"buy", "sell"})

    answer = play(file).ask()

    # Each coin's hours agree, and from the hour on in which the original ended it they do not.
    for reasons in answer.by_coin.values():
        first = next((i for i, why in enumerate(reasons) if why not in AGREEING), len(reasons))
        assert set(reasons[first:]) <= {"early_graduation"}
    assert answer.found["hours"] == 18
    assert (
        answer.reasons["early_graduation"] + sum(answer.reasons.get(r, 0) for r in AGREEING) == 18
    )
    assert answer.reasons["windows"] >= 1


def test_buys_of_creators_are_all_that_young_coins_lack(
    play: Callable[..., Played], tmp_path: Path
) -> None:
    file = tmp_path / "market.jsonl"
    record_market(file, 3, 120, MarketConfig(bonk_share=0))

    played = play(file, **FROM_CREATE, **NO_FILTER)

    answer = played.ask()
    bought = {
        line.frame["mint"]
        for line in independent.creates(played.lines).values()
        if float(line.frame["initialBuy"]) > 0 and float(line.frame["solAmount"]) > 0
    }
    named = {mint for mint, why in answer.by_coin.items() if why == ["creators_buy"]}
    assert len(named) >= 10
    assert named <= bought
    assert bought - named == played.beyond_their_graduation & bought
    assert answer.reasons.keys() <= {"rounding", "windows", "creators_buy", "early_graduation"}
    assert query(played.theirs, "SELECT count(*) FROM coin_metrics")[0][0] > 0
