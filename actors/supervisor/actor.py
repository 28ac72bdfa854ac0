"""The supervisor: starts and ends trackers, hears of failures, answers for all, ends in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from actors.operator.coins import Desk
from actors.operator.dead_letters import Letters
from actors.operator.resize import Sizes, _ShareDue
from actors.operator.settings import Steering
from actors.protocol.connection import GetFeed, StartReading
from actors.protocol.operator import (
    AcknowledgeKept,
    ChangeSettings,
    GetSettings,
    GetSettingsHistory,
    ResizeDispatcher,
    ResizeMailbox,
    ResizeTrackers,
    ResizeWriters,
)
from actors.protocol.postgres_writer import MovePrepared
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    N8N_WRITER,
    STREAM_WATCH,
    DiscardDeadLetter,
    Drain,
    Drained,
    FeedEnded,
    FeedStateChanged,
    GetActor,
    GetActors,
    GetDeadLetter,
    GetDeadLetters,
    GetHealth,
    GetLedger,
    HealthReport,
    LedgerReport,
    PhasesLoaded,
    ReadingStopped,
    RetryDeadLetter,
    StreamsLoaded,
    TrackingEnded,
    TrackMint,
    UntrackMint,
)
from actors.runtime import Actor, ChildFailed, ChildStopped, Context, SettingsChanged
from actors.supervisor.health import health_report
from actors.supervisor.monitor import Monitor, _SampleDue
from actors.supervisor.retention import Keeping, _RetentionDue
from actors.supervisor.shutdown import Ending, _StageOverdue
from actors.supervisor.trackers import TRACKER, Trackers, _ReviveDue
from telemetry import read

if TYPE_CHECKING:
    from actors.supervisor.state import Means, SupervisorState


class SupervisorActor(Actor):
    """See the module's docstring. Each of its parts does one thing, in the supervisor's turns.

    Args:
        context: the runtime's side.
        state: what outlives this instance.
        means: what it acts through.
    """

    pinned: ClassVar[bool] = True

    def __init__(self, context: Context, *, state: SupervisorState, means: Means) -> None:
        super().__init__(context)
        tree = means.tree
        self._state = state
        self._tree = tree
        self._book = means.book
        self._applied = means.applied
        self._trackers = Trackers(context, state, means)
        self._ending = Ending(context, state, self._trackers, self._writers, means.finished)
        self._keeping = Keeping(context, state, tree, self._writers)
        self._steering = Steering(context, state, tree, means.book, self._ending.begin)
        self._sizes = Sizes(context, state, means, self._steering)
        self._desk = Desk(context, state, tree, self._trackers)
        self._letters = Letters(context, tree, means.routes)
        self._monitor = Monitor(context, state, means, self._writers)

    def on_start(self) -> None:
        """Begin to look what is still needed; go on with what another instance has begun."""
        self._keeping.arm()
        self._monitor.look()
        self._trackers.rearm()
        self._ending.resume()

    def on_receive(self, message: Any) -> Any:  # noqa: C901 - one arm a message
        """Handle what the tree reports; questions are answered further down."""
        match message:
            case TrackMint():
                self._trackers.track(message)
            case UntrackMint(mint, reason):
                self._trackers.untrack(mint, reason)
            case TrackingEnded(mint, _, reason):
                self._trackers.untrack(mint, reason, ended=True)
            case ChildStopped(name, kind):
                self._child_stopped(name, kind)
            case ChildFailed():
                self._child_failed(message)
            case PhasesLoaded(phases):
                self._trackers.use_phases(phases)
            case StreamsLoaded(count):
                self._streams_loaded(count)
            case MovePrepared():
                self._sizes.prepared(message)
            case SettingsChanged():
                self._settings_changed()
            case FeedStateChanged():
                # The connection has logged it, and the health report reads what it publishes.
                pass
            case _:
                return self._on_time(message)
        return None

    def _on_time(self, message: Any) -> Any:
        match message:
            case _RetentionDue():
                self._keeping.look()
            case _SampleDue():
                self._monitor.look()
            case _ReviveDue():
                self._trackers.revival_due(message)
            case _ShareDue():
                self._sizes.share_due()
            case _StageOverdue():
                self._ending.overdue(message)
            case FeedEnded(frames):
                self._ending.begin(f"the recording has ended after {frames} frames", 0)
            case Drain(reason, exit_code):
                self._ending.begin(reason, exit_code)
            case ReadingStopped():
                self._ending.arrived(CONNECTION)
            case Drained(name, undelivered):
                self._ending.flushed(name, undelivered)
            case _:
                return self._answer(message)
        return None

    def _answer(self, message: Any) -> Any:
        match message:
            case GetHealth():
                return self._health()
            case GetActors():
                return self._tree.reports()
            case GetActor(name):
                return self._tree.report(name)
            case GetLedger():
                return self._ledger()
            case GetFeed():
                self.context.forward(CONNECTION, message)
            case AcknowledgeKept():
                self._monitor.acknowledge(message)
            case _:
                return self._steer(message)
        return None

    def _steer(self, message: Any) -> Any:
        match message:
            case GetSettings():
                return self.context.settings
            case ChangeSettings():
                return self._steering.change(message)
            case GetSettingsHistory(limit, offset):
                return self._book.history(limit, offset)
            case ResizeDispatcher() | ResizeWriters() | ResizeMailbox() | ResizeTrackers():
                return self._sizes.resize(message)
            case GetDeadLetters() | GetDeadLetter() | DiscardDeadLetter() | RetryDeadLetter():
                return self._letters.answer(message)
            case _:
                return self._desk.answer(message)

    # What the tree reports.

    def _child_stopped(self, name: str, kind: str) -> None:
        if kind == TRACKER:
            self._trackers.stopped(name)
        self._sizes.stopped(name)
        self._ending.stopped(name)

    def _child_failed(self, failed: ChildFailed) -> None:
        if failed.decision == "restart":
            self.context.telemetry.restarts.labels(kind=failed.kind).inc()
        if failed.decision == "escalate":
            self.context.log.error(
                "actor_beyond_saving", failed_actor=failed.name, cause=failed.error
            )
            self._ending.begin(f"{failed.name} failed too often: {failed.error}", 1)
        elif failed.kind == TRACKER:
            self._trackers.failed(failed)

    def _streams_loaded(self, count: int) -> None:
        self._state.streams_loaded = True
        self.context.log.info("streams_loaded", active=count)
        if not self._state.drain.active:
            self.context.tell(CONNECTION, StartReading())

    def _settings_changed(self) -> None:
        self._applied(self.context.settings)
        self._sizes.adapt()
        self._trackers.fill()

    # Answers.

    def _writers(self) -> tuple[str, ...]:
        return self._sizes.writers

    def _health(self) -> HealthReport:
        status = self.context.status_of
        return health_report(
            now_us=self.context.now_us(),
            started_us=self._state.started_us,
            feed=status(CONNECTION),
            cache=status(DISCOVERY),
            rows_of_past_writers=self._state.rows_of_past_writers,
            writers=[found for name in self._writers() if (found := status(name)) is not None],
            n8n=status(N8N_WRITER),
            trackers=len(self._state.roster),
            trades_processed=int(read(self.context.telemetry.trades_processed)),
            draining=self._state.drain.active,
            streams_loaded=self._state.streams_loaded,
            broken_actors=self._broken(),
            problems=self._monitor.problems(),
        )

    def _broken(self) -> list[str]:
        system = (CONNECTION, DISCOVERY, N8N_WRITER, STREAM_WATCH, *self._writers())
        return [name for name in system if self._tree.state_of(name) not in ("starting", "running")]

    def _ledger(self) -> LedgerReport:
        received, places = self.context.ledger.read()
        balanced = received == sum(places.values()) and min(places.values()) >= 0
        return LedgerReport(received=received, places=places, balanced=balanced)
