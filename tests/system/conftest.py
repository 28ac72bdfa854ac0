"""One service a module: a small market on this machine, a database of its own, rows every 5 s."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simulator.process import start_simulator
from tests.support.service import Service
from tests.system.needs import MARKET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import PostgresServer


@pytest.fixture(scope="module")
def service(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service that receives trades; stopped in order at the end."""
    database = postgres_server.make_database("migrated")
    folder = tmp_path_factory.mktemp("state")
    with (
        start_simulator(MARKET) as market,
        Service(
            folder,
            WS_URI=market.uri,
            PUMPPORTAL_API_KEY="funded",
            DB_DSN=postgres_server.dsn(database),
            ACTIVATION="trades",
            ACTIVATION_MIN_TRADES=0,
        ) as running,
    ):
        running.wait_ready()
        running.wait_received(1)
        yield running
        assert running.stop() == 0
    postgres_server.drop_database(database)
