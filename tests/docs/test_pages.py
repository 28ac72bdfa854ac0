"""Pages lead somewhere, and name files that exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from telemetry import ACTOR_KINDS
from tests.docs.pages import PAGES, ROOT, anchors, links, page, quoted, relative, rows

if TYPE_CHECKING:
    from pathlib import Path

TERMS = (
    "Mint", "Create", "Stream", "Phase", "Orphan", "Candle", "Window", "Coverage", "Ledger",
    "Parked", "Spool", "Journal", "Dead letter", "Feed clock", "Hand-over",
)  # fmt: skip
FOLDERS = (
    "actors", "api", "bench", "cli", "db", "deploy", "docs", "settings", "simulator", "telemetry",
    "tests",
)  # fmt: skip
NAMED = re.compile(rf"^(?:(?:{'|'.join(FOLDERS)})/[\w./-]*|[\w-]+\.(?:md|toml)|\.ci/run)$")
GUIDES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/development.md")


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_every_link_leads_to_a_page_and_a_heading(path: Path) -> None:
    text = path.read_text("utf-8")
    broken = []
    for link in links(text):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("name", GUIDES)
def test_every_file_that_a_guide_names_exists(name: str) -> None:
    named = [text for text in quoted(page(name)) if NAMED.match(text)]

    assert named
    assert [text for text in named if not (ROOT / text).exists()] == []


def test_every_make_target_that_a_guide_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {
        target
        for name in GUIDES
        for target in re.findall(r"\bmake (?:PYTHON=\S+ )?([a-z][a-z-]*)[`\s]", _code(page(name)))
    }

    assert named
    assert named - targets == set()


def _code(text: str) -> str:
    indented = [line for line in text.splitlines() if line.startswith("    ")]
    return "\n".join([*(f"{each}`" for each in quoted(text)), *(f"{line} " for line in indented)])


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        at = waiting.pop()
        if at in seen or at.suffix != ".md":
            continue
        seen.add(at)
        names = (link.partition("#")[0] for link in links(at.read_text("utf-8")))
        waiting += [(at.parent / name).resolve() for name in names if name and ":" not in name]

    assert {path for path in PAGES if path not in seen} == {ROOT / "docs/reference/README.md"}


def test_glossary_has_every_term_in_order_and_in_few_sentences() -> None:
    entries = re.findall(
        r"^\*\*([^*]+)\.\*\* (.+?)(?=\n\n|\Z)", page("docs/glossary.md"), re.MULTILINE | re.DOTALL
    )
    terms = [term for term, _ in entries]
    long = [term for term, text in entries if len(re.findall(r"[.](?:\s|$)", text)) > 2]

    assert terms == sorted(terms, key=str.lower)
    assert set(TERMS) - set(terms) == set()
    assert long == []


def test_every_decision_is_in_the_list() -> None:
    listed = {link for link in links(page("docs/decisions/README.md")) if link[0].isdigit()}

    assert listed == {path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md")}


def test_every_system_actor_stands_in_the_picture() -> None:
    picture = page("docs/architecture.md").partition("```mermaid")[2].partition("```")[0]

    assert [kind for kind in ACTOR_KINDS if kind not in picture] == []


def test_tables_have_as_many_cells_as_their_heads() -> None:
    ragged = []
    for path in PAGES:
        width = 0
        for line in path.read_text("utf-8").splitlines():
            cells = next(iter(rows(line)), None)
            if cells is None:
                width = width if line.startswith("|") else 0
                continue
            width = width or len(cells)
            if len(cells) != width:
                ragged.append(f"{relative(path)}: {line[:60]}")

    assert ragged == []
