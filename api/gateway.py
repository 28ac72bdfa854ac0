"""How the API reaches the actors: by questions and commands, never by their state."""

from __future__ import annotations

from typing import Any, Protocol


class NotAnswered(Exception):  # noqa: N818 - it names what happened, as the answer to a question
    """An actor gave no answer in time, or is not there."""

    def __init__(self, actor: str, timeout_s: float) -> None:
        self.actor = actor
        self.timeout_s = timeout_s
        super().__init__(f"{actor} did not answer within {timeout_s:g} s")


class Gateway(Protocol):
    """Where questions are answered, and commands carried out."""

    def ask(self, message: Any, timeout_s: float) -> Any:
        """Put a question or command and wait for its reply, `timeout_s` at most.

        What only reads is answered at once, from what the runtime and the actors have published;
        the supervisor is asked for everything else.

        Called from the threads of the web server, several at a time.

        Raises:
            NotAnswered: Nobody answered in time.
        """
        ...
