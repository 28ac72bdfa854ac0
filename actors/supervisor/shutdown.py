"""Carries out the drain; shutdown_plan.py has the order and its reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.protocol.connection import StopReading
from actors.protocol.discovery import RouteClosed
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    N8N_WRITER,
    Drain,
    Drained,
    FeedEnded,
    ReadingStopped,
    tracker_name,
)
from actors.runtime import Flush, Message, ToSelf
from actors.supervisor.shutdown_plan import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.runtime import Context
    from actors.supervisor.handlers import Handlers
    from actors.supervisor.state import SupervisorState
    from actors.supervisor.trackers import Trackers


class _StageOverdue(ToSelf, frozen=True):
    stage: int


class Shutdown:
    """Leads everybody to the end, in the supervisor's turns.

    Args:
        context: the runtime's side.
        state: what outlives an instance.
        trackers: those who end third.
        writers: gives the names of the postgres-writers there are.
        finished: called once with the exit code when the drain is done; must not block.
    """

    def __init__(
        self,
        context: Context,
        state: SupervisorState,
        trackers: Trackers,
        writers: Callable[[], tuple[str, ...]],
        finished: Callable[[int], None],
    ) -> None:
        self._context = context
        self._state = state
        self._drain = state.drain
        self._trackers = trackers
        self._writers = writers
        self._finished = finished
        self.handlers: Handlers = {
            Drain: lambda wish: self.begin(wish.reason, wish.exit_code),
            FeedEnded: lambda event: self.begin(
                f"the recording has ended after {event.frames} frames", 0
            ),
            ReadingStopped: lambda _: self._arrived(CONNECTION),
            Drained: lambda event: self._flushed(event.name, event.undelivered),
            _StageOverdue: self._overdue,
        }

    def resume(self) -> None:
        """Go on with a drain that another instance has begun, with a new deadline."""
        if self._drain.active and self._drain.stage is not Stage.DONE:
            self._arm_stage()

    def begin(self, reason: str, exit_code: int) -> None:
        """Begin, or take note that the process ends for another reason too."""
        drain = self._drain
        if drain.active:
            drain.exit_code = max(drain.exit_code, exit_code)
            return
        self._context.log.info("draining", cause=reason, deadline_s=drain.timeout_s)
        self._name_who_waits()
        drain.begin(reason, exit_code, CONNECTION, self._context.monotonic_s())
        self._arm_stage()
        self._trackers.resume_all()
        if self._does_not_flush(CONNECTION, StopReading()):
            self._close_routes()
            self._arrived(CONNECTION)

    def _name_who_waits(self) -> None:
        """Say that coins of a recording get no row: there is no next start that would go on."""
        waiting = self._state.admission.waiting
        if waiting and self._context.settings.replay_path is not None:
            self._context.log.warning(
                "coins_left_out", coins=waiting, cause="MAX_TRACKERS are tracked; raise it"
            )

    def _arrived(self, name: str) -> None:
        """Take note that somebody is done; the last one of a stage begins the next."""
        drain = self._drain
        if drain.active and drain.stage is not Stage.DONE and drain.arrived(name):
            self._next_stage()

    def stopped(self, name: str) -> None:
        """Take note that a child has ended: a tracker, or a writer that was to leave anyway."""
        if self._drain.stage in (Stage.TRACKERS, Stage.WRITERS):
            self._arrived(name)

    def _flushed(self, name: str, undelivered: int) -> None:
        """Take note that a child holds nothing any more; so much of it stays on disk."""
        self._drain.undelivered += undelivered
        self._arrived(name)

    def _overdue(self, message: _StageOverdue) -> None:
        """Go on without those who are late."""
        drain, stage = self._drain, Stage(message.stage)
        if stage is not drain.stage:
            return
        late = sorted(drain.waiting_for)
        self._context.log.error("drain_overdue", stage=stage.name.lower(), late=late[:10])
        drain.exit_code = max(drain.exit_code, 1)
        if stage is Stage.READING:
            self._close_routes()
        self._next_stage()

    def _close_routes(self) -> None:
        """Tell every tracker to end, in place of a connection that cannot."""
        for mint in self._state.admission.mints():
            self._context.tell(tracker_name(mint), RouteClosed(mint, self._context.feed_us()))

    def _next_stage(self) -> None:
        drain = self._drain
        match drain.stage:
            case Stage.READING:
                drain.next((DISCOVERY,))
                self._flush_all()
            case Stage.DECIDING:
                for mint in self._state.admission.mints():
                    self._trackers.end_quarantined(tracker_name(mint))
                drain.next(tracker_name(mint) for mint in self._state.admission.mints())
            case Stage.TRACKERS:
                drain.next((*self._writers(), N8N_WRITER))
                self._flush_all()
            case _:
                drain.next(())
                self._done()
                return
        self._arm_stage()
        if drain.complete:
            self._next_stage()

    def _flush_all(self) -> None:
        for name in tuple(self._drain.waiting_for):
            if self._does_not_flush(name, Flush()):
                self._drain.waiting_for.discard(name)

    def _does_not_flush(self, name: str, message: Message) -> bool:
        # Who has ended meanwhile, as a writer that left, holds nothing: no dead letter.
        sent = self._context.ref(name).offer(message)
        return self._trackers.is_quarantined(name) or not sent

    def _arm_stage(self) -> None:
        stage = _StageOverdue(stage=self._drain.stage.value)
        left_s = self._drain.stage_s(self._context.monotonic_s())
        self._context.after("stage", left_s, stage)

    def _done(self) -> None:
        drain = self._drain
        self._context.cancel("stage")
        self._context.log.info(
            "drained", cause=drain.reason, on_disk=drain.undelivered, exit_code=drain.exit_code
        )
        self._finished(drain.exit_code)
