"""The books."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from actors.domain import Place
from actors.runtime.ledger import Ledger

PLACES = st.sampled_from(list(Place))


def test_a_trade_is_in_one_place() -> None:
    ledger = Ledger()
    ledger.receive(Place.QUEUED, 3)
    ledger.move(Place.QUEUED, Place.OPEN, 2)
    received, places = ledger.read()
    assert received == 3
    assert {name: count for name, count in places.items() if count} == {"queued": 1, "open": 2}
    assert ledger.balanced


def test_moving_what_is_not_there_shows() -> None:
    ledger = Ledger()
    ledger.receive(Place.QUEUED)
    ledger.move(Place.OPEN, Place.COMMITTED)
    assert not ledger.balanced


@given(st.lists(st.tuples(PLACES, PLACES, st.integers(0, 5)), max_size=40))
def test_moves_never_change_the_sum(moves: list[tuple[Place, Place, int]]) -> None:
    ledger = Ledger()
    ledger.receive(Place.QUEUED, 1_000)
    for source, target, trades in moves:
        ledger.move(source, target, trades)
    received, places = ledger.read()
    assert received == sum(places.values()) == 1_000


def test_threads_do_not_lose_each_others_moves() -> None:
    ledger = Ledger()

    def work() -> None:
        for _ in range(5_000):
            ledger.receive(Place.QUEUED)
            ledger.move(Place.QUEUED, Place.COMMITTED)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert ledger.read()[0] == 20_000
    assert ledger.count(Place.COMMITTED) == 20_000
