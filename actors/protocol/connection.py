"""What the connection receives."""

from __future__ import annotations

from enum import StrEnum

from actors.domain import FeedState, Mint
from actors.runtime.messages import Control, Message, ToSelf


class RouteMint(Message, frozen=True):
    """The supervisor has started `tracker:<mint>`: send it the mint's trades from now on.

    The connection answers by telling discovery `RouteSwitched`, behind the last event of the mint
    it sent there, and keeps the mint subscribed.
    """

    mint: Mint
    rows_end_us: int | None = None
    """Where the rows of this mint end; None: it has none."""
    rows_seq: int = 0
    """The newest trade that lies in rows, by its number; decides what is replayed."""


class UnrouteMint(Message, frozen=True):
    """The supervisor wants no more trades of a mint routed. Data lane.

    The connection drops the route and the subscription and tells `RouteClosed` to the tracker,
    behind its last trade, and to discovery. `ended` says that the tracker has ended by itself:
    whoever replays the journal comes to the same end.
    """

    mint: Mint
    ended: bool = False


class WatchMint(Message, frozen=True):
    """Discovery holds a coin in its cache and wants its trades. Data lane."""

    mint: Mint


class UnwatchMint(Message, frozen=True):
    """Discovery no longer holds the coin. Data lane. A routed mint stays subscribed.

    `from_seq` is set when the coin went to its tracker: the number of the first cached trade that
    was handed over, 0 when there was none. The journal notes it.
    """

    mint: Mint
    from_seq: int | None = None


class Resubscribe(Message, frozen=True):
    """A tracker doubts its subscription (watchdog, phase switch): repeat the subscribe call.

    `in_doubt` says that trades were expected and did not come; coverage is then off until the call
    is acknowledged.
    """

    mint: Mint
    in_doubt: bool


class StartReading(Message, frozen=True):
    """The supervisor has every stream routed: open the feed. Data lane, once per start."""


class ReleaseJournal(Message, frozen=True):
    """The supervisor knows that everything before `before_us` is in rows, or stored otherwise.

    Data lane. The journal may let go of it, and a restart need not replay it.
    """

    before_us: int


class StopReading(Control, frozen=True):
    """Read no more, close the socket and every route, then tell the supervisor `ReadingStopped`.

    Control lane.
    """


class GetRoute(Control, frozen=True):
    """Query: what does the connection do for one mint? Reply: `RouteReport`, of any mint at all."""

    mint: Mint


class RouteReport(Message, frozen=True):
    """One mint as the connection sees it: the reply to `GetRoute`."""

    mint: Mint
    routed: bool
    """Its trades go to a tracker."""
    subscription: str | None
    """The value of its `SubscriptionState`; None: the server is not asked for it."""
    covered: bool
    """Its tracker was last told that its trades reach this machine."""
    parked_trades: int
    """Trades that its tracker could not take yet; they stand in the journal."""
    parked_from_us: int | None
    """Arrival of the oldest of them, microseconds UTC; None: there is none."""
    last_subscribed_us: int | None
    """When it was last named in a subscribe call, microseconds UTC; None: not on this connection.
    """


class GetFeed(Control, frozen=True):
    """Query: the state of the feed. Reply: `FeedReport`."""


class SubscriptionState(StrEnum):
    """How far a wanted subscription has come."""

    PENDING = "pending"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    DOUBTED = "doubted"


class FeedReport(Message, frozen=True):
    """The feed as the connection sees it: published after slices, and the reply to `GetFeed`."""

    state: FeedState
    reason: str
    since_us: int
    source: str
    """What it reads: the URL without its query, or the recording's path."""
    connected_us: int | None
    last_frame_us: int | None
    last_trade_us: int | None
    covered_us: int
    """The feed clock: every arrival before it is in a mailbox."""
    next_seq: int
    frames: dict[str, int]
    """Data and control frames by kind since the start.

    Create, buy, sell, migrate, control, unknown, malformed.
    """
    billed_frames: int
    estimated_cost_sol: float
    reconnects: int
    last_error: str | None
    subscriptions: dict[str, int]
    """Wanted subscriptions by state."""
    routes: int
    unsent_routes: int = 0
    """Routed mints that were named in no subscribe call on this connection."""
    parked_from_us: int | None = None
    """Arrival of the oldest trade that its tracker could not take; None: there is none."""
    recovering: bool = False
    """Live frames queue behind the replay of the journal."""
    journal: str = "off"
    """"ok", "full" (nothing may be removed: the socket is not read), "failed" (what arrives is not
    protected against a crash), "closed", or "off" in a replay.
    """


class _Dialled(ToSelf, frozen=True):
    """An attempt to connect has an outcome. Data lane; from the attempt's thread, as a wake-up."""
