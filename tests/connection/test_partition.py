from __future__ import annotations

import json
from typing import Any

from actors.connection.decoder import ControlFrame
from actors.connection.partition import FrameBatch, NewMints, RawFrame, sort_slice
from actors.domain import Coin, Migration, Mint, Trade
from tests.connection.test_decoder import BUY, CREATE


class Wishes:
    def __init__(self, routed: str = "", watched: str = "") -> None:
        self._routed, self._watched = routed.split(), watched.split()

    def is_routed(self, mint: Mint) -> bool:
        return mint in self._routed

    def is_watched(self, mint: Mint) -> bool:
        return mint in self._watched


def sort(*frames: Any, routed: str = "", watched: str = "", first_seq: int = 1) -> FrameBatch:
    arrived = [
        RawFrame(10 + index, frame if isinstance(frame, bytes) else json.dumps(frame).encode())
        for index, frame in enumerate(frames)
    ]
    return sort_slice(arrived, first_seq, Wishes(routed, watched), NewMints())


def buy(mint: str) -> dict[str, Any]:
    return BUY | {"mint": mint}


def migrate(mint: str) -> dict[str, Any]:
    return {"txType": "migrate", "mint": mint, "signature": "s", "pool": "pump-amm"}


def test_events_of_a_mint_stay_together_and_in_order() -> None:
    result = sort(buy("A"), buy("B"), buy("A"), migrate("A"), routed="A B")

    assert {mint: [event.seq for event in events] for mint, events in result.routed.items()} == {
        "A": [1, 3, 4],
        "B": [2],
    }
    assert result.unrouted == []


def test_create_goes_to_discovery_even_when_its_mint_is_routed() -> None:
    result = sort(CREATE | {"mint": "A"}, buy("A"), routed="A")

    # Its creator's buy keeps its order among the mint's trades, and is told once.
    [create] = result.unrouted
    assert isinstance(create, Coin)
    assert create.buy is None
    first, second = result.routed[Mint("A")]
    assert isinstance(first, Trade)
    assert isinstance(second, Trade)
    assert (first.in_create, second.in_create) == (True, False)
    assert result.queued_trades == 2
    assert result.queued_trades == 2


def test_trade_of_a_mint_nobody_wants_is_an_orphan_and_goes_nowhere() -> None:
    result = sort(buy("A"), buy("A"), watched="B")

    assert (result.orphans, result.queued_trades, result.unrouted) == ({"A": 2}, 0, [])


def test_migration_of_a_mint_nobody_wants_goes_to_discovery() -> None:
    assert [type(event) for event in sort(migrate("A")).unrouted] == [Migration]


def test_frames_that_are_no_event_carry_the_number_before_them() -> None:
    result = sort(
        buy("A"), {"txType": "burn"}, b"rubbish", {"message": "hi"}, buy("A"), first_seq=5
    )

    assert [record.seq for record in result.records] == [5, 5, 5, 6]
    assert result.next_seq == 7


def test_order_of_control_and_data_is_kept_for_the_state() -> None:
    refusal = {"errors": "no"}

    result = sort(buy("A"), buy("A"), refusal, CREATE, b"rubbish", buy("A"))

    assert result.marks == [
        (10, True),
        (12, ControlFrame("no", is_error=True)),
        (13, False),
        (15, True),
    ]


def test_rubbish_is_no_sign_of_life() -> None:
    result = sort(b"rubbish", {"message": "hi"})

    assert (result.first_data_us, result.last_data_us) == (None, None)


def test_memory_of_creates_is_bounded_and_forgets_the_oldest() -> None:
    recent = NewMints(limit=2)

    for mint in ("a", "b", "a", "c"):
        recent.add(Mint(mint))

    assert [Mint(mint) in recent for mint in ("a", "b", "c")] == [True, False, True]
