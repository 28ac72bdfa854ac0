"""The tables of docs/reference have what the code has: nothing missing, nothing that is gone."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, cast

import click
import msgspec
import pytest
from pydantic import ValidationError

from api import create_app
from cli.main import COMMANDS, main
from db.phases import PRESETS
from settings.changeable import FIXED, RESTARTS
from settings.model import NAMES, Settings
from settings.other_names import ALIASES, RETIRED, SUCCESSOR
from telemetry import Labelled, Telemetry
from tests.api.fakes import FakeSupervisor, settings_of
from tests.docs.pages import PAGES, ROOT, page, quoted, relative, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ASSETS = ("/docs/assets/", "/docs/start.js")
METRIC = re.compile(r"^((?:unified|mintwatch)_[a-z0-9_]+)(?:\{.*\})?$")
SETTING = re.compile(r"^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$")
OTHER_NAMES = {
    *("MINTWATCH_SOAK_SECONDS", "SQL_ASCII", "NO_DATA"),
    *("ACTOR_KINDS", "STREAM_WATCH"),
}
"""What looks like a setting: a variable of a test, words of others, constants in the code."""
TABLES = ("mintwatch_migration", "mintwatch_streams", "mintwatch_phases", "mintwatch_to_refill")
SCHEMA = Settings.model_json_schema()["properties"]

SETTINGS = {
    names[0]: row
    for row in rows(page("docs/reference/settings.md"))
    if len(row) == 5 and (names := re.findall(r"^`([A-Z0-9_]+)`$", row[0]))
}


# Settings.


def test_every_setting_has_a_row_and_every_row_a_setting() -> None:
    assert sorted(SETTINGS) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_written_default_is_the_one_in_force(name: str) -> None:
    written = SETTINGS[name][1]
    default = Settings.model_fields[name.lower()].default
    if name == "STATE_DIR":
        assert written == "the user's state folder"
    elif default is None or default == ():
        assert written == "none"
    elif isinstance(default, bool):
        assert written == f"`{str(default).lower()}`"
    elif isinstance(default, int | float):
        assert float(written) == default
    else:
        assert written.strip("`").replace("\\|", "|") == default


@pytest.mark.parametrize("name", NAMES)
def test_written_bounds_are_those_in_force(name: str) -> None:
    written, known = SETTINGS[name][2], SCHEMA[name.lower()]
    if "enum" in known:
        assert quoted(written) == known["enum"]
    elif "maximum" in known:
        above = re.fullmatch(r"above ([\d.e]+), to ([\d.e]+)", written)
        within = re.fullmatch(r"(?:0, or )?([\d.e]+) to ([\d.e]+)", written)
        found = above or within
        assert found, written
        low, high = float(found[1]), float(found[2])
        assert high == known["maximum"]
        if written.startswith("0, or "):
            assert known["minimum"] == 0
            taken = Settings.model_validate({name.lower(): low})
            assert getattr(taken, name.lower()) == low
            with pytest.raises(ValidationError):
                Settings.model_validate({name.lower(): 0.99 * low})
        else:
            assert low == known["exclusiveMinimum" if above else "minimum"]


@pytest.mark.parametrize("name", NAMES)
def test_written_change_is_how_it_acts(name: str) -> None:
    attribute = name.lower()
    acts = "start" if attribute in FIXED else "restart" if attribute in RESTARTS else "live"

    assert SETTINGS[name][3] == acts


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_every_setting_that_a_page_names_exists(path: Path) -> None:
    text = path.read_text("utf-8")
    given = set(re.findall(r"(?:^|[\s(`])([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)=", text))
    named = {name for name in quoted(text) if SETTING.match(name)}

    known = {*NAMES, *RETIRED, *ALIASES, *SUCCESSOR, *OTHER_NAMES}
    assert (given | named) - known == set()


def test_every_name_of_the_successor_has_a_row_with_ours() -> None:
    written = {
        names[0]: names[1]
        for row in rows(page("docs/reference/settings.md"))
        if len(row) == 2 and len(names := quoted(" ".join(row))) == 2
    }

    assert written == dict(SUCCESSOR)


# Routes.


def served() -> Iterator[str]:
    app = create_app(FakeSupervisor(), settings_of(), Telemetry(), cast("Any", None))
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith(ASSETS):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            yield from (f"{method} {path}" for method in (rule.methods or set()))


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    written = [
        found[1]
        for row in rows(page("docs/reference/api.md"))
        if (found := re.match(r"`([A-Z]+ /[^`?]*)(?:\?[^`]*)?`", row[0]))
    ]
    routes = {route for route in served() if not route.startswith(("HEAD ", "OPTIONS "))}

    assert sorted(written) == sorted(routes)


# Commands.


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", command.commands[inner]) for inner in command.commands)
        else:
            yield name, command


def options(command: click.Command) -> set[str]:
    return {
        parameter.opts[0]
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
    }


def arguments(command: click.Command) -> int:
    return sum(isinstance(parameter, click.Argument) for parameter in command.params)


def documented_commands() -> dict[str, tuple[set[str], int]]:
    """Read the tables: the command, its options and how many arguments it takes."""
    table = list(rows(page("docs/reference/commands.md")))
    found = {}
    for first, second, _ in table:
        words = first.strip("`").removeprefix("mintwatch ").split()
        if first.startswith("`mintwatch "):
            name = " ".join(word for word in words if word.islower())
            shared = {o.strip("`") for o, whose, _ in table if f"`{name}`" in whose.split(", ")}
            own = {option for option in quoted(second) if option.startswith("--")}
            found[name] = (own | shared, sum(not word.islower() for word in words))
    return found


def test_every_command_has_a_row_with_its_options() -> None:
    real = {name: (options(command), arguments(command)) for name, command in commands()}

    assert documented_commands() == real


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_every_command_that_a_page_names_exists(path: Path) -> None:
    text = "\n".join([*quoted(path.read_text("utf-8")), *_typed(path.read_text("utf-8"))])
    named = set(re.findall(r"(?:^|/)mintwatch ([a-z][a-z-]+)", text, re.MULTILINE))

    assert named - set(COMMANDS) == set()


def _typed(text: str) -> list[str]:
    """Give what somebody types at a prompt of an indented block."""
    return re.findall(r"^ {4}\$ (?:\S+=\S+ )*(\S.*)$", text, re.MULTILINE)


# Metrics.


def test_every_metric_has_a_row_and_every_row_a_metric() -> None:
    section = page("docs/reference/metrics.md").partition("## All of them")[2]
    section = section.partition("## Label values")[0]
    written = {line for line in section.splitlines() if line.startswith("| `")}

    assert written == {_row(name, telemetry=Telemetry()) for name in Telemetry().definitions}


def test_every_label_value_is_written_down() -> None:
    telemetry = Telemetry()
    real = {
        (_exposed(telemetry, name), label): values
        for name in telemetry.definitions
        if isinstance(metric := getattr(telemetry, name), Labelled)
        for label, values in metric._values.items()
    }
    section = page("docs/reference/metrics.md").partition("## Label values")[2]
    written = {
        (name, label.strip("`")): tuple(quoted(values))
        for names, label, values in rows(section)
        for name in quoted(names)
    }

    assert written == real


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_every_metric_that_a_page_names_exists(path: Path) -> None:
    telemetry = Telemetry()
    real = {_exposed(telemetry, name) for name in telemetry.definitions}
    named = {found[1] for text in quoted(path.read_text("utf-8")) if (found := METRIC.match(text))}

    assert {name for name in named if not name.startswith(TABLES)} - real == set()


def _exposed(telemetry: Telemetry, attribute: str) -> str:
    definition = telemetry.definitions[attribute]
    return definition.name + ("_total" if definition.kind == "counter" else "")


def _row(attribute: str, telemetry: Telemetry) -> str:
    definition = telemetry.definitions[attribute]
    labels = ", ".join(f"`{label}`" for label in definition.labels)
    name = _exposed(telemetry, attribute)
    return f"| `{name}` | {definition.kind} | {labels} | {definition.text} |"


# Phases.


def test_phases_of_the_successor_are_written_as_the_preset_has_them() -> None:
    section = page("docs/data.md").partition("### Presets of phases")[2].partition("## ")[0]
    written = [tuple(row) for row in rows(section)][1:]

    assert written == [
        tuple(str(value) for value in msgspec.structs.astuple(phase))
        for phase in PRESETS["pump-platform"]
    ]


# Packages.


def test_every_package_has_a_reason_and_every_reason_a_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["embedded"], *extras["simulator"]]
    text = page("docs/reference/dependencies.md")
    named = re.findall(r"^\| `([a-z0-9-]+)` \|", text, re.MULTILINE)

    assert sorted(named) == sorted({re.split(r"[\[<>=;~ ]", each)[0] for each in wanted})
