"""`PUT /database/phases` and `mintwatch phases preset`, over a real PostgreSQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from api import ApiServer
from cli.main import main
from cli.phases import preset as preset_command
from db.phases import PRESETS
from tests.api.test_database_routes import stream, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from flask.testing import FlaskClient

    from db.pool import Pool

LIMIT_S = 20.0
NEWBORN = {
    "id": 1, "name": "Newborn", "interval_seconds": 3, "min_age_minutes": 0, "max_age_minutes": 2,
}  # fmt: skip
BABY_ZONE = {
    "id": 1, "name": "Baby Zone", "interval_seconds": 5, "min_age_minutes": 0,
    "max_age_minutes": 10,
}  # fmt: skip


def names(client: FlaskClient) -> list[str]:
    answer = client.get("/database/phases").json
    assert answer is not None
    return [phase["name"] for phase in answer["phases"]]


def switched(client: FlaskClient, preset: Any, query: str = "") -> Any:
    answer = client.put(f"/database/phases{query}", json={"preset": preset})
    assert answer.status_code == 200
    return answer.json


# The route.


def test_phases_are_switched_and_what_differs_is_shown(client: FlaskClient) -> None:
    answer = switched(client, "pump-platform")

    assert (answer["status"], answer["dry_run"], answer["count"]) == ("success", False, 10)
    assert answer["message"] == (
        "The phases are those of pump-platform; trackers follow at the end of their windows."
    )
    assert answer["changed"][0] == {"id": 1, "before": BABY_ZONE, "after": NEWBORN}
    assert [each["id"] for each in answer["changed"]] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert answer["changed"][7]["before"] is None
    assert names(client)[:2] == ["Newborn", "Baby"]


def test_dry_run_changes_nothing(client: FlaskClient) -> None:
    answer = switched(client, "pump-platform", "?dry_run=true")

    assert (answer["dry_run"], answer["phases"][0]) == (True, NEWBORN)
    assert answer["message"] == "Nothing was changed; this is what would be."
    assert names(client)[0] == "Baby Zone"


def test_preset_that_is_there_already_changes_nothing(client: FlaskClient) -> None:
    answer = switched(client, "default")

    assert (answer["message"], answer["changed"]) == (
        "The phases are those of default already.",
        [],
    )


def test_streams_that_move_are_counted(client: FlaskClient, dsn: str) -> None:
    switched(client, "pump-platform")
    write(dsn, stream("a", 4, "true"), stream("b", 4, "true"), stream("c", 2, "true"))

    answer = switched(client, "original")

    assert answer["moved_streams"] == [{"from_phase_id": 4, "to_phase_id": 99, "streams": 2}]


@pytest.mark.parametrize("body", [{}, {"preset": "pump"}, {"preset": None}, {"presets": "default"}])
def test_anything_but_a_preset_is_refused(client: FlaskClient, body: dict[str, Any]) -> None:
    answer = client.put("/database/phases", json=body)

    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["detail"].count(".") == 1
    assert names(client)[0] == "Baby Zone"


def test_phases_cannot_be_switched_without_the_database(lonely: FlaskClient) -> None:
    assert lonely.put("/database/phases", json={"preset": "default"}).status_code == 503


# The command.


@pytest.fixture
def run(
    app_of: Callable[..., Flask],
    pool: Pool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Result]]:
    """Run `mintwatch phases` against a server with a database."""
    server = ApiServer(app_of(pool), "127.0.0.1", 0)
    server.start()
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    monkeypatch.setenv("API_PORT", str(server.port))
    yield lambda *words: CliRunner().invoke(main, ["phases", *words])
    assert server.stop(LIMIT_S)


def test_command_shows_what_would_change_and_asks_for_yes(
    run: Callable[..., Result], client: FlaskClient, dsn: str
) -> None:
    write(dsn, "INSERT INTO ref_coin_phases VALUES (9, 'Mine \x1b[31m', 60, 1440, 2000)")
    write(dsn, stream("a", 9, "true"), stream("b", 9, "true"))

    result = run("preset", "pump-platform")

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [" ".join(line.split()) for line in (*lines[:2], *lines[8:])] == [
        "ID NOW THEN",
        "1 Baby Zone: every 5 s, 0 to 10 min Newborn: every 3 s, 0 to 2 min",
        "8 - Veteran: every 600 s, 8640 to 33120 min",
        "9 Mine [31m: every 60 s, 1440 to 2000 min -",
        "Active streams of phase 9 that move to phase 99, which ends them: 2.",
        "Nothing was changed; this is what would be.",
        "Add --yes to do it.",
    ]
    assert names(client)[0] == "Baby Zone"


def test_command_does_it_with_yes_and_once(run: Callable[..., Result], client: FlaskClient) -> None:
    result = run("preset", "pump-platform", "--yes")

    lines = result.stdout.splitlines()
    assert (result.exit_code, lines[0].split()) == (0, ["ID", "BEFORE", "THEN"])
    assert lines[-1] == (
        "The phases are those of pump-platform; trackers follow at the end of their windows."
    )
    assert names(client)[0] == "Newborn"
    assert run("preset", "pump-platform").stdout == (
        "The phases are those of pump-platform already.\n"
    )
    answer = json.loads(run("preset", "default", "--json").stdout)
    assert (answer["dry_run"], answer["changed"][0]["after"]) == (True, BABY_ZONE)


def test_command_is_refused_with_a_sentence(run: Callable[..., Result]) -> None:
    result = run("preset", "pump", "--yes")

    assert result.exit_code == 3
    assert result.stderr == (
        "Error: The request does not fit (preset: Input should be 'pump-platform', 'original' or "
        "'default'): correct it and send it again.\n"
    )


def test_help_names_every_preset() -> None:
    assert "NAME: pump-platform, original or default." in (preset_command.help or "")
    assert list(PRESETS) == ["pump-platform", "original", "default"]
