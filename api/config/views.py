"""Changes of the settings: what is sent, what is shown. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from api.config.schemas import ConfigResponse, Difference, PastChange, Setting, SettingsResponse
from api.health.views import iso
from settings import LIVE, RESTARTS, describe, mask_dsn, mask_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.protocol.operator import Shown
    from settings import Settings
    from settings.store import Change

MAX_CHANGES: Final = 100
"""More than there are settings; each unknown name costs a search for what was meant."""
_NAME_SHOWN: Final = 64


def unusable(changes: Mapping[str, Any]) -> tuple[str, ...]:
    """Say what cannot be a setting at all, whatever it is called; one sentence each."""
    if not changes:
        return ("Nothing would change: give at least one setting.",)
    if len(changes) > MAX_CHANGES:
        return (f"These are {len(changes)} settings, more than there are: give those that change.",)
    return tuple(
        f"{name.upper()[:_NAME_SHOWN]} is {found}, but a text, a number, true, false or null is "
        "expected: correct it."
        for name, value in changes.items()
        if (found := _no_value(value)) is not None
    )


def config_of(settings: Settings) -> ConfigResponse:
    """Show the settings under the names the original has for them."""
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


def settings_of(settings: Settings) -> SettingsResponse:
    """Show every setting, masked where it is secret."""
    shown = [
        Setting(name=name.lower(), value=value, acts=_acts(name.lower()))
        for name, value in describe(settings).items()
    ]
    return SettingsResponse(settings=shown, count=len(shown))


def differences(changed: Mapping[str, tuple[Shown, Shown]]) -> dict[str, Difference]:
    """Show what changes, by the names that are sent."""
    return {
        name.lower(): Difference(before=before, after=after)
        for name, (before, after) in changed.items()
    }


def past_change(change: Change) -> PastChange:
    """Show a change of the past."""
    return PastChange(at=iso(change.at_us), by=change.by, changed=differences(change.changed))


def _acts(name: str) -> Literal["at once", "by a restart", "not at all"]:
    if name in LIVE:
        return "at once"
    return "by a restart" if name in RESTARTS else "not at all"


def _no_value(value: Any) -> str | None:
    """Name what no setting is, without showing it; None: it may be one."""
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case str() if "\0" in value or not _encodable(value):
            return "a text with characters that no setting has"
        case _:
            return None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
