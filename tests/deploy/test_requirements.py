"""What the tests and the image install is what the project asks for, each held to its hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).parents[2]
IMAGE = TOP / "deploy" / "container"
LISTS = {
    "tests": TOP / "tests" / "requirements.txt",
    "image": IMAGE / "requirements.txt",
    "image-embedded": IMAGE / "requirements-embedded.txt",
}


def project() -> dict[str, Any]:
    return tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))


def wanted(name: str) -> list[str]:
    found = project()
    extras: dict[str, list[str]] = found["project"]["optional-dependencies"]
    chosen = {"tests": list(extras), "image": [], "image-embedded": ["embedded"]}[name]
    return [
        *found["project"]["dependencies"],
        *found["build-system"]["requires"],
        *found["dependency-groups"]["build"],
        *(requirement for extra in chosen for requirement in extras[extra]),
    ]


def pinned(name: str) -> dict[str, tuple[str, int]]:
    """Give version and number of hashes of each package of a list."""
    text = LISTS[name].read_text("utf-8").replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            package = re.match(r"([a-z0-9._-]+)==(\S+)", line)
            assert package, line
            found[package[1]] = (package[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}", line)))
    return found


@pytest.mark.parametrize("name", LISTS)
def test_every_package_is_held_to_hashes(name: str) -> None:
    assert pinned(name)
    assert [package for package, (_, hashes) in pinned(name).items() if not hashes] == []


@pytest.mark.parametrize("name", LISTS)
def test_what_the_project_asks_for_is_there_in_a_version_that_it_takes(name: str) -> None:
    known = pinned(name)
    for requirement in map(Requirement, wanted(name)):
        version, _ = known[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement
