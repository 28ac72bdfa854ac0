"""From where the journal is still needed. Pure.

A frame is needed until what follows from it is in the database or on disk: it can stand in a
mailbox, in an open window, in a writer's memory, in the coin cache, or in a coin that n8n has not
been told of and that is in no batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.domain import US_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable

SLACK_US: Final = 5 * US_PER_SECOND
"""What actors publish about themselves is at most a second old."""


def needed_from_us(
    *,
    feed_us: int,
    longest_interval_s: int,
    oldest_message_s: float,
    held_us: Iterable[int | None],
) -> int:
    """Tell the time before which every frame has ended in a row, or in nothing.

    Args:
        feed_us: the feed clock.
        longest_interval_s: the longest window of any phase; an open window is not older.
        oldest_message_s: age of the oldest message in any mailbox.
        held_us: the oldest arrivals that actors say they hold; None: nothing.
    """
    reach_us = longest_interval_s * US_PER_SECOND + round(oldest_message_s * US_PER_SECOND)
    moving = feed_us - reach_us - SLACK_US
    return max(0, min([moving, *(us for us in held_us if us is not None)]))
