"""What operators ask about one coin, and have done with it.

Expected refusals are replies. A question that other actors have to answer is handed on; what comes
back is put together on the way to whoever asked, who waits for one answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pykka

from actors.protocol.connection import GetRoute
from actors.protocol.operator import (
    ChoosePhase,
    GetTracker,
    PauseTracker,
    PinTracker,
    RestartTracker,
    ResumeTracker,
    ReviveTracker,
    TraceTracker,
    TrackerOverview,
)
from actors.protocol.stream_watch import PollNow
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    STREAM_WATCH,
    ConfigReloaded,
    GetLiveCoin,
    ReloadConfig,
    tracker_name,
)
from actors.protocol.tracker import PhaseChosen, SetPhase
from actors.runtime.attempt import attempt

if TYPE_CHECKING:
    from actors.domain import Mint
    from actors.runtime import Context, System
    from actors.supervisor.handlers import Handlers
    from actors.supervisor.state import SupervisorState
    from actors.supervisor.trackers import Trackers


Then = Callable[[Any], None]


class CoinCommands:
    """What operators ask about one coin and do with it, in the supervisor's turns."""

    def __init__(
        self, context: Context, state: SupervisorState, system: System, trackers: Trackers
    ) -> None:
        self._context = context
        self._state = state
        self._system = system
        self._trackers = trackers
        self.handlers: Handlers = {
            GetTracker: lambda query: self._overview(query.mint),
            GetLiveCoin: lambda query: self._forward_live(query.mint, query),
            ReloadConfig: lambda _: self._reload(),
            ChoosePhase: lambda command: self._choose_phase(command.mint, command.phase_id),
            PauseTracker: lambda command: trackers.pause(command.mint),
            ResumeTracker: lambda command: trackers.resume(command.mint),
            ReviveTracker: lambda command: trackers.revive(command.mint),
            RestartTracker: lambda command: trackers.restart(command.mint),
            PinTracker: lambda command: trackers.pin(command.mint, pinned=command.pinned),
            TraceTracker: lambda command: trackers.trace(command.mint, command.seconds),
        }

    def _reload(self) -> None:
        phases = self._state.phases
        self._context.forward(STREAM_WATCH, PollNow(), lambda _: ConfigReloaded(phases))

    def _forward_live(self, mint: Mint, message: GetLiveCoin) -> None:
        if mint not in self._state.admission:
            self._context.forward(DISCOVERY, message)
        elif not self._trackers.is_quarantined(tracker_name(mint)):
            self._context.forward(tracker_name(mint), message)

    def _overview(self, mint: Mint) -> None:
        name = tracker_name(mint)
        actor = self._system.report(name)
        recent, timers = self._system.recent(name) or (), self._system.timers_of(name)
        pinned = mint in self._state.pins
        asker = self._context.defer()

        def with_live(live: Any) -> None:
            self._ask(
                CONNECTION,
                GetRoute(mint),
                asker,
                lambda route: asker.set(
                    TrackerOverview(actor, live, timers, recent, pinned, route)
                ),
            )

        if actor is not None and actor.state not in _ANSWERING:
            with_live(None)
        else:
            self._ask(DISCOVERY if actor is None else name, GetLiveCoin(mint), asker, with_live)

    def _choose_phase(self, mint: Mint, phase_id: int) -> PhaseChosen | None:
        name = tracker_name(mint)
        actor = self._system.report(name)
        if actor is not None and actor.state not in _ANSWERING:
            refusal = f"The actor {name} is {actor.state}: have it running first."
            return PhaseChosen(accepted=False, refusal=refusal)
        if actor is not None:
            self._context.note(mint, "phase_chosen", phase_id=phase_id, by="operator")
            self._context.forward(name, SetPhase(phase_id))
        return None

    def _ask(self, name: str, message: Any, asker: pykka.Future[Any], then: Then) -> None:
        """Ask an actor; `then` gets its reply in its thread, or None when there is none."""
        if not self._context.send(name, message, _Reply(then, asker)):
            then(None)


class _Reply(pykka.Future[Any]):
    """Hands a reply to a function."""

    def __init__(self, then: Callable[[Any], None], asker: pykka.Future[Any]) -> None:
        super().__init__()
        self._then = then
        self._asker = asker

    def set(self, value: Any | None = None) -> None:
        error = attempt(self._then, value)
        if error is not None:
            # In the turn of whoever answers: it is the asker's trouble, not his.
            self._asker.set_exception((type(error), error, error.__traceback__))

    def set_exception(self, exc_info: Any = None) -> None:  # noqa: ARG002 - nobody was there, or it failed
        self.set(None)


_ANSWERING = frozenset({"running", "paused"})
