"""Changes of settings: checked, kept on disk, put in force everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.protocol.operator import ChangeSettings, ConfigOutcome, GetSettingsHistory
from settings import SettingsError, restarts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.protocol.operator import Shown
    from actors.runtime import Context, System
    from actors.supervisor.handlers import Handlers
    from actors.supervisor.state import ChangedSettings, SupervisorState
    from settings import Settings


class SettingsService:
    """Changes settings, in the supervisor's turns.

    Args:
        context: the runtime's side.
        state: what outlives an instance.
        system: the runtime.
        book: the settings on disk.
        drain: begins an orderly end for a reason.
    """

    def __init__(
        self,
        context: Context,
        state: SupervisorState,
        system: System,
        book: ChangedSettings,
        drain: Callable[[str, int], None],
    ) -> None:
        self._context = context
        self._state = state
        self._system = system
        self._book = book
        self._drain = drain
        self.handlers: Handlers = {
            ChangeSettings: self._change,
            GetSettingsHistory: lambda query: book.history(query.limit, query.offset),
        }

    def propose(
        self, changes: Mapping[str, Any]
    ) -> tuple[Settings, dict[str, tuple[Shown, Shown]]]:
        """Give the settings as they would be, and what would differ.

        Raises:
            SettingsError: a change is not possible; it names every mistake.
        """
        return self._book.propose(self._context.settings, changes)

    def _change(self, message: ChangeSettings) -> ConfigOutcome:
        """Change settings, or say what a change would do."""
        try:
            settings, changed = self.propose(message.changes)
            if changed and not message.dry_run:
                self.put_in_force(settings, message.changes, changed, message.by)
        except SettingsError as error:
            return ConfigOutcome(error.errors, {}, self._context.settings)
        return ConfigOutcome((), changed, settings, restarts=restarts(changed))

    def put_in_force(
        self,
        settings: Settings,
        changes: Mapping[str, Any],
        changed: dict[str, tuple[Shown, Shown]],
        by: str,
    ) -> None:
        """Keep a proposed change on disk, then tell everybody; drain when it needs a new start.

        Raises:
            SettingsError: the disk does not take it; nothing has changed.
        """
        self._book.keep(changes, changed, by)
        self._context.telemetry.config_changes.inc(len(changed))
        self._context.log.info("settings_changed", names=sorted(changed), by=by)
        self._system.change_settings(settings)
        if restarts(changed):
            self._state.restarts = True
            self._drain(f"settings changed: {', '.join(sorted(changed))}", 0)
