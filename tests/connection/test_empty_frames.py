"""How many frames without data are borne."""

from __future__ import annotations

import pytest

from actors.connection.address import SessionLostError
from actors.connection.empty_frames import EmptyFrameLimit


def count_until_refused(limit: EmptyFrameLimit, times: list[float]) -> int:
    """Add a frame at each time; give how many were borne."""
    for number, now_s in enumerate(times):
        try:
            limit.add(now_s)
        except SessionLostError:
            return number
    return len(times)


@pytest.mark.parametrize(
    ("times", "borne"),
    [
        ([5.0] * 100, 100),
        ([5.0] * 101, 100),
        ([5.0] * 60 + [5.9] * 60, 100),
        ([5.0] * 100 + [6.0] * 100 + [7.5] * 100, 300),
        ([5.0] * 100 + [6.0] * 101, 200),
        ([number * 0.02 for number in range(1_000)], 1_000),
    ],
)
def test_a_hundred_within_a_second_are_borne(times: list[float], borne: int) -> None:
    assert count_until_refused(EmptyFrameLimit(), times) == borne


def test_refusal_says_what_came() -> None:
    limit = EmptyFrameLimit()
    count_until_refused(limit, [1.0] * 100)

    with pytest.raises(SessionLostError, match=r"^the server sent more than 100 frames without"):
        limit.add(1.0)
