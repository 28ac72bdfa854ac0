"""What operators have the supervisor do beside watching: one coin, sizes, settings.

Every command has one reply. A refusal is a reply too, as a sentence that says what to do.
"""

from __future__ import annotations

from typing import Any

import msgspec

from actors.domain import Mint
from actors.protocol.connection import RouteReport
from actors.protocol.supervisor import CachedCoinReport, TrackerReport
from actors.runtime.inspection.recent_messages import RecentMessage
from actors.runtime.messages import ActorReport, Control, Message, TimerReport

Shown = str | int | float | bool | None


class Outcome(Message, frozen=True):
    """Reply to a command of an operator."""

    found: bool
    """Whether what the command names is there."""
    refusal: str | None = None
    """Why nothing was done although it is there, as a sentence that says what to do."""


# One coin under the lens.


class GetTracker(Control, frozen=True):
    """Query: what is known of a mint in memory, and of its actor? Reply: `TrackerOverview`."""

    mint: Mint


class TrackerOverview(Message, frozen=True):
    """A tracked or cached coin, and the actor that tracks it."""

    actor: ActorReport | None
    """None: the mint has no tracker."""
    live: TrackerReport | CachedCoinReport | None
    """None: neither tracked nor cached, or its actor does not answer."""
    timers: tuple[TimerReport, ...] = ()
    """What its tracker waits for."""
    recent: tuple[RecentMessage, ...] = ()
    """The last messages of its tracker, oldest first."""
    pinned: bool = False
    route: RouteReport | None = None
    """What the connection does for the mint; None: it does not answer."""


class ChoosePhase(Control, frozen=True):
    """An operator moves a coin to another regular phase.

    Reply: `actors.protocol.tracker.PhaseChosen`, or None when the mint has no tracker.
    """

    mint: Mint
    phase_id: int


class ReviveTracker(Control, frozen=True):
    """An operator gives a quarantined tracker another chance. Reply: `Outcome`."""

    mint: Mint


class RestartTracker(Control, frozen=True):
    """An operator has the instance of a running tracker replaced; its state stays.

    Reply: `Outcome`.
    """

    mint: Mint


class PauseTracker(Control, frozen=True):
    """An operator holds a tracker: its trades are parked in the journal. Reply: `Outcome`."""

    mint: Mint


class ResumeTracker(Control, frozen=True):
    """An operator lets a paused tracker go on, with what was parked first. Reply: `Outcome`."""

    mint: Mint


class PinTracker(Control, frozen=True):
    """An operator pins a tracked coin, or lets it go again. Reply: `Outcome`.

    A pinned coin stays tracked in its last regular phase when it outlives it, and is not stopped
    over the API. Graduation and its stream's end elsewhere end it all the same.
    """

    mint: Mint
    pinned: bool


class TraceTracker(Control, frozen=True):
    """An operator has every message of one tracker logged for a while. Reply: `Outcome`.

    `seconds` 0 ends it.
    """

    mint: Mint
    seconds: float


class GetTimeline(Control, frozen=True):
    """Query: what has happened to a mint, and why?

    Reply: tuple of `actors.runtime.inspection.timeline.Note`, oldest first, or None when nothing is
    known.
    """

    mint: Mint


class OpenTap(Control, frozen=True):
    """Query: listen in on one mint.

    Reply: `actors.runtime.inspection.taps.Tap`, or None without a tracker.
    """

    mint: Mint


class GetRecent(Control, frozen=True):
    """Query: the last messages of one actor.

    Reply: tuple of `RecentMessage`, oldest first, or None when there is no such actor.
    """

    name: str


class GetDossiers(Control, frozen=True):
    """Query: the failures on record.

    Reply: tuple of `actors.runtime.inspection.crash_reports.CrashSummary`, newest first, `limit` at
    most; of one actor when `actor` is given.
    """

    limit: int
    actor: str | None = None


class GetDossier(Control, frozen=True):
    """Query: one failure. Reply: `actors.runtime.inspection.crash_reports.CrashReport`, or None."""

    id: str


# Problems.


class AcknowledgeKept(Control, frozen=True):
    """An operator has looked at rows that are kept aside. Reply: how many there were.

    `what` is "ahead" or "conflicts". The supervisor hands it on to stream-watch, which answers
    None when the database does not.
    """

    what: str


# Sizes.


class ResizeDispatcher(Control, frozen=True):
    """An operator chooses how many threads the trackers share. Reply: `Resized`."""

    threads: int
    dry_run: bool = False


class ResizeWriters(Control, frozen=True):
    """An operator changes the postgres-writers; None leaves a figure as it is. Reply: `Resized`.

    The reply to another number of writers comes when every mint is with its new writer.
    """

    instances: int | None = None
    batch_size: int | None = None
    batch_timeout_ms: int | None = None
    dry_run: bool = False


class ResizeMailbox(Control, frozen=True):
    """An operator changes the bound of one actor's mailbox. Reply: `Resized`."""

    name: str
    capacity: int
    dry_run: bool = False


class ResizeTrackers(Control, frozen=True):
    """An operator changes how many coins are tracked at most. Reply: `Resized`."""

    max_trackers: int
    dry_run: bool = False


class Resized(Message, frozen=True):
    """Reply to a change of size."""

    found: bool
    """Whether what is to be resized is there."""
    refusal: str | None = None
    """Why nothing was done although it is there, as a sentence that says what to do."""
    before: dict[str, int] = msgspec.field(default_factory=dict)
    after: dict[str, int] = msgspec.field(default_factory=dict)
    effects: tuple[str, ...] = ()
    """What it does to the running system, a sentence each."""


# Settings.


class GetSettings(Control, frozen=True):
    """Query: the settings in force. Reply: `settings.Settings`."""


class ChangeSettings(Control, frozen=True):
    """An operator changes settings. Reply: `ConfigOutcome`.

    `changes` has the names in lower case, and values as a JSON body has them; None gives the
    setting back to the environment or its default.
    """

    changes: dict[str, Any]
    by: str
    """Who asks, for the history: the address."""
    dry_run: bool = False

    def __repr__(self) -> str:
        # Values may be secrets that nobody has learned to mask yet.
        return f"ChangeSettings({sorted(self.changes)}, by={self.by!r}, dry_run={self.dry_run})"


class ConfigOutcome(Message, frozen=True):
    """Reply to `ChangeSettings`."""

    errors: tuple[str, ...]
    """One sentence a mistake; nothing is changed when there is one."""
    changed: dict[str, tuple[Shown, Shown]]
    """What differs: name, before and after; secrets masked."""
    settings: Any
    """`settings.Settings` as they are now, or would be."""
    restarts: bool = False
    """The service drains and starts again, because a change acts in no other way."""


class GetSettingsHistory(Control, frozen=True):
    """Query: who changed which setting? Reply: tuple of `settings.store.Change`, newest first."""

    limit: int
    offset: int = 0


# What nobody handled.


class GetDeadLetters(Control, frozen=True):
    """Query: what did nobody handle?

    Reply: tuple of `actors.runtime.DeadLetter`, newest first, `limit` at most.
    """

    limit: int


class GetDeadLetter(Control, frozen=True):
    """Query: one dead letter. Reply: `actors.runtime.DeadLetter`, or None."""

    id: int


class DiscardDeadLetter(Control, frozen=True):
    """An operator lets a dead letter go. Its trades stay dead in the books. Reply: `Outcome`."""

    id: int


class RetryDeadLetter(Control, frozen=True):
    """An operator has a dead letter's message sent to the same actor again. Reply: `Outcome`."""

    id: int
