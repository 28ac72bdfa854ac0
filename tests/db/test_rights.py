"""A role with few rights works with them, or is told which are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from db import rights
from db.errors import RightsMissingError
from db.rights import check_rights
from simulator.process import start_simulator
from tests.db.test_migrate import run
from tests.e2e.recordings import NO_FILTER
from tests.e2e.rows import rows
from tests.support.service import Service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The owner has run `mintwatch migrate`; the service connects as a role with no more than this.
ROLE = "CREATE ROLE coin_writer LOGIN; GRANT USAGE ON SCHEMA public TO coin_writer;"
TABLES = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO coin_writer;"


@pytest.fixture
def writer(dsn: str) -> Iterator[str]:
    """The migrated database, as a role without any right."""
    run(dsn, ROLE)
    yield dsn.replace("//mintwatch@", "//coin_writer@")
    run(dsn, "DROP OWNED BY coin_writer CASCADE; DROP ROLE coin_writer")


def test_tables_are_enough_for_streams_of_others(dsn: str, writer: str) -> None:
    run(dsn, TABLES)

    check_rights(writer, starts_streams=False, stores_trades=True)


def test_streams_of_ours_need_their_sequence(dsn: str, writer: str) -> None:
    run(dsn, TABLES)
    grant = "GRANT USAGE ON SEQUENCE public.coin_streams_id_seq TO coin_writer"

    with pytest.raises(RightsMissingError, match=grant):
        check_rights(writer, starts_streams=True, stores_trades=True)

    run(dsn, grant)
    check_rights(writer, starts_streams=True, stores_trades=True)


def test_every_right_that_is_missing_is_named_with_its_grant(dsn: str, writer: str) -> None:
    with pytest.raises(RightsMissingError) as refused:
        check_rights(writer, starts_streams=True, stores_trades=True)

    said = str(refused.value)
    for table, needed in rights.ALWAYS.items():
        assert f"GRANT {', '.join(needed)}" in said
        assert f" ON {table} TO coin_writer" in said
    # What it tells to run is all that has to be run.
    grants = said.partition(" run ")[2].rpartition("; then")[0]
    run(dsn, grants)
    check_rights(writer, starts_streams=True, stores_trades=True)


def test_temporary_tables_may_have_been_taken_away(dsn: str, writer: str) -> None:
    name = dsn.rpartition("?")[0].rpartition("/")[2]
    run(dsn, TABLES + f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")

    with pytest.raises(RightsMissingError, match=f"GRANT TEMPORARY ON DATABASE {name} TO"):
        check_rights(writer, starts_streams=False, stores_trades=False)


@pytest.mark.parametrize("activation", ["external", "trades"])
def test_service_without_a_right_ends_with_the_sentence(
    activation: str, writer: str, tmp_path: Path
) -> None:
    with (
        start_simulator(["simulate", "--hold"]) as market,
        Service(tmp_path, WS_URI=market.uri, DB_DSN=writer, ACTIVATION=activation) as service,
    ):
        assert service.process.wait(30) == 78

    assert "GRANT SELECT, INSERT, DELETE ON coin_metrics TO coin_writer" in service.log
    assert "Traceback" not in service.log


def test_service_with_these_rights_writes_its_rows(dsn: str, writer: str, tmp_path: Path) -> None:
    run(dsn, TABLES + "GRANT USAGE ON SEQUENCE coin_streams_id_seq TO coin_writer")
    with (
        start_simulator(["simulate", "--coins", "5", "--trades-per-second", "50"]) as market,
        Service(
            tmp_path,
            WS_URI=market.uri,
            DB_DSN=writer,
            PUMPPORTAL_API_KEY="funded",
            ACTIVATION="trades",
            STORE_TRADES=True,
            **NO_FILTER,
        ) as service,
    ):
        wait_until(lambda: len(rows(dsn)) > 3, 40, "rows")
        assert service.json("/health")["problems"] == []
        assert service.stop() == 0
