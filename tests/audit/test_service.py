"""The audit of a real service's rows: beside it, behind it, and when something has gone wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from db.migrate import migrate
from tests.audit.asking import Answer, ask, run_audit
from tests.e2e.rows import query, rows
from tests.faults.world import World, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.postgres import PostgresServer


def checked_some(state_dir: Path, dsn: str) -> Answer | None:
    answer = ask(state_dir, dsn)
    assert answer.wrong() == {}
    return answer if answer.found["ok"] else None


def test_clean_run_agrees(dsn: str, tmp_path: Path) -> None:
    with World(tmp_path, dsn) as world:
        world.start()
        world.receive(1_500)
        world.finish()

        answer = ask(world.state_dir, dsn)

        assert answer.wrong() == {}
        assert answer.exit_code == 0
        assert answer.found["pending"] == 0
        assert '"drained"' in facts(world.state_dir)[-1]
        assert answer.found["checked"] + answer.found["unchecked"] == len(rows(dsn)) > 50


def test_running_service_is_checked_beside_it(dsn: str, tmp_path: Path) -> None:
    with World(tmp_path, dsn) as world:
        world.start()
        world.receive(300)

        answers = [eventually(lambda: checked_some(world.state_dir, dsn), 60) for _ in range(5)]

        assert {answer.exit_code for answer in answers} == {0}
        world.finish()


def test_coins_activated_from_outside_agree(dsn: str, tmp_path: Path) -> None:
    """The trades of the coin cache count from the create on."""
    with World(tmp_path, dsn, ACTIVATION="external") as world:
        world.start()
        world.receive(300)
        for mint in {line.frame["mint"] for line in world.journal() if "name" in line.frame}:
            query(
                dsn,
                "INSERT INTO coin_streams (token_address, current_phase_id, started_at)"
                " VALUES (%s, 1, now())",
                (mint,),
            )
        world.receive(600)
        world.finish()

        answer = ask(world.state_dir, dsn)
        cached = [fact for fact in facts(world.state_dir) if '"handed_over"' in fact]
        in_rows = sum(row.figures.num_buys + row.figures.num_sells for row in rows(dsn))
        query(dsn, "DELETE FROM coin_metrics")
        bare = ask(world.state_dir, dsn)

        assert answer.wrong() == {}
        assert answer.found["ok"] > 10
        assert len(cached) > 3
        # Nothing of what was in rows goes unnoticed when all of them are gone.
        assert bare.wrong().keys() == {"missing"}
        assert sum(found["trades"] for found in bare.found["missing"]) == in_rows


def facts(state_dir: Path) -> list[str]:
    return [
        line
        for path in sorted((state_dir / "journal").glob("*.jsonl"))
        for line in path.read_text().splitlines()
        if line.startswith('{"fact"')
    ]


def test_kills_and_restarts_agree(dsn: str, tmp_path: Path) -> None:
    with World(tmp_path, dsn) as world:
        for _ in range(3):
            world.start()
            world.receive(500)
            world.kill()
        world.start()
        world.receive(300)
        world.finish()

        answer = ask(world.state_dir, dsn)

        assert (answer.exit_code, answer.wrong()) == (0, {})
        assert answer.found["pending"] == 0


def test_trades_of_a_killed_service_are_pending_until_it_runs_again(
    dsn: str, tmp_path: Path
) -> None:
    with World(tmp_path, dsn) as world:
        world.start()
        world.receive(500)
        world.kill()

        answer = ask(world.state_dir, dsn)

        assert answer.wrong() == {}
        assert answer.found["pending"] > 0
        assert not any('"drained"' in fact for fact in facts(world.state_dir))


def test_stop_in_order_and_start_agree(dsn: str, tmp_path: Path) -> None:
    with World(tmp_path, dsn) as world:
        for _ in range(2):
            world.start()
            world.receive(400)
            world.stop()
        world.start()
        world.receive(300)
        world.finish()

        answer = ask(world.state_dir, dsn)

        assert (answer.exit_code, answer.wrong()) == (0, {})


def test_rows_of_another_journal_are_unchecked(dsn: str, tmp_path: Path) -> None:
    """Between two runs another STATE_DIR was used, on the same database."""
    other = tmp_path / "other"
    with World(tmp_path, dsn) as world:
        for settings in ({}, {"STATE_DIR": other}, {}):
            world.start(**settings)
            world.receive(400)
            world.stop()

        answers = [ask(state_dir, dsn) for state_dir in (world.state_dir, other)]

        assert [(answer.exit_code, answer.wrong()) for answer in answers] == [(0, {}), (0, {})]
        assert all(answer.found["unchecked"] > 10 for answer in answers)
        assert all(answer.found["ok"] > 10 for answer in answers)


def test_rows_wait_while_the_database_is_away(own_postgres: PostgresServer, tmp_path: Path) -> None:
    dsn = own_postgres.dsn("mintwatch")
    migrate(dsn)
    with World(tmp_path, dsn) as world:
        world.start()
        eventually(lambda: rows(dsn), what="first rows")
        own_postgres.stop()
        world.receive(800)

        away = ask(world.state_dir, dsn)

        assert away.exit_code == 3
        assert away.wrong() == {}
        assert away.found["pending"] > 0
        assert any("does not answer" in remark for remark in away.found["remarks"])
        # What is on disk is pending beside a database that is back, too.
        world.stop()
        own_postgres.start()
        back = ask(world.state_dir, dsn)
        assert back.wrong() == {}
        assert spooled(world.state_dir) > 0
        assert back.found["pending"] > 0
        world.start()
        world.finish()
        last = ask(world.state_dir, dsn)
        assert (last.exit_code, last.wrong()) == (0, {})
        assert last.found["pending"] == 0


def spooled(state_dir: Path) -> int:
    with closing(sqlite3.connect(state_dir / "spool.sqlite")) as db:
        found: tuple[int] = db.execute("SELECT count(*) FROM entries").fetchone()
        return found[0]


@pytest.mark.parametrize(
    ("settings", "says"),
    [({}, "no journal"), ({"FEED": "replay:tests/recordings/session.jsonl.gz"}, "recording")],
)
def test_nothing_to_check_is_exit_code_3(
    settings: dict[str, Any], says: str, dsn: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "FEED" in settings:
        recording = request.config.rootpath / "tests/recordings/session.jsonl.gz"
        settings = {"FEED": f"replay:{recording}"}

    done = run_audit(tmp_path, dsn, **settings)

    assert done.returncode == 3
    assert says in done.stdout + done.stderr


@pytest.mark.parametrize(
    "args", [("--since", "soon"), ("--since", "10m", "--until", "20m"), ("--mint",)]
)
def test_wrong_use_is_exit_code_2(args: tuple[str, ...], dsn: str, tmp_path: Path) -> None:
    assert run_audit(tmp_path, dsn, *args).returncode == 2
