"""Looks every few seconds what is still needed: of the journal, and of the timelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.domain import US_PER_SECOND
from actors.protocol.connection import ReleaseJournal
from actors.protocol.supervisor import AUDITOR, CONNECTION, DISCOVERY, N8N_WRITER
from actors.runtime import ToSelf
from actors.supervisor.journal_need import needed_from_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.runtime import ActorReport, Context, System
    from actors.supervisor.handlers import Handlers
    from actors.supervisor.state import SupervisorState

LOOK_S: Final = 10.0
_US_PER_HOUR: Final = 3_600 * US_PER_SECOND


class _RetentionDue(ToSelf, frozen=True):
    """It is time to look what is still needed."""


class Retention:
    """Lets go of what nobody needs any more, in the supervisor's turns."""

    def __init__(
        self,
        context: Context,
        state: SupervisorState,
        system: System,
        writers: Callable[[], tuple[str, ...]],
    ) -> None:
        self._context = context
        self._state = state
        self._system = system
        self._writers = writers
        self.handlers: Handlers = {_RetentionDue: lambda _: self.look()}

    def arm(self) -> None:
        """Look again in a while."""
        self._context.after("retention", LOOK_S, _RetentionDue())

    def look(self) -> None:
        """Let go of journal and timelines as far as nobody needs them."""
        self.arm()
        self._forget_timelines()
        feed_us = self._context.feed_us()
        if not self._state.drain.active and self._state.streams_loaded and feed_us:
            self._release_journal(feed_us)

    def _forget_timelines(self) -> None:
        kept_us = self._context.settings.why_keep_hours * _US_PER_HOUR
        before_us = self._context.now_us() - round(kept_us)
        self._system.timelines.forget_before(before_us, self._state.admission.mints())

    def _release_journal(self, feed_us: int) -> None:
        reports = self._system.reports()
        intervals = [phase.interval_seconds for phase in self._state.phases]
        before_us = needed_from_us(
            feed_us=feed_us,
            longest_interval_s=max(intervals, default=0),
            oldest_message_s=max((report.oldest_age_seconds or 0 for report in reports), default=0),
            held_us=self._held_us(reports, feed_us),
        )
        # By two looks: what has just left one actor may be on its way to the next, and young as a
        # message, while its trades are as old as the cache.
        agreed_us, self._state.agreed_us = min(before_us, self._state.agreed_us), before_us
        self._state.released_us = max(self._state.released_us, agreed_us)
        self._context.tell(CONNECTION, ReleaseJournal(self._state.released_us))

    def _held_us(self, reports: tuple[ActorReport, ...], feed_us: int) -> list[int | None]:
        """List the oldest arrivals that actors hold outside their mailboxes."""
        status = self._context.status_of
        writers = [status(name) for name in self._writers()]
        cache, n8n, feed = status(DISCOVERY), status(N8N_WRITER), status(CONNECTION)
        # One that handles nothing keeps its open window until it is revived, resumed or ended.
        # The auditor holds none.
        broken = {report.name for report in reports if report.state in _STANDING_STILL} - {AUDITOR}
        since = self._state.quarantined_us
        for name in broken - since.keys():
            since[name] = self._state.released_us or feed_us
        for name in since.keys() - broken:
            del since[name]
        return [
            *(writer.oldest_waiting_us for writer in writers if writer is not None),
            cache.oldest_us if cache else None,
            n8n.needed_from_us if n8n else None,
            feed.parked_from_us if feed else None,
            *since.values(),
        ]


_STANDING_STILL: Final = frozenset({"quarantined", "paused", "blocked"})
