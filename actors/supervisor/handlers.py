"""Which part of the supervisor takes which messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Handlers = dict[type, Callable[[Any], Any]]
"""What a part of the supervisor takes: the handler of each type of message. What it returns answers
whoever asked; a handler may have the answer come later instead.
"""


def joined(*parts: Handlers) -> Handlers:
    """Join what the parts take.

    Raises:
        ValueError: two of them take messages of the same type.
    """
    joined: Handlers = {}
    for part in parts:
        for kind in part.keys() & joined.keys():
            raise ValueError(f"two parts of the supervisor take {kind.__name__}")
        joined |= part
    return joined
