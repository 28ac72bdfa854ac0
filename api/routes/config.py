"""The settings in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from actors.control import ConfigReloaded as Reloaded
from actors.control import ReloadConfig
from api.bodies import ConfigReloaded
from api.problems import answers, changes
from api.schemas import ConfigResponse
from api.services import services
from db import phases
from settings import mask_dsn, mask_url

if TYPE_CHECKING:
    from settings import Settings

blueprint = APIBlueprint("config", __name__, abp_tags=[Tag(name="config")])


@blueprint.get("/config", summary="Settings in force", responses=answers(ConfigResponse))
def read_config() -> dict[str, Any]:
    """Give the settings in force, secrets masked."""
    return config_of(services().settings).model_dump()


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
        config=config_of(known.settings),
        updated_streams=updated,
    ).model_dump()


def config_of(settings: Settings) -> ConfigResponse:
    """Show the settings under the names the API has for them."""
    url, dsn = settings.n8n_webhook_url, settings.db_dsn
    return ConfigResponse(
        n8n_webhook_url=None if url is None else mask_url(url.get_secret_value()),
        n8n_webhook_method=settings.n8n_webhook_method,
        db_dsn=None if dsn is None else mask_dsn(dsn.get_secret_value()),
        coin_cache_seconds=settings.coin_cache_seconds,
        db_refresh_interval=settings.db_refresh_interval,
        batch_size=settings.batch_size,
        batch_timeout=settings.batch_timeout,
        bad_names_pattern=settings.bad_names_pattern,
        spam_burst_window=settings.spam_burst_window,
        sol_reserves_full=settings.sol_reserves_full,
        whale_threshold_sol=settings.whale_threshold_sol,
        age_calculation_offset_min=settings.age_calculation_offset_min,
        trade_buffer_seconds=settings.coin_cache_seconds,
        ath_flush_interval=settings.ath_flush_interval,
    )
