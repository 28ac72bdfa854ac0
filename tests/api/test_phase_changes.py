"""Phases are added, changed and deleted; streams and phases are read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import Phase
from actors.protocol.supervisor import ConfigReloaded, ReloadConfig
from tests.api.test_database_routes import stream, write

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.api.fakes import FakeSupervisor

NEW = {"name": "Late Zone", "interval_seconds": 300, "min_age_minutes": 60, "max_age_minutes": 90}


def ids(client: FlaskClient) -> list[int]:
    answer = client.get("/database/phases").json
    assert answer is not None
    return [phase["id"] for phase in answer["phases"]]


def test_new_phase_gets_the_first_free_id(client: FlaskClient) -> None:
    answer = client.post("/database/phases", json=NEW)

    assert (answer.status_code, answer.json) == (
        200,
        {"status": "success", "message": "Phase 4 is added.", "phase": {"id": 4, **NEW}},
    )
    assert ids(client) == [1, 2, 3, 4, 99, 100]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 51},
        {"name": None},
        {"name": "\ud800"},
        {"interval_seconds": 0},
        {"interval_seconds": "5"},
        {"interval_seconds": True},
        {"interval_seconds": 2**31},
        {"min_age_minutes": -1},
        {"max_age_minutes": 60},
        {"max_age_minutes": 0},
    ],
)
def test_phase_out_of_bounds_is_refused(client: FlaskClient, changes: dict[str, Any]) -> None:
    answer = client.post("/database/phases", json={**NEW, **changes})

    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["detail"].endswith(".")
    assert ids(client) == [1, 2, 3, 99, 100]


def test_missing_value_is_named(client: FlaskClient) -> None:
    answer = client.post("/database/phases", json={"name": "Late Zone"})

    assert answer.status_code == 400
    assert answer.json is not None
    assert "interval_seconds: Field required" in answer.json["detail"]


def test_misspelled_value_brings_a_suggestion(client: FlaskClient) -> None:
    answer = client.put("/database/phases/1", json={"interval_second": 6})

    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["detail"] == (
        "The request does not fit (interval_second is not known here, did you mean "
        "interval_seconds?): correct it and send it again."
    )


def test_unlike_value_brings_the_list(client: FlaskClient) -> None:
    answer = client.put("/database/phases/1", json={"zzz": 6})

    assert answer.json is not None
    assert (
        "zzz is not known here, known: name, interval_seconds, min_age_minutes, max_age_minutes"
        in answer.json["detail"]
    )


@pytest.mark.parametrize(
    "body", [b"[]", b'"text"', b'"\\ud800"', b"7", b"null", b"{", b"[" * 60_000, b"\xff"]
)
def test_body_that_is_no_object_is_refused(client: FlaskClient, body: bytes) -> None:
    answer = client.post("/database/phases", data=body, content_type="application/json")

    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["detail"] == ("The body is no JSON object: see /docs for what it may hold.")


def test_body_of_another_kind_is_refused(client: FlaskClient) -> None:
    assert client.post("/database/phases", data="name=x").status_code == 400


def test_phase_changes_and_its_active_streams_are_counted(client: FlaskClient, dsn: str) -> None:
    write(dsn, stream("a", 1, "true"), stream("b", 1, "true"), stream("c", 1, "false"))
    write(dsn, stream("d", 2, "true"))

    answer = client.put("/database/phases/1", json={"interval_seconds": 10, "name": None})

    assert (answer.status_code, answer.json) == (
        200,
        {
            "status": "success",
            "message": "Phase 1 is changed.",
            "phase": {
                "id": 1,
                "name": "Baby Zone",
                "interval_seconds": 10,
                "min_age_minutes": 0,
                "max_age_minutes": 10,
            },
            "updated_streams": 2,
        },
    )


@pytest.mark.parametrize("body", [{}, {"name": None}])
def test_change_of_nothing_is_refused(client: FlaskClient, body: dict[str, Any]) -> None:
    answer = client.put("/database/phases/1", json=body)

    assert answer.status_code == 400
    assert b"Nothing would change" in answer.data


@pytest.mark.parametrize(("phase_id", "status"), [("99", 400), ("100", 400), ("98", 404)])
def test_final_and_unknown_phases_do_not_change(
    client: FlaskClient, phase_id: str, status: int
) -> None:
    changed = client.put(f"/database/phases/{phase_id}", json={"interval_seconds": 10})
    deleted = client.delete(f"/database/phases/{phase_id}")

    assert (changed.status_code, deleted.status_code) == (status, status)
    assert ids(client) == [1, 2, 3, 99, 100]


@pytest.mark.parametrize("phase_id", ["0", "-1", "one", "1.5", str(2**31), "9" * 5_000])
def test_id_that_is_none_is_refused(client: FlaskClient, phase_id: str) -> None:
    assert client.delete(f"/database/phases/{phase_id}").status_code == 400


def test_active_streams_of_a_deleted_phase_move_on(client: FlaskClient, dsn: str) -> None:
    write(dsn, stream("a", 2, "true"), stream("b", 2, "false"), stream("c", 1, "true"))

    answer = client.delete("/database/phases/2")

    assert (answer.status_code, answer.json) == (
        200,
        {
            "status": "success",
            "message": "Phase 2 is deleted.",
            "deleted_phase_id": 2,
            "affected_streams": 1,
        },
    )
    stats = client.get("/database/streams/stats").json
    assert stats is not None
    assert stats["streams_by_phase"] == {"1": 1, "2": 1, "3": 1}


def test_last_regular_phase_stays(client: FlaskClient) -> None:
    answers = [client.delete(f"/database/phases/{number}").status_code for number in (1, 2, 3)]

    assert answers == [200, 200, 400]
    assert ids(client) == [3, 99, 100]


def test_phases_cannot_be_changed_without_the_database(lonely: FlaskClient) -> None:
    assert lonely.post("/database/phases", json=NEW).status_code == 503


# POST /reload-config


def test_streams_and_phases_are_read_again(
    client: FlaskClient, supervisor: FakeSupervisor, dsn: str
) -> None:
    write(dsn, stream("a", 1, "true"), stream("b", 2, "true"), stream("c", 2, "true"))
    supervisor.replies[ReloadConfig] = ConfigReloaded(
        (Phase(1, "Baby Zone", 5, 0, 10), Phase(2, "Survival Zone", 20, 10, 60))
    )

    answer = client.post("/reload-config")

    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["status"] == "success"
    assert answer.json["message"] == "Streams and phases were read again."
    assert answer.json["config"] == client.get("/config").json
    # Phase 2 has 30 s in the table and had 20 s before.
    assert answer.json["updated_streams"] == 2


def test_reading_again_without_the_database_says_so(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.replies[ReloadConfig] = ConfigReloaded(())

    assert lonely.post("/reload-config").status_code == 503
