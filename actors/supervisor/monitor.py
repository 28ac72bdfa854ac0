"""Takes samples of what is counted, and says what somebody should look at."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from actors.domain import Drop
from actors.protocol.operator import AcknowledgeKept
from actors.protocol.supervisor import AUDITOR, CONNECTION, N8N_WRITER, STREAM_WATCH
from actors.runtime import ToSelf
from actors.supervisor.conditions import Statuses
from actors.supervisor.problems import Sample, find, lasting, minute, shown
from telemetry import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.protocol.supervisor import Problem
    from actors.runtime import Context
    from actors.supervisor.handlers import Handlers
    from actors.supervisor.state import Dependencies, SupervisorState
    from telemetry import Telemetry

SAMPLE_S: Final = 10.0
_NOT_DATA: Final = "control"
_KEPT: Final = {"ahead": Drop.ROW_AHEAD, "conflicts": Drop.ROW_CONFLICT}


class _SampleDue(ToSelf, frozen=True):
    """It is time to look at the counters."""


class Monitor:
    """See the module's docstring. Works in the supervisor's turns, and asks nobody."""

    def __init__(
        self,
        context: Context,
        state: SupervisorState,
        dependencies: Dependencies,
        writers: Callable[[], tuple[str, ...]],
    ) -> None:
        self._context = context
        self._state = state
        self._system = dependencies.system
        self._clock_offset_us = dependencies.clock_offset_us
        self._writers = writers
        self.handlers: Handlers = {
            _SampleDue: lambda _: self.look(),
            AcknowledgeKept: self._acknowledge,
        }

    def look(self) -> None:
        """Take a sample, see what is wrong, and look again in a while."""
        self._context.after("problems", SAMPLE_S, _SampleDue())
        self.problems()
        self._state.watched.samples.append(sample(self._context.telemetry))

    def problems(self) -> tuple[Problem, ...]:
        """Say what somebody should look at now."""
        watched, now_us = self._state.watched, self._context.now_us()
        now = sample(self._context.telemetry)
        before = watched.samples[0] if watched.samples else Sample({})
        found = find(minute(before, now, len(self._state.admission)), self._statuses())
        watched.lasting = lasting(found, watched.lasting, now_us)
        problems = shown(watched.lasting, now_us)
        self._context.telemetry.show_problems(Counter(each.kind for each in problems))
        self._tell(problems)
        return problems

    def _acknowledge(self, message: AcknowledgeKept) -> None:
        """Have rows that are kept aside acknowledged, and forget that they were counted."""
        self._context.forward(STREAM_WATCH, message)
        drop = _KEPT.get(message.what)
        if drop is not None:
            self._forget(drop)

    def _forget(self, drop: Drop) -> None:
        watched = self._state.watched
        watched.lasting.pop(drop.value, None)
        now = sample(self._context.telemetry).drops[drop.value]
        for index, past in enumerate(watched.samples):
            watched.samples[index] = past._replace(drops={**past.drops, drop.value: now})

    def _statuses(self) -> Statuses:
        status, system, settings = self._context.status_of, self._system, self._context.settings
        return Statuses(
            has_api_key=settings.pumpportal_api_key is not None,
            feed=status(CONNECTION),
            writers=[found for name in self._writers() if (found := status(name)) is not None],
            n8n=status(N8N_WRITER),
            watch=status(STREAM_WATCH),
            audit=status(AUDITOR),
            audit_ended=system.state_of(AUDITOR) == "quarantined",
            dead_letters=system.dead_letters.all(),
            quarantined=[
                name for name in self._state.quarantines if system.state_of(name) == "quarantined"
            ],
            waiting_coins=self._state.admission.waiting,
            max_trackers=self._state.admission.limit,
            spool_limit_bytes=settings.spool_max_mb << 20,
            clock_offset_us=self._clock_offset_us(),
        )

    def _tell(self, problems: tuple[Problem, ...]) -> None:
        """Log which problems have begun, and which are over; one line each."""
        told, log = self._state.watched.told, self._context.log
        now = {problem.key: problem for problem in problems}
        for key in now.keys() - told.keys():
            log.warning("problem", key=key, kind=now[key].kind, says=now[key].says, do=now[key].do)
        for key in told.keys() - now.keys():
            log.info("problem_over", key=key, kind=told[key].kind)
        self._state.watched.told = now


def sample(telemetry: Telemetry) -> Sample:
    """Read what has been counted so far."""
    telemetry.catch_up()
    frames = telemetry.frames.read()
    return Sample(
        drops={reason: count for (reason,), count in telemetry.dropped.read().items()},
        received=read(telemetry.trades_received),
        processed=read(telemetry.trades_processed),
        data_frames=sum(count for (kind,), count in frames.items() if kind != _NOT_DATA),
        creates=frames["create",],
    )
