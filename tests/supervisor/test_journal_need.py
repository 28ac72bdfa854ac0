"""From where the journal is still needed."""

from __future__ import annotations

import pytest

from actors.supervisor.journal_need import needed_from_us

NOW_US = 1_700_000_000_000_000


@pytest.mark.parametrize(
    ("interval_s", "waited_s", "held_us", "expected_us"),
    [
        # Nothing held: an open window of the longest phase, and five seconds for stale reports.
        (60, 0.0, [], NOW_US - 65_000_000),
        (60, 2.5, [None, None], NOW_US - 67_500_000),
        # What an actor holds for longer decides; what it holds for less does not.
        (60, 0.0, [NOW_US - 120_000_000, None], NOW_US - 120_000_000),
        (60, 0.0, [NOW_US - 10_000_000], NOW_US - 65_000_000),
        (5, 0.0, [NOW_US - 11_000_000, NOW_US - 12_000_000], NOW_US - 12_000_000),
        (0, 0.0, [], NOW_US - 5_000_000),
    ],
)
def test_needed_from(
    interval_s: int, waited_s: float, held_us: list[int | None], expected_us: int
) -> None:
    assert (
        needed_from_us(
            feed_us=NOW_US,
            longest_interval_s=interval_s,
            oldest_message_s=waited_s,
            held_us=held_us,
        )
        == expected_us
    )


def test_time_before_the_epoch_is_never_asked_for() -> None:
    assert (
        needed_from_us(feed_us=1_000, longest_interval_s=60, oldest_message_s=0.0, held_us=[]) == 0
    )
