"""Where an actor's code is called: the single broad catch of the program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def attempt(step: Callable[..., Any], *args: Any) -> BaseException | None:
    """Run an actor's code; give what it raised, None when it did not."""
    try:
        step(*args)
    except BaseException as error:  # noqa: BLE001 - SystemExit in one actor must not end the others
        return error
    return None
