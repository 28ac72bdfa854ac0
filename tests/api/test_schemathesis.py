"""Every path of the OpenAPI document with made-up requests, against the running service.

Whatever is asked, nothing fails, and each answer is one that the document describes.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.result import Ok

from simulator.process import start_simulator
from tests.support.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = 12


def no_failure_of_ours(_context: object, response: Any, _case: object) -> None:
    """Answers of 503 and 504 are fine where the document has them: a machine may be busy."""
    assert response.status_code not in {500, 502}, response.text


CHECKS = [
    no_failure_of_ours,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

TRIED_OUT = {
    "PUT /config",
    "PATCH /actors/dispatcher",
    "PATCH /actors/postgres-writer",
    "PATCH /actors/trackers",
    "PATCH /actors/{name}",
}
"""What would move writers about, or have the service start again, with every request."""


@pytest.fixture
def service(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("state")
    market = ["simulate", "--seed", "4", "--trades-per-second", "50", "--coins", "10"]
    with (
        start_simulator(market) as running,
        Service(
            folder,
            WS_URI=running.uri,
            PUMPPORTAL_API_KEY="funded",
            DB_DSN=dsn,
            ACTIVATION="trades",
            ACTIVATION_MIN_TRADES=0,
        ) as started,
    ):
        started.wait_ready()
        yield started


def test_every_answer_is_one_that_the_document_describes(service: Service) -> None:
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")
    found = list(schema.get_all_operations())
    operations = [result.ok() for result in found if isinstance(result, Ok)]
    assert len(operations) == len(found), "an operation of the document cannot be read"

    asked = {f"{operation.method.upper()} {operation.path}" for operation in operations}
    for operation in operations:
        _requests(operation, GenerationMode.POSITIVE)()
        # Where nothing can be said, nothing can be said wrong.
        with suppress(Unsatisfiable):
            _requests(operation, GenerationMode.NEGATIVE)()

    assert "POST /trackers/{mint}/restart" in asked
    assert len(asked) == 50
    assert service.json("/ledger")["balanced"]
    assert service.json("/health")["broken_actors"] == []
    assert service.stop() == 0


def _requests(operation: Any, mode: GenerationMode) -> Callable[[], None]:
    """Make a few requests to one path, the same ones each time."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        if f"{operation.method.upper()} {operation.path}" in TRIED_OUT:
            case.query = {**(case.query or {}), "dry_run": "true"}
        case.call_and_validate(checks=CHECKS, timeout=10.0)

    run: Callable[[], None] = ask
    return run
