"""What a tracker receives."""

from __future__ import annotations

from typing import ClassVar

from actors.domain import Coin, Migration, Mint, Phase, Trade
from actors.protocol.discovery import RouteClosed as RouteClosed  # noqa: PLC0414 - told to both
from actors.runtime.messages import Batch, Control, Message


class HandOverDone(Message, frozen=True, tag=True):
    """Last event of a `HandOver`: everything before it was cached, everything after it was routed.

    `coin` is the mint's create when discovery saw it, else None.
    """

    mint: Mint
    coin: Coin | None


class TradesArrived(Batch, frozen=True):
    """The connection's events of this mint in one slice, in order of arrival. Data lane."""

    events: tuple[Trade | Migration, ...]


class HandOver(Batch, Control, frozen=True):
    """Discovery's events of this mint from before the route was switched, then `HandOverDone`.

    Control lane.

    A tracker starts with its data lane held, so these come first, whatever is routed to it
    meanwhile.
    """

    events: tuple[Trade | Migration | HandOverDone, ...]


class TradesRemembered(Message, frozen=True):
    """After a restart: trades that lie in rows already, so that they are known when they return.

    Data lane, from the connection, in front of the first trade that is new.
    """

    trades: tuple[Trade, ...]


class CreatorBuy(Message, frozen=True):
    """Discovery saw the create of a mint that is tracked already.

    Data lane: the coin's facts. Its first trade comes in its order from the connection, unless the
    route was opened while the create was on its way to discovery.
    """

    coin: Coin

    @property
    def drop_if_dead(self) -> bool:  # type: ignore[override]  # what it is to a type elsewhere
        """Without a trade it only describes a coin, of which nobody asks when it has ended."""
        return self.coin.buy is None


class CoverageChanged(Message, frozen=True):
    """The connection knows since `at_us` that the mint's trades do, or do not, reach this machine.

    Data lane; never refused, because a gap would look covered without it.
    """

    must_arrive: ClassVar[bool] = True

    covered: bool
    at_us: int


class TradesParked(Control, frozen=True):
    """The connection keeps back what arrived from `from_us` on, because the mailbox was full.

    Control lane: a window's end that waits already must not close the window before they come.
    `number` rises with each time that trades of the mint are parked.
    """

    number: int
    from_us: int


class TradesUnparked(Message, frozen=True):
    """Everything that was parked under this number has been handed on, or was given up.

    Data lane, behind the last of it; never refused.
    """

    must_arrive: ClassVar[bool] = True

    number: int


class PhasesChanged(Control, frozen=True):
    """The phases have changed. Control lane; acts at the end of the running window."""

    drop_if_dead: ClassVar[bool] = True

    phases: tuple[Phase, ...]


class SetPinned(Control, frozen=True):
    """An operator pins this coin, or lets it go: see `PinTracker`. Control lane."""

    drop_if_dead: ClassVar[bool] = True

    pinned: bool


class SetPhase(Control, frozen=True):
    """An operator moves this coin to another regular phase.

    Control lane; acts at the end of the running window.
    """

    phase_id: int


class PhaseChosen(Message, frozen=True):
    """Reply to `SetPhase`: whether the coin moves, and if not, why not, as a sentence."""

    accepted: bool
    refusal: str | None
