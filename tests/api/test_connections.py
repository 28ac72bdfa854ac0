"""How long a client may take, and how many may wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from api.connections import look_after


@dataclass
class Connection:
    """What the server knows of one."""

    last_activity: float = 0.0
    request: Any = None
    requests: list[Any] = field(default_factory=list)
    total_outbufs_len: int = 0
    sent_bytes: int = 0
    sent_before: int = 0
    unsent_since_s: float | None = None
    will_close: bool = False
    partial_since_s: float | None = None

    @property
    def idle(self) -> bool:
        return not (self.request or self.requests or self.total_outbufs_len or self.will_close)


@pytest.mark.parametrize(("waited_s", "closed"), [(20.0, False), (20.5, True)])
def test_request_that_trickles_in_is_given_up(waited_s: float, closed: bool) -> None:
    slow = Connection(request="half of one")
    look_after([slow], 100.0)

    look_after([slow], 100.0 + waited_s)

    assert slow.will_close is closed


def test_next_request_on_a_connection_has_its_own_time() -> None:
    busy = Connection(request="half of one")
    look_after([busy], 100.0)
    busy.request = None
    look_after([busy], 119.0)
    busy.request = "half of another"
    look_after([busy], 120.0)

    look_after([busy], 139.0)

    assert not busy.will_close


def test_longest_idle_make_room_for_others() -> None:
    # 224 of the 256 there are may be taken before idle ones are ended.
    idle = [Connection(last_activity=float(age)) for age in range(225)]
    asking = Connection(last_activity=-1.0, requests=["one"])
    unread = Connection(last_activity=-2.0, total_outbufs_len=7)

    look_after([*idle, asking, unread], 100.0)

    assert [each.will_close for each in idle] == [True] * 3 + [False] * 222
    assert (asking.will_close, unread.will_close) == (False, False)


def test_idle_connections_stay_while_there_is_room() -> None:
    idle = [Connection() for _ in range(224)]

    look_after(idle, 100.0)

    assert not any(each.will_close for each in idle)


@pytest.mark.parametrize(("left", "closed"), [(0, True), (16_383, True), (16_384, False)])
def test_answer_that_hardly_leaves_is_given_up(left: int, closed: bool) -> None:
    unread = Connection(total_outbufs_len=1_000_000, sent_bytes=2_500)
    look_after([unread], 100.0)
    unread.sent_bytes += left

    look_after([unread], 105.0)
    before = unread.will_close
    look_after([unread], 105.1)

    assert (before, unread.will_close) == (False, closed)


def test_answer_that_went_on_has_to_go_on() -> None:
    unread = Connection(total_outbufs_len=1_000_000)
    look_after([unread], 100.0)
    unread.sent_bytes = 500_000
    look_after([unread], 105.1)

    look_after([unread], 110.0)
    before = unread.will_close
    look_after([unread], 110.3)

    assert (before, unread.will_close) == (False, True)


def test_next_answer_on_a_connection_has_its_own_time() -> None:
    busy = Connection(total_outbufs_len=100)
    look_after([busy], 100.0)
    busy.total_outbufs_len = 0
    look_after([busy], 104.0)
    busy.total_outbufs_len = 100
    look_after([busy], 104.5)

    look_after([busy], 109.0)

    assert not busy.will_close


def test_largest_make_room_when_all_together_leave_too_much_unread() -> None:
    # 64 MiB may be left.
    mib = 1 << 20
    unread = [Connection(total_outbufs_len=size * mib) for size in (3, 30, 8, 24)]

    look_after(unread, 100.0)

    assert [each.will_close for each in unread] == [False, True, False, False]


def test_those_who_let_others_wait_longest_make_room_for_new_ones() -> None:
    # 248 of the 256 there are may be taken before the slow ones are ended.
    slow = [Connection(request="half of one") for _ in range(230)]
    unread = [Connection(total_outbufs_len=7)]
    look_after(unread, 99.0)
    look_after(slow[:2], 99.5)
    asking = [Connection(requests=["one"]) for _ in range(17)]
    new = [Connection(last_activity=5.0) for _ in range(3)]

    look_after([*slow, *unread, *asking, *new], 100.0)

    assert unread[0].will_close
    assert [each.will_close for each in slow] == [True] * 2 + [False] * 228
    assert not any(each.will_close for each in (*asking, *new))
