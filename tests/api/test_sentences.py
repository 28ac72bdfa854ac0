"""What is said of the events of a coin's timeline."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from actors.runtime.inspection.timeline import Note
from api.trackers import sentences
from api.trackers.sentences import note_of, sentence
from telemetry import Redactor
from tests.api.fakes import NOON_US

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("what", "details", "said"),
    [
        ("cached", {}, "It waits in the cache for its activation."),
        ("filtered", {"reason": "name"}, "It was filtered out: name."),
        ("activated", {"by": "trades", "trades": 3}, "It was activated by trades (trades 3)."),
        # Without the detail that the sentence is about.
        ("activated", {}, "Activated."),
        ("n8n_sent", {"status": 200, "id": 1}, "It was sent to n8n, which answered 200 (id 1)."),
        ("n8n_sent", {"status": None}, "It was sent to n8n, which answered nothing."),
        (
            "gap",
            {"since_us": NOON_US},
            "Its trades do not reach this machine from 2026-07-03T12:00:00+00:00 on.",
        ),
        ("tracker_failed", {"error": "bad."}, "Its tracker failed: bad."),
        ("odd", {"at_us": 10**18, "waited_s": 2.5}, "Odd (at 1000000000000000000, waited 2.5 s)."),
        # Without a sentence of its own.
        ("coin_renamed", {"old_name": "a", "name": "b"}, "Coin renamed (old name a, name b)."),
        ("odd", {"live": True, "share": 0.25, "nothing": None}, "Odd (live yes, share 0.25)."),
        # Braces come from strangers.
        ("activated", {"by": "{by}{0}"}, "It was activated by {by}{0}."),
        ("odd_{0}", {}, "Odd (0)."),
    ],
)  # fmt: skip
def test_event_is_said_in_plain_words(what: str, details: dict[str, Any], said: str) -> None:
    assert sentence(what, details) == said


def test_text_from_strangers_is_masked_and_bounded() -> None:
    note = Note(NOON_US, "discovery", "discovered", {"name": "x" * 500, "uri": "see hunter2-key"})

    shown = note_of(note, Redactor(["hunter2-key"]))

    assert shown.details == {"name": "x" * 400, "uri": "see ***"}
    assert "hunter2" not in shown.text
    assert len(shown.text) < 450


def noted() -> set[str]:
    """Find the events that actors note with a literal name."""
    calls = (
        node
        for path in sorted((TOP / "actors").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr == "note" and len(node.args) > 1
    )
    return {
        name.value
        for call in calls
        for name in ast.walk(call.args[1])
        if isinstance(name, ast.Constant) and isinstance(name.value, str)
    }


def test_every_event_that_is_noted_has_a_sentence_of_its_own() -> None:
    events = noted()

    assert "discovered" in events
    assert "unpinned" in events
    assert events - sentences.WORDS.keys() == set()
