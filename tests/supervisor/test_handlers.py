"""Each message to the supervisor is taken by one part of it, which says so."""

from __future__ import annotations

import inspect

import pytest

from actors.domain import Mint
from actors.operator.inspection import Inspection
from actors.protocol import operator as to_operators
from actors.protocol import supervisor as to_supervisor
from actors.protocol.connection import GetRoute
from actors.runtime import Message
from actors.supervisor.handlers import joined
from tests.supervisor.scene import Scene

NOT_SENT_THERE = frozenset(
    {
        "AuditStatus",
        "CachedCoinReport",
        "ConfigOutcome",
        "ConfigReloaded",
        "GetRoute",
        "HealthReport",
        "LedgerReport",
        "Outcome",
        "Problem",
        "Resized",
        "RouteReport",
        "TrackerOverview",
        "TrackerReport",
    }
)
"""Replies, what is published, and a question to the connection."""


def sent_to_the_supervisor() -> dict[str, type]:
    """Find every message that the two modules of the protocol define."""
    return {
        name: kind
        for module in (to_supervisor, to_operators)
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Message)
        and kind.__module__ == module.__name__
        and name not in NOT_SENT_THERE
    }


def test_every_message_of_the_protocol_is_taken_by_the_supervisor_or_answered_without_it() -> None:
    scene = Scene()
    taken = scene.supervisor.handlers
    inspection = Inspection(scene.system)
    found = sent_to_the_supervisor()

    both_or_neither = [
        name for name, kind in found.items() if (kind in taken) == inspection.answers(kind)
    ]
    assert (len(found) > 30, both_or_neither) == (True, [])


def test_two_parts_that_take_the_same_message_are_an_error() -> None:
    with pytest.raises(ValueError, match="two parts of the supervisor take Drain"):
        joined({to_supervisor.Drain: print}, {to_supervisor.Drain: print})


def test_a_message_that_no_part_takes_is_an_error_and_the_supervisor_lives_on() -> None:
    scene = Scene()
    scene.tell(GetRoute(Mint("A")))
    scene.system.advance(1.0)

    [letter] = scene.system.letters()
    assert (letter.actor, letter.reason) == ("supervisor", "failed")
    assert "the supervisor does not take GetRoute" in str(letter.error)
    assert scene.ask(to_supervisor.GetHealth()).trackers == 0
