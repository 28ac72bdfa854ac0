"""How far the replay of the journal has come."""

from __future__ import annotations

from collections import deque

import msgspec

from actors.connection.coverage import CoverageStep
from actors.domain import Mint
from actors.journal.records import FrameRecord


class RecoveryState(msgspec.Struct):
    """How far the recovery has come; outlives the actor's instance.

    `before_seq` is the first number of this process: what has it or more is live.
    """

    before_seq: int
    needed_from_us: int = 0
    position_us: int = 0
    """The newest recorded time that was handed on."""
    replayed: int = 0
    """Records passed so far; a restarted instance goes on behind them."""
    in_slice: int = 0
    """Frames of the slice that was begun last."""
    attempts: int = 0
    """How often it was begun without an end: by instances that have failed in it."""
    singly: int = 0
    """So many frames are taken one by one, to find the one that fails."""
    trades_in_hand: int = 0
    """Trades of the one frame that is being handed on."""
    left_out_us: frozenset[int] = frozenset()
    """Arrivals of the frames that earlier processes had to leave out."""
    is_begun: bool = False
    is_located: bool = False
    """It is known from where the tail is needed."""
    is_past_tail: bool = False
    """The tail is through; what queued behind it is next."""
    is_done: bool = False
    done_s: float = 0.0
    """When it was done, on the monotonic clock."""
    stopped: dict[Mint, int] = {}
    """The last sequence number of each mint's ended tracking."""
    covered: set[Mint] = set()
    trades: int = 0
    remembered: int = 0
    pending: deque[FrameRecord | CoverageStep] = msgspec.field(default_factory=deque)
    """What came live meanwhile. Bounded: past 100,000 frames the socket is not read."""
