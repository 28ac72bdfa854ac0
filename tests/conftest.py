from __future__ import annotations

import os

import pytest

pytest_plugins = ["pytester", "tests.support.books", "tests.support.postgres"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("root") is not None and os.geteuid() != 0:
        pytest.fail("this test needs the rights of root: run `make test-system` as root")
