"""What the connection knows and must not forget when its actor is restarted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.backoff import Backoff
from actors.connection.control_frames import OnceEach
from actors.connection.cost import FeedCost
from actors.connection.coverage import FeedCoverage
from actors.connection.partition import NewMints
from actors.connection.recovery_state import RecoveryState
from actors.connection.status import FeedStatus
from actors.connection.subscriptions import Subscriptions
from actors.domain import FeedGap, Mint

if TYPE_CHECKING:
    from actors.connection.parked import Parked
    from actors.journal.records import FrameRecord
    from actors.protocol.connection import RouteMint
    from settings import Settings


class OpenGap:
    """A time without data that has not ended yet."""

    def __init__(self) -> None:
        self._started_us: int | None = None
        self._reason = ""

    def open(self, started_us: int, reason: str) -> None:
        """Data is away since `started_us`; of several reasons the first one counts."""
        if self._started_us is None:
            self._started_us, self._reason = started_us, reason

    def close(self, ended_us: int) -> FeedGap | None:
        """Data is back; None when it was never away."""
        started_us, self._started_us = self._started_us, None
        if started_us is None:
            return None
        return FeedGap(None, started_us, max(started_us, ended_us), self._reason)


@dataclass(slots=True)
class ClosingRoute:
    """A route that is closed while events of its mint are parked."""

    at_us: int
    """What arrived later was routed to nobody."""
    ended: bool
    """Its tracker has ended by itself."""
    by_stop: bool
    """Nobody wants the mint left alone: reading stops."""
    since_s: float
    """Since when nothing has changed, on the monotonic clock."""
    mark: tuple[int | None, bool] | None = None
    """What would have changed: the next event to hand on, if any, and whether its tracker is gone.
    """


class ConnectionState:
    """Lives outside the actor's instance; used by one instance at a time.

    Args:
        settings: those of the start; the actor passes on what changes later.
        next_seq: the sequence number of the next event; one more than the last one of the process
        before.
        recovers: whether a journal is replayed before live frames are handed on.
        unnumbered_seq: up to here numbers were given before the journal had an id.
        last_frame_us: when the process before saw its last data frame, so that the time between
        counts as a gap; None: unknown.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        next_seq: int = 1,
        last_frame_us: int | None = None,
        recovers: bool = False,
        unnumbered_seq: int = 0,
    ) -> None:
        self.next_seq = next_seq
        self.unnumbered_seq = unnumbered_seq
        """Up to here no row can name a number: the journal had no id yet."""
        self.tail_us = last_frame_us or 0
        """Where the journal of the process before ends."""
        self.recovery = RecoveryState(before_seq=next_seq) if recovers else None
        self.in_flight: list[FrameRecord] = []
        """The slice that is being handed on."""
        self.rows: dict[Mint, RouteMint] = {}
        """What lay in rows of each routed mint when its route was opened."""
        self.parked: dict[Mint, Parked] = {}
        """Mints whose trackers take no messages now; at most as many as there are routes."""
        self.closing: dict[Mint, ClosingRoute] = {}
        """Routes that are closed while events are parked; they wait to be handed on."""
        self.stop_by_s: float | None = None
        """When the stop waits no longer for parked events, on the monotonic clock."""
        self.has_told_stop = False
        self.released_us = 0
        """The journal is not needed from before this time."""
        self.status = FeedStatus()
        self.subscriptions = Subscriptions(
            settings.subscribe_batch_size, settings.subscribe_batch_interval
        )
        self.backoff = Backoff(settings.ws_retry_delay, settings.ws_max_retry_delay)
        self.cost = FeedCost()
        self.coverage = FeedCoverage()
        self.recent = NewMints()
        self.complaints = OnceEach()
        self.kinds: Counter[str] = Counter()
        self.is_reading = False
        self.has_stopped = False
        self.has_connected = False
        self.reconnects = 0
        self.last_error: str | None = None
        self.connected_us: int | None = None
        self.last_stamp_us = last_frame_us or 0
        """The newest stamp given to a frame; stamps only rise."""
        self.covered_us = 0
        self.last_frame_us = last_frame_us
        self.last_trade_us: int | None = None
        self.reading_since_us = 0
        self.outage = OpenGap()
        self.refusal = OpenGap()
        if last_frame_us is not None:
            self.outage.open(last_frame_us, "restart")
        self.is_congested = False
        """Reading is paused until the mailboxes have emptied."""
        self.replayed = 0
        """Lines of a recording that were handed on; a restarted replay goes on behind them."""
        self.has_replay_ended = False
        self.replay_since_us: dict[Mint, int] = {}
        """When each mint of a recording first appeared; bounded by the recording."""

    def take_up_untold(self) -> None:
        """Have the slice that an instance has failed in handed on again, in front of the next."""
        frames, self.in_flight = self.in_flight, []
        if not frames:
            return
        if self.recovery is None or self.recovery.is_done:
            self.recovery = RecoveryState(
                before_seq=self.next_seq,
                position_us=max(0, self.covered_us - 1),
                is_begun=True,
                is_located=True,
                is_past_tail=True,
            )
        self.recovery.pending.extend(frames)

    @property
    def is_recovering(self) -> bool:
        """Whether live frames queue behind the journal's tail."""
        return self.recovery is not None and not self.recovery.is_done

    @property
    def next_free_us(self) -> int:
        """The first instant behind every event handed on, and not behind the feed clock."""
        if self.recovery is not None and not self.recovery.is_done:
            return self.recovery.position_us + 1
        return max(self.last_stamp_us + 1, self.covered_us)
