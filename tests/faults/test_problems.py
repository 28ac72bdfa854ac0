"""Trouble has a name while it lasts, costs nothing, and is over with its cause."""

from __future__ import annotations

import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from simulator.process import start_simulator, start_webhook
from tests.e2e.recordings import NO_FILTER
from tests.e2e.rows import query, rows
from tests.faults.world import World, eventually
from tests.support.service import COMMAND, Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def rename_away(dsn: str) -> None:
    query(dsn, "ALTER TABLE coin_metrics RENAME TO coin_metrics_elsewhere")


def rename_back(dsn: str) -> None:
    query(dsn, "ALTER TABLE coin_metrics_elsewhere RENAME TO coin_metrics")


def make_read_only(dsn: str, *, read_only: bool = True) -> None:
    """Let every session from now on write, or not, and end those that there are."""
    state = "on" if read_only else "off"
    with closing(psycopg2.connect(dsn)) as conn, conn.cursor() as cursor:
        conn.autocommit = True
        cursor.execute("SET default_transaction_read_only = off")
        cursor.execute("SELECT quote_ident(current_database())")
        (name,) = cursor.fetchone() or ("",)
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {state}")
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def make_writable(dsn: str) -> None:
    make_read_only(dsn, read_only=False)


def health(service: Service) -> dict[str, Any]:
    return service.json("/health")


def named(service: Service, kind: str) -> dict[str, Any] | None:
    """Give the first problem of a kind; None: there is none."""
    found = (each for each in health(service)["problems"] if each["kind"] == kind)
    return next(found, None)


@pytest.mark.parametrize(
    ("spoil", "mend", "words"),
    [
        (rename_away, rename_back, "does not exist"),
        (make_read_only, make_writable, "read-only"),
    ],
    ids=["table renamed", "read-only"],
)
def test_database_that_answers_and_takes_no_row_is_a_problem_and_loses_nothing(
    spoil: Callable[[str], None],
    mend: Callable[[str], None],
    words: str,
    dsn: str,
    tmp_path: Path,
) -> None:
    with World(tmp_path, dsn) as world:
        service = world.start()
        eventually(lambda: rows(dsn), what="first rows")
        # Its market begins with it, so it may have to wait for a moment without a new coin.
        eventually(lambda: service.get("/readyz").status_code == 200, what="a ready service")
        spoil(dsn)
        problem = eventually(
            lambda: health(service)["database_state"] == "refusing" and named(service, "database"),
            what="a named problem",
        )
        assert words in problem["says"]
        assert problem["do"].startswith("Look at the database's own words")
        told = health(service)
        assert (told["status"], told["db_connected"]) == ("degraded", True)
        assert service.get("/readyz").status_code == 200
        world.receive(200)
        again = named(service, "database")
        assert again is not None
        assert again["since"] == problem["since"]

        mend(dsn)
        eventually(lambda: named(service, "database") is None, 40, "the end of the problem")
        eventually(lambda: health(service)["status"] == "healthy", 40, "a healthy service")
        world.finish()
        world.check()


def test_journal_that_cannot_be_written_is_a_problem_and_so_is_what_it_lost(
    dsn: str, tmp_path: Path
) -> None:
    # A file where its folder should be: nobody can write there, root neither.
    (tmp_path / "journal").touch()

    with (
        start_simulator(["simulate", "--coins", "5"]) as market,
        Service(tmp_path, WS_URI=market.uri, DB_DSN=dsn) as service,
    ):
        eventually(lambda: len(health(service)["problems"]) == 2, what="two problems")
        told = health(service)
        dropped = service.metrics()
        done = subprocess.run(
            [str(COMMAND), "status", "--url", f"http://127.0.0.1:{service.port}"],
            env={"HOME": str(tmp_path), "PATH": ""},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    assert told["status"] == "degraded"
    assert {each["kind"] for each in told["problems"]} == {"journal"}
    said = sorted(each["says"] for each in told["problems"])
    assert said[0].startswith("Records not journalled in the last minute, which a crash would")
    assert said[1] == (
        "The journal cannot be written: what arrives is not protected against a crash."
    )
    assert dropped['mintwatch_dropped_total{reason="journal_lost"}'] > 0
    assert done.returncode == 4
    assert done.stdout.startswith("problem    journal, since ")


def test_coins_that_n8n_refuses_for_good_are_a_problem_until_somebody_lets_them_go(
    dsn: str, tmp_path: Path
) -> None:
    with (
        start_webhook() as webhook,
        start_simulator(["simulate", "--coins", "5"]) as market,
        Service(
            tmp_path,
            WS_URI=market.uri,
            DB_DSN=dsn,
            N8N_WEBHOOK_URL=webhook.url,
            BATCH_SIZE=1,
            **NO_FILTER,
        ) as service,
    ):
        # The first batch, each time it is tried.
        webhook.set_mode("status:400", times=3)
        problem = eventually(lambda: named(service, "dead_letters"), what="dead letters")
        assert "CoinDiscovered for n8n-writer" in problem["says"]
        refused = named(service, "n8n")
        assert refused is not None
        assert refused["says"].startswith("Discoveries refused by n8n for good in the last minute")
        dropped = service.metrics()
        assert dropped['mintwatch_dropped_total{reason="dead_letter"}'] == 1
        assert dropped['mintwatch_problems{kind="dead_letters"}'] == 1

        for letter in service.json("/dead-letters")["dead_letters"]:
            assert service.ask("DELETE", f"/dead-letters/{letter['id']}").status_code == 200
        assert named(service, "dead_letters") is None
