"""The supervisor: starts and ends trackers, hears of failures, answers for all, ends in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from actors.operator.coins import CoinCommands
from actors.operator.dead_letters import DeadLetterCommands
from actors.operator.resize import Resizing
from actors.operator.settings import SettingsService
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
from actors.supervisor.health import health_report, not_subscribed
from actors.supervisor.monitor import Monitor
from actors.supervisor.retention import Retention
from actors.supervisor.shutdown import Shutdown
from actors.supervisor.trackers import TRACKER, Trackers
from telemetry import read

if TYPE_CHECKING:
    from actors.supervisor.state import Dependencies, Handlers, SupervisorState


class SupervisorActor(Actor):
    """See the module's docstring.

    Each of its parts does one thing, in the supervisor's turns, and declares what it takes.


    Args:
        context: the runtime's side.
        state: what outlives this instance.
        dependencies: what it acts through.
    """

    pinned: ClassVar[bool] = True

    def __init__(
        self, context: Context, *, state: SupervisorState, dependencies: Dependencies
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
        self._settings_service = SettingsService(
            context, state, system, dependencies.book, self._shutdown.begin
        )
        self._resizing = Resizing(context, state, dependencies, self._settings_service)
        self._monitor = Monitor(context, state, dependencies, self._writers)
        self.handlers = _joined(
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
            self._settings_service.handlers,
            self._resizing.handlers,
            CoinCommands(context, state, system, self._trackers).handlers,
            DeadLetterCommands(context, system, dependencies.routes).handlers,
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
        self._resizing.stopped(name)
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
        self._resizing.adapt()
        self._trackers.fill()

    # Answers.

    def _writers(self) -> tuple[str, ...]:
        return self._resizing.writers

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


def _joined(*parts: Handlers) -> Handlers:
    """Join what the parts take.

    Raises:
        ValueError: two of them take messages of the same type.
    """
    joined: Handlers = {}
    for part in parts:
        for kind in part.keys() & joined.keys():
            raise ValueError(f"two parts of the supervisor take {kind.__name__}")
        joined |= part
    return joined
