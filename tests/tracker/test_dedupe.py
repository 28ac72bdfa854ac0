from __future__ import annotations

import pytest

from actors.domain import Mint
from actors.tracker.dedupe import RecentTrades, identity_hash
from tests.tracker.builders import at, trade

BASE = trade(signature="s", trader="t", tokens=7, is_buy=True)


@pytest.mark.parametrize(
    "other",
    [
        trade(signature="S", trader="t", tokens=7, is_buy=True),
        trade(signature="s", trader="T", tokens=7, is_buy=True),
        trade(signature="s", trader="t", tokens=8, is_buy=True),
        trade(signature="s", trader="t", tokens=7, is_buy=False),
        trade(signature="s", trader="t", tokens=7, is_buy=True, mint=Mint("other")),
    ],
)
def test_each_part_of_the_identity_tells_trades_apart(other: object) -> None:
    assert identity_hash(BASE) != identity_hash(other)  # type: ignore[arg-type] # parametrized


def test_arrival_amount_and_price_are_no_part_of_the_identity() -> None:
    again = trade(9.0, seq=3, amount=8, price=3.0, signature="s", trader="t", tokens=7)
    assert identity_hash(again) == identity_hash(BASE)


def test_odd_text_has_an_identity() -> None:
    assert identity_hash(trade(signature="\ud800")) != identity_hash(trade(signature="\ud801"))


def test_a_trade_is_new_once() -> None:
    recent = RecentTrades()
    assert recent.remember(1, at(0))
    assert not recent.remember(1, at(0))
    assert recent.remember(2, at(0))


def test_a_trade_is_known_for_ten_minutes() -> None:
    recent = RecentTrades()
    recent.remember(1, at(0))
    assert not recent.remember(1, at(600))
    assert recent.remember(1, at(600.000001))


def test_of_4097_trades_the_oldest_is_forgotten() -> None:
    recent = RecentTrades()
    for identity in range(4_097):
        recent.remember(identity, at(0))
    assert len(recent) == 4_096
    assert not recent.remember(1, at(0))
    assert recent.remember(0, at(0))
