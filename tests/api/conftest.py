"""The application over a fake supervisor and a real PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.protocol.operator import GetSettings
from api import create_app
from db import create_pool
from telemetry import Telemetry
from tests.api.fakes import FakeSupervisor, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from flask.testing import FlaskClient

    from db.pool import Pool


@pytest.fixture
def supervisor() -> FakeSupervisor:
    return FakeSupervisor()


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def pool(dsn: str) -> Iterator[Pool]:
    """Connections to a migrated database of this test alone."""
    with create_pool(dsn, max_size=2, statement_timeout_s=5.0) as opened:
        opened.wait(timeout=20.0)
        yield opened


@pytest.fixture
def no_pool() -> Iterator[Pool]:
    """A pool of a database that refuses: nobody listens on the port of echo."""
    with create_pool("postgresql://mint:hunter2@127.0.0.1:7/coins", min_size=1) as opened:
        yield opened


@pytest.fixture
def app_of(supervisor: FakeSupervisor, telemetry: Telemetry) -> Callable[..., Flask]:
    """Make an application over a pool, configured by an environment."""

    def make(pool: Pool, **environ: str) -> Flask:
        settings = settings_of(**environ)
        supervisor.replies[GetSettings] = settings
        return create_app(supervisor, settings, telemetry, pool, try_database=lambda _: None)

    return make


@pytest.fixture
def client(app_of: Callable[..., Flask], pool: Pool) -> FlaskClient:
    """The application with its database."""
    return app_of(pool).test_client()


@pytest.fixture
def lonely(app_of: Callable[..., Flask], no_pool: Pool) -> FlaskClient:
    """The application without its database."""
    return app_of(no_pool).test_client()
