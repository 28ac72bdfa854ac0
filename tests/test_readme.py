"""The README: short, of this machine and no other, and with the commands that a newcomer types."""

from __future__ import annotations

import re

import psycopg

from settings.model import Settings
from tests.docs.pages import links, page

README = page("README.md")
LONGEST = 10_000
"""Characters: what does not fit belongs to docs/reference."""


def test_readme_is_short() -> None:
    assert len(README) <= LONGEST


def test_readme_has_one_picture_and_the_two_commands() -> None:
    assert README.count("```mermaid") == 1
    assert "| `make run` |" in README
    assert "| `make test` |" in README


def test_readme_names_no_path_and_no_port_of_somebodys_machine() -> None:
    ports = set(re.findall(r"(?:127\.0\.0\.1|localhost):(\d+)", README))

    assert ports == {str(Settings().api_port)}
    assert re.findall(r"(?:/var/|/tmp/|/home/|/root/|/work/)\S*", README) == []


def test_first_query_runs_on_the_tables_of_the_service(dsn: str) -> None:
    found = re.search(r"^ {4}(SELECT .*?;)$", README, re.MULTILINE | re.DOTALL)
    header = re.search(r"^ +until .*$", README, re.MULTILINE)
    assert found
    assert header

    with psycopg.connect(dsn) as conn:
        cursor = conn.execute(found[1].encode())

    columns = [column.name for column in cursor.description or ()]
    assert columns == [name.strip() for name in header[0].split("|")]


def test_readme_leads_to_every_page_of_the_reference() -> None:
    pages = ("settings", "api", "commands", "metrics", "differences", "going-live", "guarantees")

    assert {f"docs/reference/{name}.md" for name in pages} - set(links(README)) == set()
