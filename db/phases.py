"""The phases of a coin (`ref_coin_phases`): how often a coin of a certain age is written.

Ids 1 to 98 are regular phases; 99 (finished) and 100 (graduated) say how a stream ended and cannot
be changed. A preset is a whole table of regular phases. The caller owns the transaction.
"""

from __future__ import annotations

from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from actors.domain import FINISHED_PHASE, GRADUATED_PHASE, Phase
from db.encoding import fitting
from db.errors import PhaseRefusedError
from db.values import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from db.pool import Connection

_NAME_LENGTH: Final = 50
_OPEN_END_MINUTES: Final = 999_999
_INT_MAX: Final = 2**31 - 1

_INSERT: Final = """
INSERT INTO ref_coin_phases (id, name, interval_seconds, min_age_minutes, max_age_minutes)
VALUES (%s, %s, %s, %s, %s)
"""

_UPDATE: Final = """
UPDATE ref_coin_phases
SET name = %s, interval_seconds = %s, min_age_minutes = %s, max_age_minutes = %s
WHERE id = %s
"""

_ENDS: Final = (
    Phase(FINISHED_PHASE, "Finished", 0, 1440, _OPEN_END_MINUTES),
    Phase(GRADUATED_PHASE, "Graduated", 0, 1440, _OPEN_END_MINUTES),
)
_ORIGINAL: Final = (
    Phase(1, "Baby Zone", 5, 0, 10),
    Phase(2, "Survival Zone", 30, 10, 60),
    Phase(3, "Mature Zone", 60, 60, 1440),
)
SEED: Final = (*_ORIGINAL, *_ENDS)
"""What a new database gets."""

Preset = Literal["pump-platform", "original", "default"]
PRESETS: Final[Mapping[Preset, tuple[Phase, ...]]] = MappingProxyType(
    {
        "pump-platform": (
            Phase(1, "Newborn", 3, 0, 2),
            Phase(2, "Baby", 5, 2, 8),
            Phase(3, "Toddler", 10, 8, 20),
            Phase(4, "Teen", 30, 20, 90),
            Phase(5, "Young", 60, 90, 240),
            Phase(6, "Adult", 120, 240, 1080),
            Phase(7, "Senior", 300, 1080, 8640),
            Phase(8, "Veteran", 600, 8640, 33_120),
        ),
        "original": _ORIGINAL,
        "default": _ORIGINAL,
    }
)
"""Regular phases by who seeds them: the original's successor, the original, mintwatch."""


class PhaseMove(msgspec.Struct, frozen=True):
    """Active streams of a phase that goes, and where they go; 99 ends them."""

    from_id: int
    to_id: int
    streams: int


class PhaseSwitch(msgspec.Struct, frozen=True):
    """From one table of phases to another, each by id, rows that cannot be used included."""

    before: tuple[Phase, ...]
    after: tuple[Phase, ...]
    moves: tuple[PhaseMove, ...]


def seed(conn: Connection) -> None:
    """Write the five phases of the original when the table is empty."""
    if _stored(conn):
        return
    with _changing(conn), conn.cursor() as cursor:
        if not _stored(conn):
            cursor.executemany(_INSERT, [_values(phase, clean) for phase in SEED])


def all_phases(conn: Connection) -> tuple[Phase, ...]:
    """Read every phase, by id. What a row leaves open is filled: no name, 0 minutes, no end.

    A regular phase without an interval of at least 1 s cannot be used and is left out.
    """
    return tuple(
        phase
        for phase in _stored(conn)
        if phase.id >= FINISHED_PHASE or phase.interval_seconds >= 1
    )


def get_phase(conn: Connection, phase_id: int) -> Phase | None:
    """Read one phase, usable or not; None when there is none."""
    return next((phase for phase in _stored(conn) if phase.id == phase_id), None)


def _stored(conn: Connection) -> list[Phase]:
    rows = conn.execute(
        """
        SELECT id, coalesce(name, ''), coalesce(interval_seconds, 0), coalesce(min_age_minutes, 0),
               coalesce(max_age_minutes, %s)
        FROM ref_coin_phases WHERE id IS NOT NULL ORDER BY id
        """,
        (_OPEN_END_MINUTES,),
    )
    return [Phase(*row) for row in rows.fetchall()]


def create_phase(
    conn: Connection,
    *,
    name: str,
    interval_seconds: int,
    min_age_minutes: int,
    max_age_minutes: int,
) -> Phase:
    """Add a regular phase under the first free id of 1 to 98.

    Raises:
        PhaseRefusedError: A value is out of bounds, or no id is free.
    """
    with _changing(conn):
        taken = {row[0] for row in conn.execute("SELECT id FROM ref_coin_phases").fetchall()}
        free = next((number for number in range(1, FINISHED_PHASE) if number not in taken), None)
        if free is None:
            raise PhaseRefusedError("All phase ids from 1 to 98 are taken: delete a phase first.")
        phase = _checked(Phase(free, name, interval_seconds, min_age_minutes, max_age_minutes))
        conn.execute(_INSERT, _values(phase, fitting(conn)))
        return phase


def update_phase(conn: Connection, phase_id: int, changes: dict[str, Any]) -> Phase | None:
    """Change some of name, interval_seconds, min_age_minutes, max_age_minutes; None: no such phase.

    Raises:
        PhaseRefusedError: It is phase 99 or 100, or a value is out of bounds.
    """
    _refuse_fixed(phase_id)
    with _changing(conn):
        known = get_phase(conn, phase_id)
        if known is None:
            return None
        phase = _checked(
            Phase(
                phase_id,
                changes.get("name", known.name),
                changes.get("interval_seconds", known.interval_seconds),
                changes.get("min_age_minutes", known.min_age_minutes),
                changes.get("max_age_minutes", known.max_age_minutes),
            )
        )
        _change(conn, phase)
        return phase


def delete_phase(conn: Connection, phase_id: int) -> int | None:
    """Delete a regular phase; its active streams move to the next higher regular phase, else to 99.

    Returns:
        How many streams moved; None: no such phase.

    Raises:
        PhaseRefusedError: It is phase 99 or 100, or the last regular one.
    """
    _refuse_fixed(phase_id)
    with _changing(conn):
        regular = [
            row[0]
            for row in conn.execute(
                "SELECT id FROM ref_coin_phases WHERE id < %s ORDER BY id", (FINISHED_PHASE,)
            ).fetchall()
        ]
        if phase_id not in regular:
            return None
        if len(regular) == 1:
            raise PhaseRefusedError("This is the last regular phase: create another one first.")
        conn.execute("DELETE FROM ref_coin_phases WHERE id = %s", (phase_id,))
        return _move_streams(conn, phase_id, _following(regular, phase_id))


def switch_phases(conn: Connection, preset: Preset, *, dry_run: bool = False) -> PhaseSwitch:
    """Replace the regular phases by those of a preset, all or none; 99 and 100 stay as they are.

    Active streams of a phase that goes move to the next higher one of the preset, else to 99, as
    if it were deleted.

    Args:
        conn: Of the caller.
        preset: Which.
        dry_run: Say what would change, and change nothing.

    Raises:
        PhaseRefusedError: There is no such preset.
    """
    if preset not in PRESETS:
        known = ", ".join(PRESETS)
        raise PhaseRefusedError(f"There is no preset {preset!r}: choose one of {known}.")
    if dry_run:
        with conn.transaction():
            return _planned(conn, PRESETS[preset])
    with _changing(conn):
        switch = _planned(conn, PRESETS[preset])
        _carry_out(conn, switch)
        return switch


def _planned(conn: Connection, preset: Iterable[Phase]) -> PhaseSwitch:
    before = _stored(conn)
    kept = {phase.id: phase for phase in (*_ENDS, *before) if phase.id >= FINISHED_PHASE}
    wanted = {phase.id: _checked(phase) for phase in preset}
    after = sorted([*wanted.values(), *kept.values()], key=lambda phase: phase.id)
    gone = [phase.id for phase in before if phase.id < FINISHED_PHASE and phase.id not in wanted]
    moves = (
        PhaseMove(number, _following(wanted, number), streams_in_phase(conn, number))
        for number in gone
    )
    return PhaseSwitch(tuple(before), tuple(after), tuple(move for move in moves if move.streams))


def _carry_out(conn: Connection, switch: PhaseSwitch) -> None:
    known = {phase.id for phase in switch.before}
    for phase in switch.after:
        if phase.id not in known:
            conn.execute(_INSERT, _values(phase, fitting(conn)))
        elif phase not in switch.before:
            _change(conn, phase)
    for move in switch.moves:
        _move_streams(conn, move.from_id, move.to_id)
    gone = known.difference(phase.id for phase in switch.after)
    conn.execute("DELETE FROM ref_coin_phases WHERE id = ANY(%s)", (sorted(gone),))


def _change(conn: Connection, phase: Phase) -> None:
    number, *values = _values(phase, fitting(conn))
    conn.execute(_UPDATE, (*values, number))


def _following(regular: Iterable[int], phase_id: int) -> int:
    return next((number for number in sorted(regular) if number > phase_id), FINISHED_PHASE)


def _move_streams(conn: Connection, from_id: int, to_id: int) -> int:
    return conn.execute(
        "UPDATE coin_streams SET current_phase_id = %s WHERE current_phase_id = %s AND is_active",
        (to_id, from_id),
    ).rowcount


def streams_in_phase(conn: Connection, phase_id: int) -> int:
    """Count the active streams of a phase."""
    row = conn.execute(
        "SELECT count(*) FROM coin_streams WHERE current_phase_id = %s AND is_active", (phase_id,)
    ).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def _changing(conn: Connection) -> Iterator[None]:
    """Keep other changes of phases out until the transaction ends; readers go on."""
    with conn.transaction():
        conn.execute("LOCK TABLE ref_coin_phases IN SHARE ROW EXCLUSIVE MODE")
        yield


def _refuse_fixed(phase_id: int) -> None:
    if phase_id in {FINISHED_PHASE, GRADUATED_PHASE}:
        raise PhaseRefusedError(f"Phase {phase_id} says how a stream ended and cannot be changed.")


def _checked(phase: Phase) -> Phase:
    if not phase.name.strip() or len(phase.name) > _NAME_LENGTH:
        raise PhaseRefusedError(f"name must have 1 to {_NAME_LENGTH} characters.")
    if not 1 <= phase.interval_seconds <= _INT_MAX:
        raise PhaseRefusedError("interval_seconds must be at least 1.")
    if not 0 <= phase.min_age_minutes < phase.max_age_minutes <= _INT_MAX:
        raise PhaseRefusedError("min_age_minutes must be at least 0 and below max_age_minutes.")
    return phase


def _values(phase: Phase, fit: Callable[[str, int], str]) -> tuple[Any, ...]:
    return (
        phase.id,
        fit(phase.name, _NAME_LENGTH),
        phase.interval_seconds,
        phase.min_age_minutes,
        phase.max_age_minutes,
    )
