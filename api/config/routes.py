"""The settings in force, and their changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask import request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from actors.protocol.operator import ChangeSettings, GetSettingsHistory
from actors.protocol.supervisor import ConfigReloaded as Reloaded
from actors.protocol.supervisor import ReloadConfig
from api.config.schemas import (
    ConfigChange,
    ConfigChanged,
    ConfigRefused,
    ConfigReloaded,
    ConfigResponse,
    HistoryQuery,
    HistoryResponse,
    SettingsResponse,
)
from api.config.views import config_of, differences, past_change, settings_of, unusable
from api.problems import MEDIA_TYPE, ProblemError, answers, changes
from api.schemas import DryRunQuery  # noqa: TC001 - read at run time
from api.services import services
from db import phases
from settings import secret_values

if TYPE_CHECKING:
    from flask_openapi3.types import ResponseDict

    from actors.protocol.operator import ConfigOutcome
    from api.services import Services
    from settings.store import Change

blueprint = APIBlueprint("config", __name__, abp_tags=[Tag(name="config")])

CHANGE_SECONDS: Final = 15.0
"""A new DB_DSN is tried before it is taken."""
_REFUSED: ResponseDict = {
    400: {
        "description": "Bad Request",
        "content": {MEDIA_TYPE: {"schema": ConfigRefused.model_json_schema()}},
    }
}


@blueprint.get("/config", summary="Settings in force", responses=answers(ConfigResponse, 504))
def read_config() -> dict[str, Any]:
    """Give the settings in force, secrets masked."""
    return config_of(services().settings_in_force()).model_dump()


@blueprint.get(
    "/config/settings",
    summary="Every setting in force",
    responses=answers(SettingsResponse, 504),
)
def read_settings() -> dict[str, Any]:
    """Give every setting in force, secrets masked, and how a change of it acts."""
    return settings_of(services().settings_in_force()).model_dump()


@blueprint.put(
    "/config",
    summary="Change settings",
    responses={**changes(ConfigChanged, 503, 504), **_REFUSED},
)
def change_config(body: ConfigChange, query: DryRunQuery) -> dict[str, Any]:
    """Change settings in every actor, all or none; they stay over a restart."""
    known, wanted = services(), body.model_extra or {}
    _refuse(unusable(wanted))
    command = ChangeSettings(wanted, by=request.remote_addr or "", dry_run=query.dry_run)
    with known.limits.changes.taken():
        _try_database(known, command)
        outcome: ConfigOutcome = known.ask(command, CHANGE_SECONDS)
    if outcome.settings is not None:
        known.redactor.learn(secret_values(outcome.settings))
    _refuse(tuple(known.redactor.text(error) for error in outcome.errors))
    return ConfigChanged(
        message=_message(outcome, query),
        updated_fields=sorted(wanted),
        new_config=config_of(outcome.settings),
        changed=differences(outcome.changed),
        restarts=outcome.restarts,
        dry_run=query.dry_run,
    ).model_dump()


@blueprint.get(
    "/config/history",
    summary="Who changed which setting",
    responses=answers(HistoryResponse, 504),
)
def list_history(query: HistoryQuery) -> dict[str, Any]:
    """Give changes of the settings, newest first."""
    found: tuple[Change, ...] = services().ask(GetSettingsHistory(query.limit, query.offset))
    shown = [past_change(change) for change in found]
    return HistoryResponse(
        changes=shown, count=len(shown), limit=query.limit, offset=query.offset
    ).model_dump()


@blueprint.post(
    "/reload-config",
    summary="Read streams and phases again",
    responses=changes(ConfigReloaded, 503, 504),
)
def reload_config() -> dict[str, Any]:
    """Have streams and phases read at once, and say whose candles get another length."""
    known = services()
    reloaded: Reloaded = known.ask(ReloadConfig())
    before = {phase.id: phase.interval_seconds for phase in reloaded.phases_before}
    with known.database.connection() as connection:
        changed = [
            phase.id
            for phase in phases.all_phases(connection)
            if before.get(phase.id, phase.interval_seconds) != phase.interval_seconds
        ]
        updated = sum(phases.streams_in_phase(connection, phase_id) for phase_id in changed)
    return ConfigReloaded(
        message="Streams and phases were read again.",
        config=config_of(known.settings_in_force()),
        updated_streams=updated,
    ).model_dump()


def _try_database(known: Services, command: ChangeSettings) -> None:
    """Connect to a database before it is taken: a wrong one would end in an empty service.

    Raises:
        ProblemError: it cannot be used; nothing is changed.
    """
    dsn = command.changes.get("db_dsn")
    if not isinstance(dsn, str) or not dsn.strip():
        return
    tried: ConfigOutcome = known.ask(
        ChangeSettings(command.changes, by=command.by, dry_run=True), CHANGE_SECONDS
    )
    if not tried.errors and (trouble := known.try_database(dsn)) is not None:
        _refuse((trouble,))


def _refuse(errors: tuple[str, ...]) -> None:
    if errors:
        raise ProblemError(400, " ".join(errors), errors=errors)


def _message(outcome: ConfigOutcome, query: DryRunQuery) -> str:
    if query.dry_run:
        return "Nothing was changed; this is what would be."
    if not outcome.changed:
        return "These values were in force already."
    if outcome.restarts:
        return "The settings are stored; the service drains and starts again with them."
    return "The settings are changed."
