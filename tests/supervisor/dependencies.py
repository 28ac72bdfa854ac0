"""What a supervisor in a test acts through: a book of settings in memory, and a runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.protocol.partitioner import WriterRoutes
from actors.runtime import Actor, ChildSpec, System
from actors.supervisor import Dependencies
from settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.domain import Mint
    from actors.protocol.operator import Shown
    from actors.supervisor.state import TrackerSource


class Book:
    """Keeps settings in memory; `broken` says that the disk takes nothing."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []
        self.entries: list[tuple[str, list[str]]] = []
        self.pinned: frozenset[Mint] = frozenset()
        self.broken = False

    def propose(
        self, settings: Settings, changes: Mapping[str, Any]
    ) -> tuple[Settings, dict[str, tuple[Shown, Shown]]]:
        unknown = [name for name in changes if name not in Settings.model_fields]
        if unknown:
            raise SettingsError([f"{name}: there is no such setting" for name in unknown])
        given = {name: getattr(settings, name) for name in settings.model_fields_set}
        try:
            proposed = Settings(**(given | dict(changes)))
        except ValueError as error:
            raise SettingsError([str(error)]) from error
        before = {name: getattr(settings, name) for name in changes}
        changed = {
            name: (before[name], getattr(proposed, name))
            for name in changes
            if before[name] != getattr(proposed, name)
        }
        return proposed, changed

    def keep(
        self, changes: Mapping[str, Any], changed: dict[str, tuple[Shown, Shown]], by: str
    ) -> None:
        self._write()
        self.kept.append(dict(changes))
        self.entries.append((by, sorted(changed)))

    def history(self, limit: int, offset: int) -> tuple[Any, ...]:
        return tuple(reversed(self.entries))[offset : offset + limit]

    def pins(self) -> frozenset[Mint]:
        return self.pinned

    def keep_pins(self, pins: frozenset[Mint]) -> None:
        self._write()
        self.pinned = pins

    def _write(self) -> None:
        if self.broken:
            raise SettingsError(["settings.json cannot be written (No space left on device)"])


def dependencies(
    system: System,
    tracker_factory: TrackerSource,
    finished: Callable[[int], None],
    *,
    routes: WriterRoutes | None = None,
    writer_spec: Callable[[str, int | None], ChildSpec] | None = None,
    book: Book | None = None,
    share_spool: Callable[[int], bool] = lambda _: True,
    clock_offset_us: Callable[[], int] = lambda: 0,
) -> Dependencies:
    """Let a supervisor act through a runtime, which makes what it likes of a new writer's spec."""
    return Dependencies(
        system=system,
        tracker_factory=tracker_factory,
        routes=routes or WriterRoutes(1),
        book=book or Book(),
        writer_spec=writer_spec or _any_writer,
        share_spool=share_spool,
        applied=lambda _: None,
        finished=finished,
        clock_offset_us=clock_offset_us,
    )


def _any_writer(name: str, _awaiting_epoch: int | None) -> ChildSpec:
    return ChildSpec(name, "postgres-writer", Actor, Actor)
