"""Calls to the server: how many a second, and which of them it has not acknowledged yet.

Pure. Acknowledgements carry no id, so they answer the oldest pending call of their kind. One that
never comes must not shift the matching for ever: after 10 s without an answer, or 30 s in which
some call was always pending, all pending calls of that kind are written off.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from actors.connection.control_frames import Ack

if TYPE_CHECKING:
    from actors.domain import Mint

MAX_KEYS_PER_CALL: Final = 5_000
MAX_CALLS_PER_SECOND: Final = 20

ACK_PATIENCE_S: Final = 10.0
ACK_BACKLOG_S: Final = 30.0


class _Method(msgspec.Struct, frozen=True, omit_defaults=True):
    method: str
    keys: tuple[str, ...] = ()


class Outgoing(msgspec.Struct, frozen=True):
    """One call for the server."""

    text: bytes
    keys: int
    """How many mints it names to subscribe; 0 for every other method."""


@dataclass(slots=True, eq=False)
class Call:
    """What a call was about, for when its acknowledgement comes."""

    keys: tuple[Mint, ...]
    sent_s: float
    is_probe: bool = False


@dataclass(slots=True)
class _PendingCalls:
    calls: deque[Call] = field(default_factory=deque)
    since_s: float = 0.0
    """Since when some call has been pending without a break."""

    def add(self, call: Call) -> None:
        if not self.calls:
            self.since_s = call.sent_s
        self.calls.append(call)

    def write_off(self, now_s: float) -> None:
        if self.calls and (
            now_s - self.calls[0].sent_s > ACK_PATIENCE_S or now_s - self.since_s > ACK_BACKLOG_S
        ):
            self.calls.clear()


class Calls:
    """See the module's docstring. The pace is kept across connections, pending calls are not."""

    def __init__(self) -> None:
        self._pending = {ack: _PendingCalls() for ack in Ack}
        self._sent_s: deque[float] = deque(maxlen=MAX_CALLS_PER_SECOND)

    def may_send(self, now_s: float) -> bool:
        """Whether another call stays within 20 a second."""
        return len(self._sent_s) < MAX_CALLS_PER_SECOND or now_s - self._sent_s[0] >= 1.0

    def send(self, method: str, call: Call, ack: Ack) -> Outgoing:
        """Give the text of a call that is sent now; it is pending until `ack` answers it."""
        self._sent_s.append(call.sent_s)
        self._pending[ack].add(call)
        text = msgspec.json.encode(_Method(method, call.keys))
        return Outgoing(text, len(call.keys) if ack is Ack.KEYS else 0)

    def answered(self, ack: Ack) -> Call | None:
        """Take the oldest pending call of this kind; None: there is none."""
        pending = self._pending[ack].calls
        return pending.popleft() if pending else None

    def write_off(self, now_s: float) -> None:
        """Forget pending calls whose answers will not come any more."""
        for pending in self._pending.values():
            pending.write_off(now_s)

    def forget_pending(self) -> None:
        """Forget all pending calls: their connection is gone."""
        for pending in self._pending.values():
            pending.calls.clear()
