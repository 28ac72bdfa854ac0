"""The README's tables: every setting, its default, and every route are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from settings.model import NAMES, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
ROUTE = re.compile(r'^(?:@blueprint\.\w+\(| {4})"(/[^"]*)",?', re.MULTILINE)
ASSETS = ("/docs/",)


def section(title: str) -> str:
    """Give what stands under a heading."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def documented_defaults() -> Iterator[tuple[str, str]]:
    """Read the table of settings: name and default, two of them where two share a line."""
    for line in section("Settings").splitlines():
        if not line.startswith("| `"):
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
        names = re.findall(r"`([A-Z0-9_]+)`", cells[1])
        values = cells[2].split(", ") if len(names) > 1 else [cells[2]]
        yield from zip(names, values, strict=False)


def test_every_setting_stands_in_the_readme_once() -> None:
    assert sorted(name for name, _ in documented_defaults()) == sorted(NAMES)


@pytest.mark.parametrize(("name", "written"), list(documented_defaults()))
def test_written_default_is_the_one_in_force(name: str, written: str) -> None:
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


def test_every_route_stands_in_the_readme() -> None:
    modules = sorted((Path(__file__).parent.parent / "api" / "routes").glob("*.py"))
    found = {path for module in modules for path in ROUTE.findall(module.read_text("utf-8"))}
    named = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", " ".join(sorted(found))).split()
    table = section("API")
    pages = [path for path in named if not path.startswith(ASSETS)]
    # A second action of a line is written as its last part alone: `/pause`, `/resume`.
    assert [
        path for path in pages if path not in table and f"`/{path.split('/')[-1]}`" not in table
    ] == []
