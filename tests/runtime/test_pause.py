"""An actor that is paused: it keeps what it has, takes no more, and goes on where it stopped."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.connection import ConnectionState
from actors.connection.parking import RETRY_S, Parking
from actors.domain import Mint, Place, Trade
from actors.journal.records import FrameRecord
from actors.protocol.shard import Shard
from actors.protocol.tracker import TradesArrived, TradesParked, TradesUnparked
from actors.runtime import (
    Actor,
    Batch,
    ChildStopped,
    Context,
    Control,
    Exceeded,
    Message,
    RestartBudget,
)
from actors.runtime.simulation import SeededSystem
from settings import Settings
from tests.connection.system import KeptHistory, KeptJournal
from tests.connection.test_replay_source import buy
from tests.discovery.builders import START_US, trade


class Say(Message, frozen=True):
    word: str


class Must(Message, frozen=True):
    word: str
    must_arrive = True


class Urgent(Control, frozen=True):
    word: str


class Words(Batch, frozen=True):
    events: tuple[Say, ...]


class Scribe(Actor):
    """Writes down what it handles; "note" has it tell itself something, "poison" fails it."""

    def __init__(self, context: Context, words: list[str]) -> None:
        super().__init__(context)
        self._words = words

    def on_receive(self, message: Any) -> Any:
        if message.word == "poison":
            raise ValueError("poison")
        if message.word == "note":
            self.context.tell_self(Say("note to self"))
        self._words.append(message.word)
        return len(self._words)


class Scene:
    def __init__(self, **start: Any) -> None:
        self.system = SeededSystem()
        self.words: list[str] = []
        self.system.start("scribe", lambda context: Scribe(context, self.words), **start)

    def say(self, *words: str) -> list[bool]:
        taken = [self.system.offer("scribe", Say(word)) for word in words]
        self.system.run()
        return taken

    @property
    def state(self) -> str:
        report = self.system.report("scribe")
        assert report is not None
        return report.state


def test_paused_actor_refuses_data_and_keeps_what_waits() -> None:
    scene = Scene()
    scene.system.offer("scribe", Say("waits"))

    assert scene.system.pause("scribe")
    assert scene.say("refused") == [False]

    assert scene.words == []
    assert scene.state == "paused"
    assert scene.system.room("scribe") == 0
    assert scene.system.load.events == 0
    report = scene.system.report("scribe")
    assert report is not None
    assert report.mailbox_depth == 1


def test_resumed_actor_goes_on_with_what_waited() -> None:
    scene = Scene()
    scene.system.offer("scribe", Say("first"))
    scene.system.pause("scribe")

    assert scene.system.resume("scribe")
    assert scene.system.load.events == 1
    assert scene.say("second") == [True]

    assert scene.words == ["first", "second"]
    assert scene.state == "running"


def test_control_messages_and_questions_reach_a_paused_actor() -> None:
    scene = Scene()
    scene.system.pause("scribe")

    assert scene.system.ask("scribe", Urgent("urgent")) == 1
    assert scene.words == ["urgent"]


def test_paused_actor_takes_its_own_messages_and_what_must_arrive_in_order() -> None:
    scene = Scene()
    scene.system.pause("scribe")
    scene.system.tell("scribe", Urgent("note"))
    scene.system.run()
    assert scene.system.offer("scribe", Must("must"))
    scene.system.run()
    assert scene.words == ["note"]

    scene.system.resume("scribe")
    scene.system.run()

    assert scene.words == ["note", "note to self", "must"]


def test_pausing_twice_and_resuming_twice_change_nothing() -> None:
    scene = Scene()
    assert [scene.system.pause("scribe"), scene.system.pause("scribe")] == [True, False]
    assert [scene.system.resume("scribe"), scene.system.resume("scribe")] == [True, False]
    assert not scene.system.pause("nobody")
    assert not scene.system.resume("nobody")


def test_pause_survives_a_restart_and_a_failure_of_the_instance() -> None:
    scene = Scene()
    scene.system.pause("scribe")

    scene.system.restart("scribe")
    scene.system.run()
    assert scene.say("refused") == [False]
    scene.system.tell("scribe", Urgent("poison"))
    scene.system.run()
    scene.system.advance(1.0)

    assert scene.state == "paused"
    assert scene.say("refused again") == [False]
    scene.system.resume("scribe")
    assert scene.say("taken") == [True]
    assert scene.words == ["taken"]


def test_actor_paused_in_quarantine_is_paused_when_it_is_revived() -> None:
    scene = Scene(exceeded=Exceeded.QUARANTINE, budget=RestartBudget(intensity=0))
    scene.say("poison")

    assert scene.system.pause("scribe")
    assert scene.state == "quarantined"
    scene.system.revive("scribe")
    scene.system.run()

    assert scene.state == "paused"


def test_pause_is_kept_apart_from_the_lane_that_an_actor_holds_itself() -> None:
    scene = Scene()
    mailbox = scene.system._cells["scribe"].mailbox
    mailbox.hold()
    scene.system.pause("scribe")
    mailbox.release()
    scene.system.offer("scribe", Must("must"))
    scene.system.run()
    assert scene.words == []

    mailbox.hold()
    scene.system.resume("scribe")
    scene.system.run()
    assert scene.words == []
    assert scene.state == "running"


def test_stop_overtakes_a_pause() -> None:
    scene = Scene()
    supervisor = scene.system.probe("supervisor")
    scene.system.offer("scribe", Say("waits"))
    scene.system.pause("scribe")

    scene.system.stop("scribe")

    assert not scene.system.running("scribe")
    assert [stopped.name for stopped in supervisor.of(ChildStopped)] == ["scribe"]
    assert [letter.reason for letter in scene.system.letters()] == ["stopped"]
    assert not scene.system.pause("scribe")


class Tracked:
    """A tracker's probe and the parking in front of it."""

    def __init__(self) -> None:
        self.system = SeededSystem(settings=Settings())
        self.journal = KeptJournal()
        contexts: list[Context] = []

        def make(context: Context) -> Actor:
            contexts.append(context)
            return Scribe(context, [])

        self.system.start("connection", make)
        self.tracker = self.system.probe("tracker:MintA")
        self.state = ConnectionState(self.system.settings)
        self.parking = Parking(
            contexts[0], self.state, KeptHistory(self.journal), Shard(contexts[0])
        )

    def arrive(self, number: int) -> None:
        """Journal a trade and hand it on as the connection does."""
        event = trade(seq=number, at_s=number)
        frame = FrameRecord(
            seq=number,
            at_us=START_US + number * 1_000_000,
            data=msgspec.json.encode(buy("MintA", number)),
        )
        self.journal.append([frame])
        self.system.ledger.receive(Place.QUEUED)
        mint = Mint("MintA")
        if mint in self.state.parked or not self.system.offer(
            "tracker:MintA", TradesArrived((event,))
        ):
            self.parking.park(mint, [event])
        self.system.run()

    def hand_on(self) -> None:
        self.system.advance(2 * RETRY_S)
        self.parking.hand_on()
        self.system.run()


def test_trades_of_a_paused_tracker_are_parked_and_come_in_their_order_when_it_goes_on() -> None:
    tracked = Tracked()
    tracked.arrive(1)
    tracked.system.pause("tracker:MintA")
    tracked.arrive(2)
    tracked.arrive(3)
    tracked.hand_on()

    # It is told at once that trades are kept back, and gets none of them.
    assert [type(message).__name__ for message in tracked.tracker.messages] == [
        "Trade",
        "TradesParked",
    ]
    assert tracked.system.ledger.count(Place.PARKED) == 2

    tracked.system.resume("tracker:MintA")
    tracked.arrive(4)
    assert tracked.system.ledger.count(Place.PARKED) == 3
    tracked.hand_on()
    tracked.arrive(5)

    heard = tracked.tracker.messages
    assert [message.seq for message in heard if isinstance(message, Trade)] == [1, 2, 3, 4, 5]
    assert [type(message).__name__ for message in heard[-2:]] == ["TradesUnparked", "Trade"]
    assert [message.number for message in heard if isinstance(message, TradesParked)] == [2]
    assert [message.number for message in heard if isinstance(message, TradesUnparked)] == [2]
    assert tracked.system.ledger.count(Place.PARKED) == 0
