"""What the system tests need beside the package itself. What is missing fails a test by name."""

from __future__ import annotations

import shutil
from importlib.util import find_spec

import pytest

MARKET = ("simulate", "--coins", "20", "--trades-per-second", "50")
"""Options of a market that is small and busy from the first second on."""


def command(name: str, package: str) -> str:
    """Find a command of a Debian package."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing; `make test-system` installs the Debian package {package}")
    return found


def module(name: str) -> None:
    """Make sure that a Python package is there."""
    if find_spec(name) is None:
        pytest.fail(f"the Python package {name} is missing; `make test-system` installs it")
