"""No piece of a secret is left where a text of somebody else is cut, wherever it stands."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from actors.runtime import Message
from actors.runtime.dead_letters import describe, traceback_of
from actors.runtime.inspection.preview import summary_of
from db.errors import one_line
from telemetry.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "k3y&wonderful/secret=0815"
PIECE = 5
"""A shorter beginning may be left: it is that of ordinary words as well."""


class Said(Message, frozen=True):
    text: str


CUTS: dict[str, Callable[[str], str]] = {
    "an error's one line": lambda text: describe(RuntimeError(text)),
    "a database's words": lambda text: one_line(RuntimeError(text)),
    "a message in short": lambda text: summary_of(Said(text)),
    "a message in long": lambda text: summary_of(Said(text), 4_000),
    "a state": lambda text: summary_of({"said": text}, 200, values=True),
}
FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda text: quote(text, safe=""),
    "json": lambda text: json.dumps(text)[1:-1],
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
}


def pieces_left(text: str, secret: str) -> list[str]:
    ends = range(PIECE, len(secret) + 1)
    return [secret[end - PIECE : end] for end in ends if secret[end - PIECE : end] in text]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cut", CUTS)
def test_no_piece_is_left_wherever_it_stands(cut: str, form: str) -> None:
    redactor, written = Redactor([SECRET]), FORMS[form](SECRET)
    for before in range(560):
        text = "-" * before + f" {written} " + "-" * 600
        shown = redactor.text(CUTS[cut](text))
        assert pieces_left(shown, written) == [], (before, shown)


def test_pieces_are_found() -> None:
    assert pieces_left(f"x {SECRET[:PIECE]}", SECRET)
    assert not pieces_left(f"x {SECRET[: PIECE - 1]}", SECRET)


def test_password_is_masked_in_the_header_that_a_library_makes_of_it() -> None:
    redactor = Redactor(["coins:hunter2-word", "hunter2-word"])
    made = base64.b64encode(b"coins:hunter2-word").decode()
    assert redactor.text(f"Authorization: Basic {made}") == "Authorization: Basic ***"


@pytest.mark.parametrize("behind", range(8_150, 8_250))
def test_traceback_is_cut_between_lines(behind: int) -> None:
    error = RuntimeError(f"{SECRET}\n" + "-" * behind)
    shown = Redactor([SECRET]).text(traceback_of(error))
    assert pieces_left(shown, SECRET) == []
    assert "-" * 100 in shown
