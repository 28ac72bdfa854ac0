"""PATCH /actors/...: threads, writers, trackers, mailboxes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from actors.protocol.operator import (
    Resized,
    ResizeDispatcher,
    ResizeMailbox,
    ResizeTrackers,
    ResizeWriters,
)

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from tests.api.fakes import FakeSupervisor

LIMIT_S = 20.0
DONE = Resized(
    found=True,
    before={"threads": 1},
    after={"threads": 2},
    effects=("One more thread takes turns of trackers.",),
)
GROUPS: list[tuple[str, dict[str, Any], Any]] = [
    ("dispatcher", {"threads": 2}, ResizeDispatcher(2)),
    ("postgres-writer", {"instances": 4}, ResizeWriters(4)),
    (
        "postgres-writer",
        {"batch_size": 500, "batch_timeout_ms": 100},
        ResizeWriters(None, 500, 100),
    ),
    ("trackers", {"max_trackers": 100}, ResizeTrackers(100)),
    ("postgres-writer:0", {"mailbox_capacity": 64}, ResizeMailbox("postgres-writer:0", 64)),
    ("tracker:a%2Fb", {"mailbox_capacity": 1_000_000}, ResizeMailbox("tracker:a/b", 1_000_000)),
]


@pytest.mark.parametrize(("name", "body", "command"), GROUPS)
def test_size_is_changed_by_one_question(
    lonely: FlaskClient, supervisor: FakeSupervisor, name: str, body: dict[str, Any], command: Any
) -> None:
    supervisor.replies[type(command)] = DONE

    answer = lonely.patch(f"/actors/{name}", json=body)

    assert (answer.status_code, answer.json) == (
        200,
        {
            "before": {"threads": 1},
            "after": {"threads": 2},
            "effects": ["One more thread takes turns of trackers."],
            "dry_run": False,
        },
    )
    assert supervisor.asked == [command]


@pytest.mark.parametrize(("name", "body", "command"), GROUPS)
def test_dry_run_asks_what_would_happen(
    lonely: FlaskClient, supervisor: FakeSupervisor, name: str, body: dict[str, Any], command: Any
) -> None:
    supervisor.replies[type(command)] = DONE

    answer = lonely.patch(f"/actors/{name}?dry_run=true", json=body)

    assert answer.json is not None
    assert answer.json["dry_run"] is True
    assert [question.dry_run for question in supervisor.asked] == [True]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("dispatcher", {}),
        ("dispatcher", {"threads": 0}),
        ("dispatcher", {"threads": 65}),
        ("dispatcher", {"threads": "2"}),
        ("dispatcher", {"threads": True}),
        ("dispatcher", {"threads": 1.5}),
        ("dispatcher", {"mailbox_capacity": 64}),
        ("postgres-writer", {}),
        ("postgres-writer", {"instances": None}),
        ("postgres-writer", {"instances": 0}),
        ("postgres-writer", {"instances": 17}),
        ("postgres-writer", {"batch_size": 0}),
        ("postgres-writer", {"batch_size": 50_001}),
        ("postgres-writer", {"batch_timeout_ms": 0}),
        ("postgres-writer", {"batch_timeout_ms": 60_001}),
        ("postgres-writer", {"instances": 2, "threads": 2}),
        ("trackers", {"max_trackers": 0}),
        ("trackers", {"max_trackers": 10**400}),
        ("discovery", {"mailbox_capacity": 63}),
        ("discovery", {"mailbox_capacity": 1_000_001}),
        ("discovery", {"threads": 2}),
        ("discovery", None),
    ],
)
def test_size_out_of_bounds_is_refused(
    lonely: FlaskClient, supervisor: FakeSupervisor, name: str, body: Any
) -> None:
    assert lonely.patch(f"/actors/{name}", json=body).status_code == 400
    assert supervisor.asked == []


@pytest.mark.parametrize(
    ("reply", "status", "detail"),
    [
        (Resized(found=False), 404, "No actor has this name: see /actors for those there are."),
        (Resized(found=True, refusal="It is draining."), 409, "It is draining."),
    ],
)
def test_size_that_cannot_be_changed_says_why(
    lonely: FlaskClient, supervisor: FakeSupervisor, reply: Resized, status: int, detail: str
) -> None:
    supervisor.replies[ResizeMailbox] = reply

    answer = lonely.patch("/actors/nobody", json={"mailbox_capacity": 64})

    assert answer.status_code == status
    assert answer.json is not None
    assert answer.json["detail"] == detail


def test_second_change_at_once_is_sent_away(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    app: Flask = lonely.application
    began, go_on = threading.Event(), threading.Event()
    answers: list[int] = []

    def slowly(_: ResizeWriters) -> Resized:
        began.set()
        assert go_on.wait(LIMIT_S)
        return DONE

    supervisor.replies |= {ResizeWriters: slowly, ResizeDispatcher: DONE}

    def first() -> None:
        found = app.test_client().patch("/actors/postgres-writer", json={"instances": 2})
        answers.append(found.status_code)

    caller = threading.Thread(target=first)
    caller.start()
    assert began.wait(LIMIT_S)

    meanwhile = lonely.patch("/actors/dispatcher", json={"threads": 2})
    go_on.set()
    caller.join(LIMIT_S)
    later = lonely.patch("/actors/dispatcher", json={"threads": 2})

    assert (meanwhile.status_code, meanwhile.headers["Retry-After"]) == (503, "5")
    assert answers == [200]
    assert later.status_code == 200


def test_groups_are_no_actors(lonely: FlaskClient) -> None:
    answers = [lonely.get(f"/actors/{name}").status_code for name in ("dispatcher", "trackers")]

    assert answers == [404, 404]
