"""What can be looked at without asking anybody: also when the supervisor hangs.

Guarantees: nothing in here waits for an actor or touches its state. It reads what the runtime knows
of its actors, and what they published last: the connection's report is at most 0.1 s old. Used by
the threads of the web server, several at a time. What changes something is a message to the
supervisor, and never answered here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from actors.protocol.connection import FeedReport, GetFeed
from actors.protocol.operator import (
    GetDeadLetter,
    GetDeadLetters,
    GetDossier,
    GetDossiers,
    GetRecent,
    GetSettings,
    GetTimeline,
    OpenTap,
)
from actors.protocol.supervisor import (
    CONNECTION,
    GetActor,
    GetActors,
    GetLedger,
    LedgerReport,
    tracker_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.domain import Mint
    from actors.runtime import ActorReport, DeadLetter
    from actors.runtime.dead_letters import DeadLetters
    from actors.runtime.inspection.crash_reports import CrashReports
    from actors.runtime.inspection.recent_messages import RecentMessage
    from actors.runtime.inspection.taps import Tap
    from actors.runtime.inspection.timeline import Timeline
    from actors.runtime.ledger import Ledger
    from settings import Settings


class Runtime(Protocol):
    """What is looked at; see `actors.runtime.system.System`."""

    dead_letters: DeadLetters
    dossiers: CrashReports
    ledger: Ledger
    settings: Settings
    timelines: Timeline

    def reports(self) -> tuple[ActorReport, ...]:
        """Describe every actor."""

    def report(self, name: str) -> ActorReport | None:
        """Describe one actor."""

    def recent(self, name: str) -> tuple[RecentMessage, ...] | None:
        """Give the last messages of an actor."""

    def status_of(self, name: str) -> Any:
        """Give what an actor last published."""

    def tap(self, name: str, *, mint: Mint) -> Tap | None:
        """Listen in on an actor and on the notes of a mint."""


class Inspection:
    """See the module's docstring."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._answers: dict[type, Callable[[Any], Any]] = {
            GetActors: lambda _: runtime.reports(),
            GetActor: lambda question: runtime.report(question.name),
            GetRecent: lambda question: runtime.recent(question.name),
            GetTimeline: lambda question: runtime.timelines.of(question.mint),
            GetDossiers: lambda question: runtime.dossiers.all(question.limit, question.actor),
            GetDossier: lambda question: runtime.dossiers.get(question.id),
            GetDeadLetters: lambda question: self._dead_letters(question.limit),
            GetDeadLetter: lambda question: runtime.dead_letters.get(question.id),
            GetLedger: lambda _: self._ledger(),
            GetFeed: lambda _: self._feed(),
            GetSettings: lambda _: runtime.settings,
            OpenTap: lambda question: runtime.tap(tracker_name(question.mint), mint=question.mint),
        }

    def answers(self, kind: type) -> bool:
        """Say whether questions of this type are for here."""
        return kind in self._answers

    def answer(self, question: Any) -> Any:
        """Answer at once.

        Raises:
            KeyError: it is no question for here.
        """
        return self._answers[type(question)](question)

    def _dead_letters(self, limit: int) -> tuple[DeadLetter, ...]:
        return tuple(reversed(self._runtime.dead_letters.all()[-limit:]))

    def _ledger(self) -> LedgerReport:
        received, places = self._runtime.ledger.read()
        balanced = received == sum(places.values()) and min(places.values()) >= 0
        return LedgerReport(received=received, places=places, balanced=balanced)

    def _feed(self) -> FeedReport | None:
        found = self._runtime.status_of(CONNECTION)
        return found if isinstance(found, FeedReport) else None
