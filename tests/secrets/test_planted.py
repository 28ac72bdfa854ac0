"""The search itself must find what it is there for."""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.secrets.planted import leaking_files, leaks

if TYPE_CHECKING:
    from pathlib import Path

SECRET = 'plänted "p@ss/word'


@pytest.mark.parametrize(
    "text",
    [
        f"password={SECRET} refused",
        f"https://n8n/?key={quote(SECRET, safe='')}",
        f"https://n8n/?key={quote(SECRET, safe='').lower()}",
        json.dumps({"cause": SECRET}),
        repr({"cause": f"'{SECRET}'"}),
        base64.b64encode(f"user:{SECRET}".encode()).decode(),
        base64.b64encode(f"use:{SECRET} and more".encode()).decode(),
        base64.b64encode(f"us:{SECRET}".encode()).decode(),
    ],
)
def test_secret_is_found_however_it_is_spelled(text: str) -> None:
    assert leaks(text.encode(), ["other-secret", SECRET]) == [SECRET]


def test_masked_text_is_no_leak() -> None:
    assert leaks(b"password=*** refused", [SECRET]) == []


def test_files_are_searched_through_compressed_ones_too(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "segment.gz").write_bytes(gzip.compress(b"x hunter2hunter2 y"))
    (tmp_path / "plain").write_bytes(b"hunter2hunter2")
    (tmp_path / "spared").write_bytes(b"hunter2hunter2")
    (tmp_path / "clean").write_bytes(b"***")

    assert leaking_files(tmp_path, ["hunter2hunter2"], but=["spared"]) == {
        "deep/segment.gz": ["hunter2hunter2"],
        "plain": ["hunter2hunter2"],
    }
