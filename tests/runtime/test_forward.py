"""Questions that are handed on, and replies that are completed on their way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from actors.runtime import Actor, Context, Message
from actors.runtime.simulation import SeededSystem

if TYPE_CHECKING:
    from collections.abc import Callable


class Get(Message, frozen=True):
    n: int


class Desk(Actor):
    """Hands every question on to `clerk`."""

    def __init__(self, context: Context, complete: Callable[[Any], Any] | None) -> None:
        super().__init__(context)
        self._complete = complete

    def on_receive(self, message: Any) -> Any:
        self.context.forward("clerk", message, self._complete)
        return "not the answer"


class Clerk(Actor):
    def on_receive(self, message: Any) -> Any:
        if message.n == 13:
            raise ValueError("unlucky")
        return message.n + 1


def office(complete: Callable[[Any], Any] | None = None, *, clerk: bool = True) -> SeededSystem:
    system = SeededSystem()
    system.start("desk", lambda context: Desk(context, complete))
    if clerk:
        system.start("clerk", Clerk)
    return system


def test_answer_goes_to_whoever_asked() -> None:
    assert office().ask("desk", Get(1)) == 2


def test_answer_is_completed_on_its_way() -> None:
    assert office(lambda reply: f"the clerk says {reply}").ask("desk", Get(1)) == "the clerk says 2"


def test_nobody_there_is_none_by_the_same_way() -> None:
    assert office(clerk=False).ask("desk", Get(1)) is None
    assert office(lambda reply: (reply, "completed"), clerk=False).ask("desk", Get(1)) == (
        None,
        "completed",
    )


def test_failure_of_whoever_answers_reaches_the_asker_uncompleted() -> None:
    system = office(lambda reply: "completed")
    with pytest.raises(ValueError, match="unlucky"):
        system.ask("desk", Get(13))
    assert [letter.actor for letter in system.letters()] == ["clerk"]


def test_completion_that_fails_is_the_askers_alone() -> None:
    system = office(lambda reply: reply.no_such_thing)
    with pytest.raises(AttributeError, match="no_such_thing"):
        system.ask("desk", Get(1))
    assert system.letters() == []
    assert system.state_of("clerk") == "running"
    assert system.state_of("desk") == "running"


def test_message_that_nobody_waits_for_is_handed_on_all_the_same() -> None:
    completed: list[Any] = []
    system = office(completed.append, clerk=False)
    clerk = system.probe("clerk")
    system.tell("desk", Get(1))
    system.run()
    assert clerk.messages == [Get(1)]
    assert completed == []
