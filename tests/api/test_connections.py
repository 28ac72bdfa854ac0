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
    will_close: bool = False
    partial_since_s: float | None = None

    @property
    def idle(self) -> bool:
        return not self.requests and not self.total_outbufs_len and not self.will_close


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
