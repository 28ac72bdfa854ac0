"""Dead letters: kept, found, let go, bounded."""

from __future__ import annotations

from typing import ClassVar

from actors.domain import Drop
from actors.runtime import Message
from actors.runtime.dead_letters import CAPACITY, DeadLetters
from actors.runtime.simulation import SeededSystem
from tests.support.drops import dropped


class Small(Message, frozen=True):
    """A message of which few letters are kept."""

    kept_letters: ClassVar[int | None] = 2

    number: int


def kept(*messages: str) -> DeadLetters:
    letters = DeadLetters()
    for message in messages:
        letters.add(7, "discovery", "failed", message, None)
    return letters


def test_a_letter_is_found_by_its_id() -> None:
    letters = kept("first", "second")

    found = letters.get(2)

    assert found is not None
    assert (found.id, found.actor, found.message) == (2, "discovery", "second")
    assert letters.get(3) is None


def test_a_letter_that_is_let_go_is_gone_and_stays_counted() -> None:
    letters = kept("first", "second", "third")

    removed = letters.remove(2)

    assert removed is not None
    assert removed.message == "second"
    assert [letter.message for letter in letters.all()] == ["first", "third"]
    assert letters.get(2) is None
    assert letters.counts() == {"failed": 3}


def test_a_letter_is_let_go_once() -> None:
    letters = kept("first")

    assert letters.remove(1) is not None
    assert letters.remove(1) is None
    assert letters.remove(99) is None


def test_ids_are_not_given_again() -> None:
    letters = kept("first")
    letters.remove(1)

    letters.add(7, "discovery", "failed", "second", None)

    assert [letter.id for letter in letters.all()] == [2]


def test_past_the_bound_the_oldest_letter_cannot_be_found() -> None:
    letters = kept(*(str(number) for number in range(CAPACITY + 1)))

    assert letters.get(1) is None
    assert letters.get(2) is not None
    assert len(letters.all()) == 1_000


def test_a_letter_that_is_pushed_out_is_counted() -> None:
    system = SeededSystem(seed=1)

    for number in range(CAPACITY):
        system.dead_letter("discovery", "failed", number, None)
    assert dropped(system.telemetry, Drop.LETTER_DROPPED) == 0

    system.dead_letter("discovery", "failed", "one more", None)
    system.dead_letter("discovery", "failed", "and another", None)
    assert dropped(system.telemetry, Drop.LETTER_DROPPED) == 2
    assert system.dead_letters.all()[0].message == 2


def test_small_letters_do_not_push_others_out() -> None:
    count: list[None] = []
    letters = DeadLetters(lambda: count.append(None))
    letters.add(7, "writer", "refused", "a candle", None)

    for number in range(2 * CAPACITY):
        letters.add(7, "writer", "refused", Small(number), None)

    assert [letter.message for letter in letters.all()] == ["a candle", Small(0), Small(1)]
    assert len(count) == 1_998
    assert letters.counts() == {"refused": 2_001}

    letters.remove(2)
    letters.add(7, "writer", "refused", Small(9), None)
    assert [letter.message for letter in letters.all()] == ["a candle", Small(1), Small(9)]
