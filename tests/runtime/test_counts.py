"""What the runtime counts of messages that do not reach anybody as they were."""

from __future__ import annotations

from typing import ClassVar

from actors.domain import Drop
from actors.runtime import Message
from actors.runtime.simulation import SeededSystem
from settings import Settings
from tests.support.drops import dropped


class Tick(Message, frozen=True):
    keyed: ClassVar[bool] = True

    n: int


def test_message_that_takes_the_place_of_an_earlier_one_is_counted() -> None:
    system = SeededSystem(settings=Settings())
    listener = system.probe("listener")
    system._cells["listener"].mailbox.hold()

    for n in (1, 2, 3):
        system.tell("listener", Tick(n))
    system._cells["listener"].mailbox.release()
    system.run()

    assert listener.messages == [Tick(3)]
    assert dropped(system.telemetry, Drop.COALESCED) == 2
