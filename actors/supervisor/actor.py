"""The supervisor: starts and ends trackers, hears of failures, answers for all, ends in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from actors.protocol.connection import StartReading
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    N8N_WRITER,
    STREAM_WATCH,
    FeedStateChanged,
    GetHealth,
    HealthReport,
    StreamsLoaded,
)
from actors.runtime import Actor, ChildFailed, ChildStopped, Context, SettingsChanged
from actors.supervisor.handlers import joined
from actors.supervisor.health import health_report, not_subscribed
from actors.supervisor.monitor import Monitor
from actors.supervisor.retention import Retention
from actors.supervisor.shutdown import Shutdown
from actors.supervisor.trackers import TRACKER, Trackers
from telemetry import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.supervisor.handlers import Handlers
    from actors.supervisor.state import Dependencies, SupervisorState

    MakeOperations = Callable[
        [Context, SupervisorState, Dependencies, Trackers, Callable[[str, int], None]], "Operations"
    ]


class Operations(Protocol):
    """What operators command: a part of the supervisor that stands in a room of its own."""

    handlers: Handlers

    @property
    def writers(self) -> tuple[str, ...]:
        """Every postgres-writer there is, those that are about to leave too."""

    def stopped(self, name: str) -> None:
        """Hear that a child has ended."""

    def settings_changed(self) -> None:
        """Adapt what is there to the settings in force."""


class SupervisorActor(Actor):
    """See the module's docstring.

    Each of its parts does one thing, in the supervisor's turns, and declares what it takes.

    Args:
        context: the runtime's side.
        state: what outlives this instance.
        dependencies: what it acts through.
        operations: makes the part that operators command.
    """

    own_thread: ClassVar[bool] = True

    def __init__(
        self,
        context: Context,
        *,
        state: SupervisorState,
        dependencies: Dependencies,
        operations: MakeOperations,
    ) -> None:
        super().__init__(context)
        system = dependencies.system
        self._state = state
        self._system = system
        self._applied = dependencies.applied
        self._trackers = Trackers(context, state, dependencies)
        self._shutdown = Shutdown(
            context, state, self._trackers, self._writers, dependencies.finished
        )
        self._retention = Retention(context, state, system, self._writers)
        self._operations = operations(
            context, state, dependencies, self._trackers, self._shutdown.begin
        )
        self._monitor = Monitor(context, state, dependencies, self._writers)
        self.handlers = joined(
            {
                ChildStopped: self._child_stopped,
                ChildFailed: self._child_failed,
                StreamsLoaded: self._streams_loaded,
                SettingsChanged: lambda _: self._settings_changed(),
                # The connection has logged it, and the health report reads what it publishes.
                FeedStateChanged: lambda _: None,
                GetHealth: lambda _: self._health(),
            },
            self._trackers.handlers,
            self._shutdown.handlers,
            self._retention.handlers,
            self._monitor.handlers,
            self._operations.handlers,
        )

    def on_start(self) -> None:
        """Begin to look what is still needed; go on with what another instance has begun."""
        self._retention.arm()
        self._monitor.look()
        self._trackers.rearm()
        self._shutdown.resume()

    def on_receive(self, message: Any) -> Any:
        """Have the part that takes messages of this type handle it.

        Raises:
            TypeError: no part takes them.
        """
        handler = self.handlers.get(type(message))
        if handler is None:
            raise TypeError(f"the supervisor does not take {type(message).__name__}")
        return handler(message)

    # What the tree reports.

    def _child_stopped(self, event: ChildStopped) -> None:
        name = event.name
        if event.kind == TRACKER:
            self._trackers.stopped(name)
        self._operations.stopped(name)
        self._shutdown.stopped(name)

    def _child_failed(self, failed: ChildFailed) -> None:
        if failed.decision == "restart":
            self.context.telemetry.restarts.labels(kind=failed.kind).inc()
        if failed.decision == "escalate":
            self.context.log.error(
                "actor_beyond_saving", failed_actor=failed.name, cause=failed.error
            )
            self._shutdown.begin(f"{failed.name} failed too often: {failed.error}", 1)
        elif failed.kind == TRACKER:
            self._trackers.failed(failed)

    def _streams_loaded(self, event: StreamsLoaded) -> None:
        self._state.streams_loaded = True
        self.context.log.info("streams_loaded", active=event.count)
        if not self._state.drain.active:
            self.context.tell(CONNECTION, StartReading())

    def _settings_changed(self) -> None:
        self._applied(self.context.settings)
        self._operations.settings_changed()
        self._trackers.fill()

    # Answers.

    def _writers(self) -> tuple[str, ...]:
        return self._operations.writers

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
            trackers=len(self._state.admission),
            trades_processed=int(read(self.context.telemetry.trades_processed)),
            draining=self._state.drain.active,
            streams_loaded=self._state.streams_loaded,
            broken_actors=self._broken(),
            not_subscribed=self._not_subscribed(),
            problems=self._monitor.problems(),
        )

    def _not_subscribed(self) -> int:
        """Count the coins that the start still waits for; those that come later do not count."""
        state, feed = self._state, self.context.status_of(CONNECTION)
        missing = not_subscribed(feed, state.admission.staying)
        if state.streams_loaded and not missing and feed is not None and not feed.recovering:
            state.has_started = True
        return 0 if state.has_started else missing

    def _broken(self) -> list[str]:
        system = (CONNECTION, DISCOVERY, N8N_WRITER, STREAM_WATCH, *self._writers())
        return [
            name for name in system if self._system.state_of(name) not in ("starting", "running")
        ]
