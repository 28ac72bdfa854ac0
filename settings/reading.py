"""From texts to `Settings`: the environment, the `.env` file, and what was changed at run time."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import pydantic
from dotenv.parser import parse_stream

from settings.changeable import wanted_changes
from settings.conflicts import conflicts, doubts
from settings.destinations import stray_secrets
from settings.errors import SettingsError, default_of, mistake
from settings.model import NAMES, Settings, suggest
from settings.other_names import ALIASES, RETIRED, SUCCESSOR
from settings.private_files import refusal_of_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENVIRONMENT: Final = "the environment"
CHANGES: Final = "settings.json"

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(slots=True)
class _Findings:
    """What was read so far, by attribute: values as they were given and where; and what is said."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    """Attributes whose values were changed while the service ran."""
    other_names: dict[str, tuple[str, str]] = field(default_factory=dict)
    """What stands under a name that is not ours: by that name, the value and where."""
    read_from: dict[str, str] = field(default_factory=dict)
    """Attributes whose values stand under another name: that name, and where."""


def load(
    environ: Mapping[str, str],
    env_file: Path | None = None,
    overrides: Mapping[str, Any] = _NOTHING,
) -> Settings:
    """Read the settings: overrides win over the environment, which wins over the `.env` file.

    A blank value counts as not set, except for BAD_NAMES_PATTERN, where it is refused. Names of
    pump-platform are read where ours is not set, with a warning. A file that does not exist has no
    settings. No `${...}` is expanded in the file. Reads the disk for the
    file, for FEED and for STATE_DIR; writes nothing.

    Args:
        environ: The environment.
        env_file: The `.env` file, which need not exist.
        overrides: What was changed while the service ran, by attribute, as `SettingsStore` keeps
            it. A blank text means none, where none is possible.

    Raises:
        SettingsError: With every mistake found, not only the first.
    """
    findings = _read(environ, env_file)
    base = {name.upper(): value for name, value in findings.values.items()}
    _take_overrides(findings, overrides)
    settings, refused = _validate(findings)
    findings.errors += conflicts(settings, refused)
    if findings.errors:
        raise SettingsError([*findings.errors, *_hint(overrides)])
    strays = stray_secrets(settings, base, findings.changed)
    settings = settings.with_values(dict.fromkeys(strays), given_back=())
    return settings.with_sources(findings.sources).with_warnings(
        [*findings.warnings, *strays.values(), *doubts(settings)]
    )


def environment(environ: Mapping[str, str], env_file: Path | None = None) -> dict[str, str]:
    """Give the texts that hold without any override, by our own names.

    What is no setting, or blank, is left out. Reads the file; nothing is validated.

    Raises:
        SettingsError: The file cannot be read.
    """
    findings = _read(environ, env_file)
    if findings.errors:
        raise SettingsError(findings.errors)
    return {name.upper(): value for name, value in findings.values.items()}


def _read(environ: Mapping[str, str], env_file: Path | None) -> _Findings:
    findings = _Findings()
    if env_file is not None:
        _take(findings, _read_env_file(env_file, findings), str(env_file))
    _take(findings, {k: v for k, v in environ.items() if _is_known(k)}, ENVIRONMENT)
    _take_other_names(findings)
    return findings


def _is_known(name: str) -> bool:
    return any(name in known for known in (NAMES, ALIASES, SUCCESSOR, RETIRED))


def _read_env_file(path: Path, findings: _Findings) -> dict[str, str]:
    if refusal := refusal_of_file(path):
        findings.errors.append(f"{refusal}.")
        return {}
    try:
        with path.open(encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        findings.errors.append(
            f"{path} cannot be read ({type(error).__name__}): make it a readable file in UTF-8, "
            "or remove it."
        )
        return {}
    read: dict[str, str] = {}
    for binding in bindings:
        if binding.error:
            findings.errors.append(
                f"Line {binding.original.line} of {path} is not in the form NAME=value: "
                "correct or remove it."
            )
        elif binding.key is not None and _is_wanted(binding.key, path, findings):
            read[binding.key] = binding.value or ""
    return read


def _is_wanted(key: str, path: Path, findings: _Findings) -> bool:
    """Say whether a key of the file is a setting; if not, warn."""
    if _is_known(key):
        return True
    findings.warnings.append(f"{key} in {path} is not a setting and has no effect.{suggest(key)}")
    return False


def _take(findings: _Findings, found: Mapping[str, str], source: str) -> None:
    """Add the texts of one source, which win over those added before."""
    for alias, name in ALIASES.items():
        given = {found[key].strip() for key in (alias, name) if found.get(key, "").strip()}
        if len(given) > 1:
            findings.errors.append(
                f"{alias} and {name} have different values in {source}, though both name the same: "
                "keep one of them."
            )
    for key, value in sorted(found.items(), key=lambda item: item[0] not in ALIASES):
        if not value.strip() and key != "BAD_NAMES_PATTERN":
            continue
        if key in SUCCESSOR or key in RETIRED:
            findings.other_names[key] = (value, source)
            continue
        attribute = ALIASES.get(key, key).lower()
        findings.values[attribute] = value
        findings.sources[attribute] = source


def _take_other_names(findings: _Findings) -> None:
    """Read what stands under a name that is not ours, and say so, once for each name."""
    for key, (value, source) in findings.other_names.items():
        if key in RETIRED:
            because, instead = RETIRED[key]
            said = f"has no effect any more: {because}, see {instead}."
        elif ours := findings.sources.get(SUCCESSOR[key].lower()):
            said = f"has no effect, because {SUCCESSOR[key]} is set in {ours}: remove it."
        else:
            said = f"is read as {SUCCESSOR[key]}, which is its name here: rename it."
            _take_from(findings, key, value, source)
        findings.warnings.append(f"{key} in {source} {said}")


def _take_from(findings: _Findings, key: str, value: str, source: str) -> None:
    attribute = SUCCESSOR[key].lower()
    findings.values[attribute] = value
    findings.sources[attribute] = f"{source} ({key})"
    findings.read_from[attribute] = f"{key} in {source}"


def _take_overrides(findings: _Findings, overrides: Mapping[str, Any]) -> None:
    values, errors = wanted_changes(overrides)
    findings.errors += errors
    findings.values |= values
    findings.sources |= dict.fromkeys(values, CHANGES)
    findings.changed |= values.keys()


def _hint(overrides: Mapping[str, Any]) -> list[str]:
    """Remind of the values that stand in no file the reader of a mistake would look into."""
    if not overrides:
        return []
    names = ", ".join(sorted(name.upper() for name in overrides))
    hint = (
        f"{names}: changed while the service ran and kept in {CHANGES} of STATE_DIR, where they "
        "win over the environment; remove them there to go back."
    )
    return [hint]


def _validate(findings: _Findings) -> tuple[Settings, frozenset[str]]:
    """Build the settings and name the refused ones, which are replaced by their defaults.

    So the checks across settings still run on the others.
    """
    values = findings.values
    try:
        return Settings(**values), frozenset()
    except pydantic.ValidationError as error:
        mistakes = {str(e["loc"][0]): e for e in error.errors(include_url=False)}
    fields = Settings.model_fields
    for name, found in mistakes.items():
        default = default_of(name, fields[name])
        remedy = "leave it out" if default is None else f"leave it out for {default}"
        findings.errors.append(
            mistake(name, found, values[name], fields, f"correct it, or {remedy}")
        )
        if name in findings.read_from and name not in findings.changed:
            findings.errors.append(f"{name.upper()} is read from {findings.read_from[name]}.")
    good = {name: value for name, value in values.items() if name not in mistakes}
    return Settings(**good), frozenset(mistakes)
