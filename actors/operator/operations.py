"""Everything that operators command, as one part of the supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.operator.coins import CoinCommands
from actors.operator.dead_letters import DeadLetterCommands
from actors.operator.resize import Resizing
from actors.operator.settings import SettingsService
from actors.supervisor.handlers import joined

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.runtime import Context
    from actors.supervisor.handlers import Handlers
    from actors.supervisor.state import Dependencies, SupervisorState
    from actors.supervisor.trackers import Trackers


class OperatorCommands:
    """See the module's docstring.

    Args:
        context: the supervisor's side of the runtime.
        state: what outlives an instance of the supervisor.
        dependencies: what it acts through.
        trackers: its part that starts and ends trackers.
        drain: begins an orderly end, for a reason and with an exit code.
    """

    def __init__(
        self,
        context: Context,
        state: SupervisorState,
        dependencies: Dependencies,
        trackers: Trackers,
        drain: Callable[[str, int], None],
    ) -> None:
        system = dependencies.system
        settings = SettingsService(context, state, system, dependencies.book, drain)
        self._resizing = Resizing(context, state, dependencies, settings)
        self.handlers: Handlers = joined(
            settings.handlers,
            self._resizing.handlers,
            CoinCommands(context, state, system, trackers).handlers,
            DeadLetterCommands(context, system, dependencies.routes).handlers,
        )

    @property
    def writers(self) -> tuple[str, ...]:
        """Every postgres-writer there is, those that are about to leave too."""
        return self._resizing.writers

    def stopped(self, name: str) -> None:
        """Hear that a child has ended: it may be a writer that was to leave."""
        self._resizing.stopped(name)

    def settings_changed(self) -> None:
        """Adapt threads, writers and mailboxes to the settings in force."""
        self._resizing.adapt()
