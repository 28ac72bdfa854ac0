"""The phases of a coin (`ref_coin_phases`): how often a coin of a certain age is written.

Ids 1 to 98 are regular phases; 99 (finished) and 100 (graduated) say how a stream ended and cannot
be changed. The caller owns the transaction.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from actors.domain import FINISHED_PHASE, GRADUATED_PHASE, Phase
from db.encoding import fitting
from db.errors import PhaseRefusedError
from db.values import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from db.pool import Connection

_NAME_LENGTH: Final = 50
_OPEN_END_MINUTES: Final = 999_999
_INT_MAX: Final = 2**31 - 1

_INSERT: Final = """
INSERT INTO ref_coin_phases (id, name, interval_seconds, min_age_minutes, max_age_minutes)
VALUES (%s, %s, %s, %s, %s)
"""

SEED: Final = (
    Phase(1, "Baby Zone", 5, 0, 10),
    Phase(2, "Survival Zone", 30, 10, 60),
    Phase(3, "Mature Zone", 60, 60, 1440),
    Phase(FINISHED_PHASE, "Finished", 0, 1440, _OPEN_END_MINUTES),
    Phase(GRADUATED_PHASE, "Graduated", 0, 1440, _OPEN_END_MINUTES),
)


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
        conn.execute(
            """
            UPDATE ref_coin_phases
            SET name = %s, interval_seconds = %s, min_age_minutes = %s, max_age_minutes = %s
            WHERE id = %s
            """,
            (*_values(phase, fitting(conn))[1:], phase_id),
        )
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
        following = next((number for number in regular if number > phase_id), FINISHED_PHASE)
        conn.execute("DELETE FROM ref_coin_phases WHERE id = %s", (phase_id,))
        return conn.execute(
            "UPDATE coin_streams SET current_phase_id = %s"
            " WHERE current_phase_id = %s AND is_active",
            (following, phase_id),
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
