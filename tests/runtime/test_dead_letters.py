"""Dead letters: kept, found, let go, bounded."""

from __future__ import annotations

from actors.runtime.dead_letters import CAPACITY, DeadLetters


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
