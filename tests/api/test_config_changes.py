"""PUT /config, /config/settings, /config/history: what is asked, shown and masked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from actors.protocol.operator import ChangeSettings, ConfigOutcome, GetSettings, GetSettingsHistory
from actors.protocol.supervisor import GetActors
from api import create_app
from settings import SettingsError, changed
from settings.dsn_rules import ALLOWED
from settings.store import Change
from tests.api.fakes import NOON_US, actor, settings_of
from tests.secrets.planted import DSN_FORMS, DSN_SECRETS, PLANTED, dsn_with, leaks

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from db.pool import Pool
    from settings import Settings
    from telemetry import Telemetry
    from tests.api.fakes import FakeSupervisor

EXPECTED = ", but a text, a number, true, false or null is expected: correct it."


class Keeper:
    """Judges changes as the service does, and keeps what is in force."""

    def __init__(self, supervisor: FakeSupervisor) -> None:
        self.settings: Settings = settings_of()
        supervisor.replies |= {ChangeSettings: self.change, GetSettings: lambda _: self.settings}

    def change(self, command: ChangeSettings) -> ConfigOutcome:
        try:
            new, differences = changed(self.settings, {}, command.changes)
        except SettingsError as error:
            return ConfigOutcome(error.errors, {}, self.settings)
        if not command.dry_run:
            self.settings = new
        return ConfigOutcome((), differences, new, restarts="db_dsn" in differences)


@pytest.fixture
def keeper(lonely: FlaskClient, supervisor: FakeSupervisor) -> Keeper:
    return Keeper(supervisor)


def test_settings_are_changed_and_shown(
    lonely: FlaskClient, supervisor: FakeSupervisor, keeper: Keeper
) -> None:
    answer = lonely.put("/config", json={"batch_size": 20, "spam_burst_window": 30})

    assert answer.status_code == 200
    found = answer.get_json()
    config = found.pop("new_config")
    assert found == {
        "status": "success",
        "message": "The settings are changed.",
        "updated_fields": ["batch_size", "spam_burst_window"],
        "changed": {"batch_size": {"before": 10, "after": 20}},
        "restarts": False,
        "dry_run": False,
    }
    assert config["batch_size"] == 20
    assert supervisor.asked == [
        ChangeSettings({"batch_size": 20, "spam_burst_window": 30}, by="127.0.0.1")
    ]
    assert lonely.get("/config").json == config


def test_dry_run_shows_the_difference_and_changes_nothing(
    lonely: FlaskClient, keeper: Keeper
) -> None:
    answer = lonely.put("/config?dry_run=true", json={"batch_size": 20}).json

    assert answer is not None
    assert answer["changed"] == {"batch_size": {"before": 10, "after": 20}}
    assert (answer["dry_run"], answer["new_config"]["batch_size"]) == (True, 20)
    assert answer["message"] == "Nothing was changed; this is what would be."
    assert lonely.get("/config").json["batch_size"] == 10  # type: ignore[index]


def test_change_that_needs_a_restart_says_so(lonely: FlaskClient, keeper: Keeper) -> None:
    answer = lonely.put("/config", json={"db_dsn": "postgresql://m:hunter2-word@db/coins"}).json

    assert answer is not None
    assert answer["restarts"] is True
    assert answer["message"] == (
        "The settings are stored; the service drains and starts again with them."
    )
    assert answer["new_config"]["db_dsn"] == "postgresql://m:***@db/coins"
    assert answer["changed"]["db_dsn"]["after"] == "postgresql://m:***@db/coins"


def test_every_mistake_is_told_at_once(lonely: FlaskClient, keeper: Keeper) -> None:
    answer = lonely.put(
        "/config", json={"batch_size": 0, "batch_timout": 30, "api_port": 1, "batch_timeout": 20}
    )

    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    assert answer.json is not None
    errors = sorted(answer.json["errors"])
    assert len(errors) == 3
    assert errors[0].startswith("'batch_timout' is not a setting.")
    assert "batch_timeout" in errors[0].lower().removeprefix("'batch_timout'")
    assert errors[1].startswith("API_PORT cannot be changed while the service runs")
    assert errors[2].startswith("BATCH_SIZE is 0, but a whole number from 1 to 100 is expected")
    assert all(error in answer.json["detail"] for error in errors)
    assert keeper.settings.batch_timeout == 30


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "Nothing would change: give at least one setting."),
        (
            {"bad_names_pattern": ["a"]},
            f"BAD_NAMES_PATTERN is a list{EXPECTED}",
        ),
        (
            {"batch_size": {}},
            f"BATCH_SIZE is an object{EXPECTED}",
        ),
        (
            {"bad_names_pattern": "a\0b"},
            f"BAD_NAMES_PATTERN is a text with characters that no setting has{EXPECTED}",
        ),
        (
            {"bad_names_pattern": "\ud800"},
            f"BAD_NAMES_PATTERN is a text with characters that no setting has{EXPECTED}",
        ),
        (
            {f"x{number}": 1 for number in range(101)},
            "These are 101 settings, more than there are: give those that change.",
        ),
    ],
)
def test_what_is_no_change_is_refused_unasked(
    lonely: FlaskClient,
    supervisor: FakeSupervisor,
    keeper: Keeper,
    body: dict[str, Any],
    error: str,
) -> None:
    answer = lonely.put("/config", json=body)

    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["errors"] == [error]
    assert supervisor.asked == []


@pytest.mark.parametrize("body", ["[]", "7", "null", "{", '{"batch_size": 1' + "0" * 5_000 + "}"])
def test_body_without_named_values_is_refused(
    lonely: FlaskClient, keeper: Keeper, supervisor: FakeSupervisor, body: str
) -> None:
    answer = lonely.put("/config", data=body, content_type="application/json")

    assert answer.status_code == 400
    assert supervisor.asked == []


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "1e400", "true", '"x"', '""'])
def test_number_that_is_none_is_refused(lonely: FlaskClient, keeper: Keeper, value: str) -> None:
    answer = lonely.put(
        "/config", data=f'{{"coin_cache_seconds": {value}}}', content_type="application/json"
    )

    assert answer.status_code == 400
    assert keeper.settings.coin_cache_seconds == 120


def test_new_secret_is_masked_everywhere_from_then_on(
    lonely: FlaskClient, supervisor: FakeSupervisor, keeper: Keeper
) -> None:
    url = "https://user:hunter2-word@n8n.example/webhook/coins"
    leaking = actor("n8n-writer", "n8n-writer", last_error=f"refused by {url}")
    supervisor.replies[GetActors] = (leaking,)

    changed_ = lonely.put("/config", json={"n8n_webhook_url": url})
    shown = lonely.get("/config").text + lonely.get("/config/settings").text
    seen = lonely.get("/actors").text

    assert changed_.status_code == 200
    assert "hunter2" not in changed_.text + shown + seen
    assert "refused by https://***@n8n.example/webhook/coins" in seen


@pytest.mark.parametrize("form", DSN_FORMS)
@pytest.mark.parametrize("place", DSN_SECRETS)
def test_new_dsn_is_shown_and_refused_without_its_secret(
    supervisor: FakeSupervisor,
    keeper: Keeper,
    telemetry: Telemetry,
    no_pool: Pool,
    lonely: FlaskClient,
    *,
    place: str,
    form: str,
) -> None:
    # Given a service that tries the database for itself, and one that takes it
    trying = create_app(supervisor, settings_of(), telemetry, no_pool).test_client()
    dsn = dsn_with(place, form)

    refused = trying.put("/config", json={"db_dsn": dsn})
    taken = lonely.put("/config", json={"db_dsn": dsn})
    shown = lonely.get("/config").data + lonely.get("/config/settings").data
    again = lonely.put("/config", json={"db_dsn": f"{dsn}***"})

    # Then a parameter that is allowed is shown with its place, and any other one is refused
    is_allowed = place.partition(" ")[0] in ALLOWED
    assert (refused.status_code, again.status_code) == (400, 400)
    assert taken.status_code == (200 if is_allowed else 400)
    assert (b"127.0.0.1" in refused.data) is is_allowed
    assert (b'"db_dsn":null' in shown) is not is_allowed
    assert leaks(refused.data + taken.data + shown + again.data, [PLANTED]) == []


def test_every_setting_is_shown_with_how_a_change_acts(lonely: FlaskClient, keeper: Keeper) -> None:
    answer = lonely.get("/config/settings").json

    assert answer is not None
    shown = {setting["name"]: setting for setting in answer["settings"]}
    assert answer["count"] == len(shown)
    assert shown["coin_cache_seconds"] == {
        "name": "coin_cache_seconds",
        "value": 120,
        "acts": "at once",
    }
    assert shown["db_dsn"]["acts"] == "by a restart"
    assert shown["api_port"] == {"name": "api_port", "value": 8000, "acts": "not at all"}


def test_history_is_given_newest_first(lonely: FlaskClient, supervisor: FakeSupervisor) -> None:
    supervisor.replies[GetSettingsHistory] = (
        Change(NOON_US, "127.0.0.1", {"batch_size": (10, 20), "n8n_auth_header": (None, "***")}),
    )

    answer = lonely.get("/config/history?limit=1&offset=2")

    assert answer.json == {
        "changes": [
            {
                "at": "2026-07-03T12:00:00+00:00",
                "by": "127.0.0.1",
                "changed": {
                    "batch_size": {"before": 10, "after": 20},
                    "n8n_auth_header": {"before": None, "after": "***"},
                },
            }
        ],
        "count": 1,
        "limit": 1,
        "offset": 2,
    }
    assert supervisor.asked == [GetSettingsHistory(1, 2)]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "offset=-1", "offset=x", "page=1"])
def test_history_out_of_bounds_is_refused(lonely: FlaskClient, query: str) -> None:
    assert lonely.get(f"/config/history?{query}").status_code == 400


def test_database_that_cannot_be_used_is_not_taken(
    supervisor: FakeSupervisor, keeper: Keeper, telemetry: Telemetry, no_pool: Pool
) -> None:
    app = create_app(
        supervisor, settings_of(), telemetry, no_pool, try_database=lambda _: "It is away."
    )

    answer = app.test_client().put("/config", json={"db_dsn": "postgresql://m@db/coins"})

    assert answer.status_code == 400
    assert answer.get_json()["errors"] == ["It is away."]
    assert keeper.settings.db_dsn is None
