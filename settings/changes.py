"""From the settings in force to the next ones. Pure, but for what FEED and STATE_DIR never do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydantic

from settings.changeable import wanted_changes
from settings.conflicts import conflicts, doubts
from settings.destinations import refused_changes
from settings.dsn_rules import refused_dsn
from settings.errors import SettingsError, mistake
from settings.masking import Shown, shown
from settings.model import Settings
from settings.reading import CHANGES, ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Mapping

Differences = dict[str, tuple[Shown, Shown]]
"""What a change does: attribute, before and after; secrets masked."""


def changed(
    settings: Settings, environ_base: Mapping[str, str], changes: Mapping[str, Any]
) -> tuple[Settings, Differences]:
    """Give the settings after a change, and what differs then.

    Args:
        settings: Those in force.
        environ_base: What holds without any change, as `environment` gives it.
        changes: New values by attribute, as a JSON body has them. None gives a setting back to the
            environment or its default; a blank text means none, where none is possible.

    Raises:
        SettingsError: With every mistake found; nothing is changed then.
    """
    wanted, errors = wanted_changes(changes)
    given = _given(wanted, changes, environ_base)
    checked, refused, sentences = _validated(settings, given)
    errors += sentences
    good = [name for name in wanted if name not in refused]
    back = [name for name in good if changes[name] is None]
    new = settings.with_values(
        {name: getattr(checked, name) for name in good},
        given_back=[name for name in back if name not in given],
    )
    errors += conflicts(new, refused)
    new = new.with_sources(_sources(settings, good, back, environ_base))
    now = [name for name in good if changes[name] is not None]
    earlier = {name for name, source in new.sources.items() if source == CHANGES}.difference(now)
    errors += refused_changes(settings, new, environ_base, changes, earlier)
    if "db_dsn" in now and (refusal := refused_dsn(new.db_dsn)):
        errors.append(refusal)
    if errors:
        raise SettingsError(errors)
    new = new.with_warnings(doubts(new))
    return new, _differences(settings, new, good)


def merged(overrides: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Give the overrides to keep after a change: None takes one away."""
    return {name: value for name, value in {**overrides, **changes}.items() if value is not None}


def _given(
    wanted: Mapping[str, Any], changes: Mapping[str, Any], environ_base: Mapping[str, str]
) -> dict[str, Any]:
    """List the values to validate; a setting given back that nobody set has none."""
    given: dict[str, Any] = {}
    for name, value in wanted.items():
        if changes[name] is not None:
            given[name] = value
        elif name.upper() in environ_base:
            given[name] = environ_base[name.upper()]
    return given


def _validated(
    settings: Settings, given: Mapping[str, Any]
) -> tuple[Settings, frozenset[str], list[str]]:
    """Validate values alone; those refused are named, and hold their defaults."""
    try:
        return Settings(**given), frozenset(), []
    except pydantic.ValidationError as error:
        mistakes = {str(e["loc"][0]): e for e in error.errors(include_url=False)}
    sentences = [
        mistake(name, found, given[name], Settings.model_fields, _remedy(settings, name))
        for name, found in mistakes.items()
    ]
    good = {name: value for name, value in given.items() if name not in mistakes}
    return Settings(**good), frozenset(mistakes), sentences


def _remedy(settings: Settings, name: str) -> str:
    now = shown(name.upper(), getattr(settings, name))
    return f"correct it, or leave it out to keep {'none' if now is None else now}"


def _sources(
    settings: Settings, names: list[str], back: list[str], environ_base: Mapping[str, str]
) -> dict[str, str]:
    sources = {**settings.sources, **dict.fromkeys(names, CHANGES)}
    for name in back:
        if name.upper() in environ_base:
            sources[name] = ENVIRONMENT
        else:
            del sources[name]
    return sources


def _differences(before: Settings, after: Settings, names: list[str]) -> Differences:
    return {
        name: (
            shown(name.upper(), getattr(before, name)),
            shown(name.upper(), getattr(after, name)),
        )
        for name in names
        if getattr(before, name) != getattr(after, name)
    }
