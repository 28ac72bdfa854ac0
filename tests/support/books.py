"""The books of every system that a test runs must balance, whatever the test is about.

Fixture `books` (of every test): the ledger of each system that ran in the test's own process, with
a feed clock and received trades, is checked at the end. Services in processes of their own are
asked before they end, see `tests.support.service`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from actors.runtime import System

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from actors.runtime.ledger import Ledger


def check_books(received: int, places: Mapping[str, int]) -> None:
    """Check that each received trade is in exactly one place.

    Raises:
        AssertionError: it is not; the text has the figures.
    """
    assert received == sum(places.values()), f"{received} received, but {dict(places)}"
    assert min(places.values()) >= 0, f"less than nothing: {dict(places)}"


def check_answer(ledger: Mapping[str, Any]) -> None:
    """Check what `GET /ledger` answers, and that the service comes to the same verdict."""
    check_books(ledger["received"], ledger["places"])
    assert ledger["balanced"], f"the service says that its books do not balance: {ledger}"


@pytest.fixture(autouse=True)
def books(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Check the ledgers of what the test has run, behind the test."""
    ledgers: dict[int, Ledger] = {}
    advance = System.advance_feed

    def advance_feed(system: System, feed_us: int) -> None:
        # A part of the tree without a feed moves trades that never came in.
        ledgers[id(system.ledger)] = system.ledger
        advance(system, feed_us)

    monkeypatch.setattr(System, "advance_feed", advance_feed)
    yield
    for ledger in ledgers.values():
        received, places = ledger.read()
        if received:
            check_books(received, places)
