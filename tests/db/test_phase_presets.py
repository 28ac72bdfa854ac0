"""Replacing the whole table of phases."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

import psycopg
import pytest

from actors.domain import Mint, Phase
from db import phases
from db.errors import PhaseRefusedError
from db.phases import PhaseMove
from db.pool import connect
from db.streams import active_mints, end_stream, start_stream
from tests.db.rows import NOON_US, read

if TYPE_CHECKING:
    from db.pool import Connection

SUCCESSOR = [
    (1, "Newborn", 3, 0, 2),
    (2, "Baby", 5, 2, 8),
    (3, "Toddler", 10, 8, 20),
    (4, "Teen", 30, 20, 90),
    (5, "Young", 60, 90, 240),
    (6, "Adult", 120, 240, 1080),
    (7, "Senior", 300, 1080, 8640),
    (8, "Veteran", 600, 8640, 33120),
    (99, "Finished", 0, 1440, 999999),
    (100, "Graduated", 0, 1440, 999999),
]
ORIGINAL = [
    (1, "Baby Zone", 5, 0, 10),
    (2, "Survival Zone", 30, 10, 60),
    (3, "Mature Zone", 60, 60, 1440),
    *SUCCESSOR[8:],
]


def rows(dsn: str) -> list[tuple[Any, ...]]:
    return read(dsn, "SELECT * FROM ref_coin_phases ORDER BY id")


def test_phases_of_the_successor_are_set_and_those_of_the_original_come_back(
    conn: Connection, dsn: str
) -> None:
    there = phases.switch_phases(conn, "pump-platform")
    assert rows(dsn) == SUCCESSOR
    assert [phase.id for phase in there.after] == [1, 2, 3, 4, 5, 6, 7, 8, 99, 100]
    assert (there.before, there.moves) == (phases.SEED, ())

    back = phases.switch_phases(conn, "original")
    assert rows(dsn) == ORIGINAL
    assert back.before == there.after

    again = phases.switch_phases(conn, "default")
    assert (again.before, again.after) == (phases.SEED, phases.SEED)


def test_dry_run_says_the_same_and_changes_nothing(conn: Connection, dsn: str) -> None:
    tried = phases.switch_phases(conn, "pump-platform", dry_run=True)

    assert rows(dsn) == ORIGINAL
    assert phases.switch_phases(conn, "pump-platform") == tried


def test_active_streams_of_a_phase_that_goes_move_up_or_end(conn: Connection) -> None:
    phases.switch_phases(conn, "pump-platform")
    conn.execute("INSERT INTO ref_coin_phases VALUES (0, 'Odd', 5, 0, 1)")
    for mint, phase_id in (("A", 3), ("B", 4), ("C", 4), ("D", 8), ("E", 8), ("F", 0)):
        start_stream(conn, Mint(mint), phase_id, NOON_US)
    end_stream(conn, Mint("E"), 8, graduated=False)

    switch = phases.switch_phases(conn, "original")

    assert switch.moves == (PhaseMove(0, 1, 1), PhaseMove(4, 99, 2), PhaseMove(8, 99, 1))
    assert active_mints(conn) == {"A": 3, "B": 99, "C": 99, "D": 99, "F": 1}
    assert conn.execute(
        "SELECT current_phase_id FROM coin_streams WHERE token_address = 'E'"
    ).fetchone() == (8,)


def test_final_phases_stay_as_they_are_and_missing_ones_are_added(
    conn: Connection, dsn: str
) -> None:
    conn.execute("DELETE FROM ref_coin_phases WHERE id = 100")
    conn.execute("UPDATE ref_coin_phases SET name = 'Over', max_age_minutes = NULL WHERE id = 99;")
    conn.execute("INSERT INTO ref_coin_phases VALUES (101, 'Mine', 1, 2, 3)")

    phases.switch_phases(conn, "pump-platform")

    assert rows(dsn) == [
        *SUCCESSOR[:8],
        (99, "Over", 0, 1440, None),
        (100, "Graduated", 0, 1440, 999999),
        (101, "Mine", 1, 2, 3),
    ]


def test_empty_table_and_unusable_rows_are_no_obstacle(conn: Connection, dsn: str) -> None:
    conn.execute("DELETE FROM ref_coin_phases")
    conn.execute("INSERT INTO ref_coin_phases (id) VALUES (2), (50)")

    phases.switch_phases(conn, "pump-platform")

    assert rows(dsn) == SUCCESSOR


def test_unknown_preset_is_refused(conn: Connection, dsn: str) -> None:
    with pytest.raises(PhaseRefusedError) as caught:
        phases.switch_phases(conn, cast("Any", "pump"))

    assert str(caught.value) == (
        "There is no preset 'pump': choose one of pump-platform, original, default."
    )
    assert rows(dsn) == ORIGINAL


def test_every_preset_obeys_the_rules_for_phases() -> None:
    for preset in phases.PRESETS.values():
        assert [phases._checked(phase) for phase in preset] == list(preset)
        assert all(phase.is_regular for phase in preset)
        ages = [(phase.min_age_minutes, phase.max_age_minutes) for phase in preset]
        assert [low for low, _ in ages] == [0, *(high for _, high in ages[:-1])]


def test_change_that_fails_half_way_changes_nothing(conn: Connection, dsn: str) -> None:
    conn.execute("ALTER TABLE ref_coin_phases ADD CHECK (name <> 'Senior')")

    with pytest.raises(psycopg.errors.CheckViolation):
        phases.switch_phases(conn, "pump-platform")

    assert rows(dsn) == ORIGINAL


def test_two_changes_at_once_do_not_mix(conn: Connection, dsn: str) -> None:
    done = threading.Event()

    def other() -> None:
        with connect(dsn, autocommit=True, lock_timeout_s=10) as second:
            phases.create_phase(
                second, name="New", interval_seconds=9, min_age_minutes=0, max_age_minutes=1
            )
        done.set()

    with conn.transaction():
        phases.switch_phases(conn, "pump-platform")
        thread = threading.Thread(target=other)
        thread.start()
        assert not done.wait(0.2)
    thread.join(10)

    # The new one waited, and got the first id that was free then.
    assert phases.get_phase(conn, 9) == Phase(9, "New", 9, 0, 1)
    assert len(rows(dsn)) == 11
