"""The image's packages are those that the project asks for, each held to its hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).parents[2]
CONTAINER = TOP / "deploy" / "container"


def project() -> dict[str, Any]:
    return tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))


def pinned(name: str) -> dict[str, tuple[str, int]]:
    """Give version and number of hashes of each package of a file."""
    text = (CONTAINER / name).read_text("utf-8").replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            package = re.match(r"([a-z0-9._-]+)==(\S+)", line)
            assert package, line
            found[package[1]] = (package[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}", line)))
    return found


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-embedded.txt"])
def test_every_package_is_held_to_hashes(name: str) -> None:
    assert pinned(name)
    assert [package for package, (_, hashes) in pinned(name).items() if not hashes] == []


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("requirements.txt", project()["project"]["dependencies"]),
        ("requirements.txt", project()["build-system"]["requires"]),
        ("requirements-embedded.txt", project()["project"]["optional-dependencies"]["embedded"]),
    ],
    ids=["dependencies", "build", "embedded"],
)
def test_what_the_project_asks_for_is_there_in_a_version_that_it_takes(
    name: str, wanted: list[str]
) -> None:
    known = pinned(name)
    for requirement in map(Requirement, wanted):
        version, _ = known[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement
