"""The check behind every test finds what does not add up."""

from __future__ import annotations

import pytest

from tests.support.books import check_answer, check_books


def test_trades_in_one_place_each_balance() -> None:
    check_books(7, {"committed": 4, "open": 2, "queued": 1, "dead": 0})
    check_answer({"received": 7, "places": {"committed": 7}, "balanced": True})


@pytest.mark.parametrize(
    ("received", "places"),
    [
        pytest.param(7, {"committed": 4, "open": 2}, id="lost"),
        pytest.param(7, {"committed": 4, "open": 4}, id="doubled"),
        pytest.param(7, {"committed": 8, "open": -1}, id="less than nothing"),
    ],
)
def test_books_that_do_not_add_up_fail(received: int, places: dict[str, int]) -> None:
    with pytest.raises(AssertionError):
        check_books(received, places)


def test_service_that_finds_its_books_wrong_fails() -> None:
    with pytest.raises(AssertionError):
        check_answer({"received": 1, "places": {"open": 1}, "balanced": False})


PLANTED = """
from actors.domain import Place
from actors.runtime.simulation import SeededSystem

def test_planted():
    system = SeededSystem()
    system.ledger.receive(Place.QUEUED, 2)
    {move}
    system.advance_feed(system.clock.now_us())
"""


@pytest.mark.parametrize(
    ("move", "errors"),
    [
        ("system.ledger.move(Place.QUEUED, Place.OPEN, 2)", 0),
        ("system.ledger.move(Place.OPEN, Place.COMMITTED, 1)", 1),
    ],
    ids=["balanced", "unbalanced"],
)
def test_system_whose_books_do_not_balance_fails_its_test(
    move: str, errors: int, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest('pytest_plugins = ["tests.support.books"]')
    pytester.makepyfile(PLANTED.format(move=move))
    planted = pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=60)
    planted.assert_outcomes(passed=1, errors=errors)
