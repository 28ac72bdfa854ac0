from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

pytest_plugins = ["pytester", "tests.support.books", "tests.support.postgres"]


LONG: Final = frozenset({"audit", "e2e", "faults", "replays", "secrets", "soak"})
"""Folders whose tests run whole services, for up to a minute each."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Long ones first: so none is left over at the end, for which one worker has to wait.
    tests = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(tests).parts[0] not in LONG)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("root") is not None and os.geteuid() != 0:
        pytest.fail("this test needs the rights of root: run `make test-system` as root")
