"""What operators ask of the supervisor: trackers, dead letters, a reading at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from actors.domain import Place
from actors.operator.inspection import Inspection
from actors.protocol.connection import GetRoute
from actors.protocol.operator import (
    ChoosePhase,
    DiscardDeadLetter,
    GetDeadLetter,
    GetDeadLetters,
    GetTracker,
    Outcome,
    RestartTracker,
    RetryDeadLetter,
    ReviveTracker,
    TrackerOverview,
)
from actors.protocol.stream_watch import PollNow
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    STREAM_WATCH,
    SUPERVISOR,
    ConfigReloaded,
    GetLiveCoin,
    PhasesLoaded,
    ReloadConfig,
    StreamsLoaded,
    UntrackMint,
)
from actors.protocol.tracker import PhaseChosen, SetPhase
from actors.runtime import Message
from tests.supervisor.scene import PHASES, A, Scene
from tests.supervisor.scripted import PHASES as SCRIPT_PHASES
from tests.supervisor.scripted import T0_US, House, create, trade
from tests.tracker import builders

if TYPE_CHECKING:
    from actors.runtime import ActorReport


@pytest.fixture
def scene() -> Scene:
    return Scene()


class Silent(Scene):
    """A scene in which the tracker of A has a report in another state."""

    def __init__(self, state: str) -> None:
        super().__init__()
        self.tracker(A)
        known = self.tree.report("tracker:A")
        assert known is not None
        changed = msgspec.structs.replace(known, state=state)

        def report(name: str) -> ActorReport | None:
            return changed if name == "tracker:A" else None

        self.tree.report = report  # type: ignore[method-assign]  # a fake, made to fit


# Reading again.


def test_streams_are_read_before_the_answer_and_the_phases_in_force_are_told(scene: Scene) -> None:
    assert scene.ask(ReloadConfig()) == ConfigReloaded(PHASES)
    assert scene.told(STREAM_WATCH) == [PollNow()]


# Trackers.


def test_tracked_coin_is_described_by_its_tracker_and_its_actor_in_one_answer(
    scene: Scene,
) -> None:
    tracker = scene.tracker(A)

    found = scene.ask(GetTracker(A))

    assert (found.actor.name, found.live) == ("tracker:A", "reply of tracker:A")
    assert tracker.messages == [GetLiveCoin(A)]


def test_coin_without_a_tracker_is_described_by_discovery(scene: Scene) -> None:
    found = scene.ask(GetTracker(A))

    assert (found.actor, found.live) == (None, f"reply of {DISCOVERY}")
    assert scene.told(DISCOVERY) == [GetLiveCoin(A)]


def test_tracker_that_does_not_run_is_described_without_asking_it() -> None:
    scene = Silent("quarantined")

    found = scene.ask(GetTracker(A))

    assert (found.actor.state, found.live) == ("quarantined", None)
    assert scene.told("tracker:A") == []


def test_coin_that_nobody_can_describe_is_answered_all_the_same() -> None:
    house = House(0, [])
    house.system.stop(DISCOVERY)
    house.system.stop(CONNECTION)

    assert house.system.ask(SUPERVISOR, GetTracker(A)) == TrackerOverview(None, None)


def test_overview_has_what_the_connection_does_for_the_mint(scene: Scene) -> None:
    scene.tracker(A)

    assert scene.ask(GetTracker(A)).route == f"reply of {CONNECTION}"
    assert scene.told(CONNECTION)[-1] == GetRoute(A)


def test_phase_is_chosen_by_the_tracker(scene: Scene) -> None:
    tracker = scene.tracker(A)

    assert scene.ask(ChoosePhase(A, 2)) == "reply of tracker:A"
    assert tracker.messages == [SetPhase(2)]


def test_phase_of_an_unknown_mint_is_nobodys(scene: Scene) -> None:
    assert scene.ask(ChoosePhase(A, 2)) is None


def test_phase_of_a_tracker_that_does_not_run_is_refused() -> None:
    assert Silent("quarantined").ask(ChoosePhase(A, 2)) == PhaseChosen(
        accepted=False, refusal="The actor tracker:A is quarantined: have it running first."
    )


def test_quarantined_tracker_is_revived(scene: Scene) -> None:
    scene.tracker(A)
    scene.quarantine("tracker:A")

    assert scene.ask(ReviveTracker(A)) == Outcome(found=True)
    assert scene.tree.revived == ["tracker:A"]


def test_revival_by_an_operator_leaves_the_chance_of_the_end_unused(scene: Scene) -> None:
    scene.tracker(A)
    scene.quarantine("tracker:A")
    scene.ask(ReviveTracker(A))
    scene.quarantine("tracker:A")

    scene.tell(UntrackMint(A, "inactive"))

    assert scene.tree.revived == ["tracker:A", "tracker:A"]
    assert scene.tree.stopped == []


@pytest.mark.parametrize("command", [ReviveTracker(A), RestartTracker(A)])
def test_unknown_tracker_is_not_found(scene: Scene, command: Message) -> None:
    assert scene.ask(command) == Outcome(found=False)


def test_running_tracker_is_not_revived(scene: Scene) -> None:
    scene.tracker(A)

    assert scene.ask(ReviveTracker(A)) == Outcome(
        found=True,
        refusal="The actor tracker:A is not in quarantine, it is running: nothing was done.",
    )
    assert scene.tree.revived == []


def test_running_tracker_is_restarted(scene: Scene) -> None:
    scene.tracker(A)

    assert scene.ask(RestartTracker(A)) == Outcome(found=True)
    assert scene.tree.restarted == ["tracker:A"]


def test_quarantined_tracker_is_not_restarted(scene: Scene) -> None:
    scene.tracker(A)
    scene.quarantine("tracker:A")

    outcome = scene.ask(RestartTracker(A))

    assert outcome.found
    assert outcome.refusal.startswith("The actor tracker:A does not run, ")
    assert scene.tree.restarted == []


def test_restart_keeps_the_open_candle() -> None:
    script = [(create("A", T0_US),), (trade("A", T0_US + 1, 1, 10),)]
    house = House(0, script, rests=True, activation="trades", activation_min_trades=0)
    house.system.tell(SUPERVISOR, PhasesLoaded(SCRIPT_PHASES))
    house.system.tell(SUPERVISOR, StreamsLoaded(0))
    house.system.run()

    before = house.system.ask(SUPERVISOR, GetTracker(A))
    assert house.system.ask(SUPERVISOR, RestartTracker(A)) == Outcome(found=True)
    after = house.system.ask(SUPERVISOR, GetTracker(A))

    assert after.actor.restarts == before.actor.restarts + 1
    assert after.actor.state == "running"
    assert after.live == before.live
    assert after.live.trades_total == 1


def test_revived_tracker_goes_on_and_its_letters_can_be_let_go() -> None:
    poison = [(trade("A", T0_US + n, n, 10, trader="poisoner"),) for n in range(1, 7)]
    script = [(create("A", T0_US),), *poison]
    house = House(0, script, rests=True, activation="trades", activation_min_trades=0)
    house.system.tell(SUPERVISOR, PhasesLoaded(SCRIPT_PHASES))
    house.system.tell(SUPERVISOR, StreamsLoaded(0))
    for _ in range(10):
        house.system.advance(1.0)

    broken = house.system.ask(SUPERVISOR, GetTracker(A))
    assert (broken.actor.state, broken.live) == ("quarantined", None)
    assert house.system.ask(SUPERVISOR, ReviveTracker(A)) == Outcome(found=True)
    revived = house.system.ask(SUPERVISOR, GetTracker(A))

    assert revived.actor.state == "running"
    assert revived.live.trades_total == 0
    letters = Inspection(house.system).answer(GetDeadLetters(50))
    assert len(letters) == 6
    for letter in letters:
        assert house.system.ask(SUPERVISOR, DiscardDeadLetter(letter.id)) == Outcome(found=True)
    assert house.places() == {"dead": 6}
    assert house.system.ledger.balanced


# Dead letters.


def dead(scene: Scene, message: Any, actor: str = "tracker:A") -> int:
    """Let a message for an actor die, with its trade in the books."""
    scene.system.ledger.receive(Place.DEAD)
    scene.system.dead_letter(actor, "failed", message, ValueError("poison"))
    return scene.system.letters()[-1].id


def places(scene: Scene) -> dict[str, int]:
    return {place: count for place, count in scene.system.ledger.read()[1].items() if count}


def test_newest_dead_letters_are_given_first(scene: Scene) -> None:
    for number in range(3):
        scene.system.dead_letter("nobody", "gone", f"message {number}", None)

    letters = scene.ask(GetDeadLetters(2))

    assert [letter.message for letter in letters] == ["message 2", "message 1"]


def test_one_dead_letter_is_given_by_its_id(scene: Scene) -> None:
    letter_id = dead(scene, builders.trade())

    found = scene.ask(GetDeadLetter(letter_id))

    assert (found.actor, found.error) == ("tracker:A", "ValueError: poison")
    assert scene.ask(GetDeadLetter(letter_id + 1)) is None


def test_retried_message_reaches_the_same_actor_and_its_trade_is_under_way(scene: Scene) -> None:
    tracker, message = scene.tracker(A), builders.trade()
    letter_id = dead(scene, message)

    assert scene.ask(RetryDeadLetter(letter_id)) == Outcome(found=True)

    assert tracker.messages == [message]
    assert places(scene) == {"queued": 1}
    assert scene.system.letters() == []
    assert scene.ask(RetryDeadLetter(letter_id)) == Outcome(found=False)


def test_message_for_an_actor_that_is_gone_stays_dead(scene: Scene) -> None:
    letter_id = dead(scene, builders.trade())

    outcome = scene.ask(RetryDeadLetter(letter_id))

    assert outcome == Outcome(
        found=True,
        refusal="The actor tracker:A is gone: start it again first, or delete the letter.",
    )
    assert places(scene) == {"dead": 1}
    assert [letter.id for letter in scene.system.letters()] == [letter_id]


def test_message_that_a_full_mailbox_refuses_stays_dead(scene: Scene) -> None:
    scene.tracker(A)
    letter_id = dead(scene, builders.trade())
    scene.system._cells["tracker:A"].mailbox.capacity = 0

    outcome = scene.ask(RetryDeadLetter(letter_id))

    assert outcome.refusal == "The mailbox of tracker:A takes no more: try again later."
    assert places(scene) == {"dead": 1}
    assert len(scene.system.letters()) == 1


def test_discarded_letter_leaves_its_trade_dead_in_the_books(scene: Scene) -> None:
    letter_id = dead(scene, builders.trade())

    assert scene.ask(DiscardDeadLetter(letter_id)) == Outcome(found=True)
    assert scene.ask(DiscardDeadLetter(letter_id)) == Outcome(found=False)

    assert scene.system.letters() == []
    assert places(scene) == {"dead": 1}


def test_poison_that_is_retried_dies_again_and_the_books_balance() -> None:
    poison = trade("A", T0_US + 1, 1, 10, trader="poisoner")
    script = [(create("A", T0_US),), (poison,)]
    house = House(0, script, rests=True, activation="trades", activation_min_trades=0)
    house.system.tell(SUPERVISOR, PhasesLoaded(SCRIPT_PHASES))
    house.system.tell(SUPERVISOR, StreamsLoaded(0))
    house.system.advance(1.0)
    [letter] = house.system.letters()
    assert house.places() == {"dead": 1}

    assert house.system.ask(SUPERVISOR, RetryDeadLetter(letter.id)) == Outcome(found=True)
    house.system.advance(1.0)

    [again] = house.system.letters()
    assert again.id == letter.id + 1
    assert again.message == letter.message
    assert house.places() == {"dead": 1}
    assert house.system.ledger.balanced


def test_unknown_question_is_refused(scene: Scene) -> None:
    with pytest.raises(TypeError, match="the supervisor does not take _Odd"):
        scene.ask(_Odd())


class _Odd(Message, frozen=True):
    pass
