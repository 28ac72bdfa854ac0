"""How the API reaches the actors: by questions to the supervisor, never by their state."""

from __future__ import annotations

from typing import Any, Protocol


class NotAnswered(Exception):  # noqa: N818 - it names what happened, as the answer to a question
    """An actor gave no answer in time, or is not there."""

    def __init__(self, actor: str, timeout_s: float) -> None:
        self.actor = actor
        self.timeout_s = timeout_s
        super().__init__(f"{actor} did not answer within {timeout_s:g} s")


class Gateway(Protocol):
    """The supervisor's address."""

    def ask(self, message: Any, timeout_s: float) -> Any:
        """Put a question to the supervisor and wait for its reply, `timeout_s` at most.

        Called from the threads of the web server, several at a time.

        Raises:
            NotAnswered: Nobody answered in time.
        """
        ...
