"""Trackers: who gets one, what becomes of one that fails, and what an operator does with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from actors.backoff import backoff_s
from actors.domain import Drop, Mint, Place
from actors.protocol.connection import RouteMint, UnrouteMint
from actors.protocol.operator import Outcome
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    PhasesLoaded,
    TrackingEnded,
    TrackMint,
    UntrackMint,
    tracker_name,
)
from actors.protocol.tracker import PhasesChanged, SetPinned
from actors.runtime import ToSelf
from actors.supervisor.admission import AdmissionDecision
from actors.supervisor.shutdown_plan import Stage
from settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.domain import Phase
    from actors.runtime import ChildFailed, Context
    from actors.supervisor.handlers import Handlers
    from actors.supervisor.state import Dependencies, SupervisorState

TRACKER: Final = "tracker"
LONGEST_QUARANTINE_S: Final = 6 * 3600.0
"""A tracker that keeps failing is tried again a few times a day."""


def _route_of(track: TrackMint) -> RouteMint:
    return RouteMint(track.mint, track.last_row_us, track.rows_seq)


_NOT_FOUND: Final = Outcome(found=False)
_DONE: Final = Outcome(found=True)


class _ReviveDue(ToSelf, frozen=True):
    """A tracker has been in quarantine for long enough to be tried again."""

    name: str


class Trackers:
    """Starts, ends and steers trackers, in the supervisor's turns."""

    def __init__(
        self, context: Context, state: SupervisorState, dependencies: Dependencies
    ) -> None:
        self._context = context
        self._state = state
        self._system = dependencies.system
        self._tracker_factory = dependencies.tracker_factory
        self._book = dependencies.book
        self.handlers: Handlers = {
            TrackMint: self.track,
            UntrackMint: lambda wish: self.untrack(wish.mint, wish.reason),
            TrackingEnded: lambda event: self.untrack(event.mint, event.reason, ended=True),
            PhasesLoaded: lambda event: self.use_phases(event.phases),
            _ReviveDue: self._revival_due,
        }

    def rearm(self) -> None:
        """Set the timers of quarantines again that another instance of the supervisor had set."""
        for name in self._state.quarantines:
            if self.is_quarantined(name):
                self._arm_revival(name)

    # Who is tracked.

    def track(self, track: TrackMint) -> None:
        """Start the tracker of a mint, unless there is a reason to wait or not to."""
        state = self._state
        if not state.drain.takes_coins or (state.drain.active and self.is_quarantined(CONNECTION)):
            # Nobody would open its route, or close it.
            return
        if not state.phases:
            waits = state.admission.put_off(track)
            self._put_off(track, "ref_coin_phases has no regular phase", waits=waits)
            return
        match state.admission.wish(track):
            case AdmissionDecision.START:
                self._start(track)
            case AdmissionDecision.WAIT:
                self._put_off(track, "MAX_TRACKERS are tracked; raise it", waits=True)
            case AdmissionDecision.FULL:
                self._put_off(track, "MAX_TRACKERS are tracked, and too many wait", waits=False)
            case AdmissionDecision.KNOWN:
                pass

    def _put_off(self, track: TrackMint, cause: str, *, waits: bool) -> None:
        self._context.log.warning("not_tracked", mint=track.mint, cause=cause, waits=waits)
        self._context.note(track.mint, "not_tracked", cause=cause, waits=waits)

    def _start(self, track: TrackMint) -> None:
        if self._context.settings.replay_path is not None:
            track = self._as_recorded(track)
        track = self._tracker_factory.completed(track)
        pinned = track.mint in self._state.pins
        self._system.start_child(
            self._tracker_factory.spec(track, self._state.phases, pinned=pinned)
        )
        self._context.tell(CONNECTION, _route_of(track))
        self._count()
        self._context.log.info(
            "tracking", mint=track.mint, phase=track.phase_id, activated_by=track.by
        )
        self._context.note(
            track.mint, "tracking", phase_id=track.phase_id, by=track.by, pinned=pinned
        )

    def _as_recorded(self, track: TrackMint) -> TrackMint:
        """Let a stream begin as it did when it was recorded, not as an earlier replay left it.

        It passes on from the lowest phase to that of its age with the first event. Rows that are
        there decide nothing: a replay comes to the same ones.
        """
        if track.by != "stream":
            return track
        first_id = min(phase.id for phase in self._state.phases if phase.is_regular)
        return msgspec.structs.replace(track, phase_id=first_id, last_row_us=None)

    def untrack(self, mint: Mint, reason: str, *, ended: bool = False) -> None:
        """Let the tracker of a mint write what it holds and end."""
        if not self._state.admission.end(mint):
            return
        name = tracker_name(mint)
        self._context.log.info("tracking_ends", mint=mint, cause=reason)
        self._context.note(mint, "tracking_ends", cause=reason)
        # A paused one would never hear that its route is closed.
        self._system.resume(name)
        self._context.tell(CONNECTION, UnrouteMint(mint, ended))
        self.end_quarantined(name)

    def stopped(self, name: str) -> None:
        """Strike a tracker that has ended; whoever waits for its place is next."""
        mint = Mint(name.partition(":")[2])
        self._write_off(mint, self._tracker_factory.ended(mint))
        self._state.revived.discard(name)
        self._state.quarantines.pop(name, None)
        self._context.cancel(("revive", name))
        following = self._state.admission.ended(mint)
        self._count()
        # At the end every place becomes free, in no particular order: nobody moves up then.
        if following is not None and not self._state.drain.active:
            self.track(following)

    def _write_off(self, mint: Mint, open_trades: int) -> None:
        """Enter as dead what a tracker that could not even end still held in its window."""
        if open_trades:
            self._context.ledger.move(Place.OPEN, Place.DEAD, open_trades)
            dropped = self._context.telemetry.dropped
            dropped.labels(reason=Drop.WINDOW_LOST.value).inc(open_trades)
            self._context.log.error("window_lost", mint=mint, trades=open_trades)
            self._context.note(mint, "window_lost", trades=open_trades)

    def _count(self) -> None:
        self._context.telemetry.coins_tracked.set(len(self._state.admission))

    def use_phases(self, phases: tuple[Phase, ...]) -> None:
        """Go by another table of phases, everywhere."""
        if not any(phase.is_regular for phase in phases):
            self._context.log.warning("phases_refused", found=len(phases))
            return
        self._state.phases = phases
        self._context.tell(DISCOVERY, PhasesChanged(phases=phases))
        for mint in self._state.admission.mints():
            self._context.tell(tracker_name(mint), PhasesChanged(phases=phases))
        self.fill()

    def fill(self) -> None:
        """Start who waits, as far as there are places."""
        while (track := self._state.admission.next_waiting()) is not None:
            self.track(track)

    # Failures.

    def is_quarantined(self, name: str) -> bool:
        """Say whether an actor is in quarantine."""
        return self._system.state_of(name) == "quarantined"

    def failed(self, failed: ChildFailed) -> None:
        """Hear of a failure of a tracker that the runtime has acted on."""
        mint = Mint(failed.name.partition(":")[2])
        self._context.note(mint, "tracker_failed", error=failed.error, decision=failed.decision)
        if failed.decision != "quarantine":
            return
        times = self._state.quarantines.get(failed.name, 0) + 1
        self._state.quarantines[failed.name] = times
        self._context.log.error("quarantined", failed_actor=failed.name, cause=failed.error)
        self._context.note(mint, "quarantined", cause=failed.error, times=times)
        if self._is_to_end(failed.name):
            self.end_quarantined(failed.name)
        else:
            self._arm_revival(failed.name)

    def _arm_revival(self, name: str) -> None:
        first_s = self._context.settings.quarantine_seconds
        if first_s:
            times = self._state.quarantines[name]
            pause_s = backoff_s(times, first_s, LONGEST_QUARANTINE_S)
            self._context.after(("revive", name), pause_s, _ReviveDue(name))

    def _revival_due(self, message: _ReviveDue) -> None:
        """Try a quarantined tracker again."""
        if self._system.revive(message.name):
            mint = Mint(message.name.partition(":")[2])
            self._context.log.info("revived", mint=mint, by="timer")
            self._context.note(mint, "revived", by="timer")

    def _is_to_end(self, name: str) -> bool:
        leaving = self._state.admission.is_leaving(Mint(name.partition(":")[2]))
        return leaving or self._state.drain.stage is Stage.TRACKERS

    def end_quarantined(self, name: str) -> None:
        """Let a new instance write what it can; nobody reacts to a closed route in quarantine.

        A tracker that fails for good once more is stopped.
        """
        if not self.is_quarantined(name):
            return
        if name in self._state.revived:
            self._system.stop_child(name, 0.0)
        else:
            self._state.revived.add(name)
            self._system.revive(name)

    def resume_all(self) -> None:
        """End every pause: a paused tracker could not end."""
        for mint in self._state.admission.mints():
            self._system.resume(tracker_name(mint))

    # What operators do.

    def pause(self, mint: Mint) -> Outcome:
        """Hold a tracker; its trades are parked."""
        if self._state.drain.active:
            return Outcome(found=True, refusal="The service is draining: nothing is paused now.")
        return self._act(mint, self._system.pause, "paused", "cannot be paused")

    def resume(self, mint: Mint) -> Outcome:
        """Let a paused tracker go on."""
        return self._act(mint, self._system.resume, "resumed", "is not paused")

    def revive(self, mint: Mint) -> Outcome:
        """Give a quarantined tracker another chance."""
        return self._act(mint, self._system.revive, "revived", "is not in quarantine")

    def restart(self, mint: Mint) -> Outcome:
        """Have the instance of a tracker replaced."""
        return self._act(mint, self._system.restart, "restarted", "does not run")

    def trace(self, mint: Mint, seconds: float) -> Outcome:
        """Have every message of a tracker logged for a while."""
        return self._act(
            mint, lambda name: self._system.trace(name, seconds), "traced", "cannot be traced"
        )

    def _act(self, mint: Mint, act: Callable[[str], bool], what: str, otherwise: str) -> Outcome:
        name = tracker_name(mint)
        if act(name):
            self._context.log.info("operator_acted", on=name, what=what)
            self._context.note(mint, what, by="operator")
            return _DONE
        actor = self._system.report(name)
        if actor is None:
            return _NOT_FOUND
        refusal = f"The actor {name} {otherwise}, it is {actor.state}: nothing was done."
        return Outcome(found=True, refusal=refusal)

    def pin(self, mint: Mint, *, pinned: bool) -> Outcome:
        """Pin a tracked coin, or let a pinned one go."""
        pins = self._state.pins
        if mint not in (self._state.admission if pinned else pins):
            return _NOT_FOUND
        wanted = frozenset(pins | {mint} if pinned else pins - {mint})
        try:
            self._book.keep_pins(wanted)
        except SettingsError as error:
            return Outcome(found=True, refusal=str(error))
        self._state.pins = set(wanted)
        self._context.ref(tracker_name(mint)).offer(SetPinned(pinned=pinned))
        self._context.note(mint, "pinned" if pinned else "unpinned", by="operator")
        return _DONE
