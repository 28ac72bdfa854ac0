"""Reading pages: their tables, links and code, so that tests can hold them against the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)
_CELLS: Final = re.compile(r"(?<!\\)\|")
_FENCES: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_HEADING: Final = re.compile(r"^#+ +(.+)$", re.MULTILINE)
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_QUOTED: Final = re.compile(r"`([^`\n]+)`")


def page(name: str) -> str:
    """Read a page by its path from the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def rows(text: str) -> Iterator[list[str]]:
    """Give the cells of every line of a table; escaped bars stay in their cell."""
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("|---"):
            yield [cell.strip() for cell in _CELLS.split(line)[1:-1]]


def quoted(text: str) -> list[str]:
    """Give what stands between backticks."""
    return _QUOTED.findall(_FENCES.sub("", text))


def links(text: str) -> list[str]:
    return _LINK.findall(_FENCES.sub("", text))


def anchors(text: str) -> set[str]:
    """Give the anchors that GitHub makes of the headings."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(_FENCES.sub("", text))
    }
