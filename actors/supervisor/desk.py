"""What operators ask of the supervisor: one coin, one tracker, one dead letter.

Expected refusals are replies. A question that another actor has to answer is handed on, and its
reply is completed on the way back, so that whoever asked waits for one answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pykka

from actors.control import (
    DISCOVERY,
    STREAM_WATCH,
    ChoosePhase,
    ConfigReloaded,
    DiscardDeadLetter,
    GetDeadLetter,
    GetDeadLetters,
    GetLiveCoin,
    GetTracker,
    Outcome,
    ReloadConfig,
    RestartTracker,
    RetryDeadLetter,
    ReviveTracker,
    TrackerOverview,
    tracker_name,
)
from actors.domain import Mint, Phase, Place
from actors.stream_watch.messages import PollNow
from actors.supervisor.accounts import trades_in
from actors.tracker.messages import PhaseChosen, SetPhase

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.runtime import ActorReport, Context, DeadLetter
    from actors.runtime.dead_letters import DeadLetters

_NOT_FOUND = Outcome(found=False)
_DONE = Outcome(found=True)


class Office(Protocol):
    """What the desk asks of the runtime."""

    @property
    def dead_letters(self) -> DeadLetters:
        """The messages that nobody handled."""

    def report(self, name: str) -> ActorReport | None:
        """Describe one actor."""

    def revive(self, name: str) -> bool:
        """Give a quarantined child a new instance; False when it is not quarantined."""

    def restart(self, name: str) -> bool:
        """Have the instance of a running child replaced; False when it is not running."""


class Desk:
    """Answers operators, in the supervisor's turns."""

    def __init__(self, context: Context, office: Office) -> None:
        self._context = context
        self._office = office

    def answer(self, message: Any, phases: tuple[Phase, ...]) -> Any:
        """Answer one question.

        Args:
            message: the question.
            phases: those in force.

        Raises:
            TypeError: the question is none for here.
        """
        match message:
            case ReloadConfig():
                return self._hand_on(STREAM_WATCH, PollNow(), lambda _: ConfigReloaded(phases))
            case GetTracker(mint):
                return self._overview(mint)
            case ChoosePhase(mint, phase_id):
                return self._choose_phase(mint, phase_id)
            case ReviveTracker(mint):
                return self._act_on(mint, self._office.revive, "is not in quarantine")
            case RestartTracker(mint):
                return self._act_on(mint, self._office.restart, "does not run")
            case _:
                return self._about_letters(message)

    def _about_letters(self, message: Any) -> Any:
        letters = self._office.dead_letters
        match message:
            case GetDeadLetters(limit):
                return tuple(reversed(letters.all()[-limit:]))
            case GetDeadLetter(letter_id):
                return letters.get(letter_id)
            case DiscardDeadLetter(letter_id):
                return _NOT_FOUND if letters.remove(letter_id) is None else _DONE
            case RetryDeadLetter(letter_id):
                letter = letters.get(letter_id)
                return _NOT_FOUND if letter is None else self._retry(letter)
            case _:
                raise TypeError(f"the supervisor does not take {type(message).__name__}")

    # Trackers.

    def _overview(self, mint: Mint) -> TrackerOverview | None:
        name = tracker_name(mint)
        actor = self._office.report(name)
        if actor is not None and actor.state != "running":
            return TrackerOverview(actor, None)
        self._hand_on(
            DISCOVERY if actor is None else name,
            GetLiveCoin(mint),
            lambda live: TrackerOverview(actor, live),
        )
        return None

    def _choose_phase(self, mint: Mint, phase_id: int) -> PhaseChosen | None:
        name = tracker_name(mint)
        actor = self._office.report(name)
        if actor is not None and actor.state != "running":
            refusal = f"The actor {name} is {actor.state}: have it running first."
            return PhaseChosen(accepted=False, refusal=refusal)
        if actor is not None:
            self._context.forward(name, SetPhase(phase_id))
        return None

    def _act_on(self, mint: Mint, act: Callable[[str], bool], otherwise: str) -> Outcome:
        name = tracker_name(mint)
        if act(name):
            self._context.log.info("operator_acted", on=name)
            return _DONE
        actor = self._office.report(name)
        if actor is None:
            return _NOT_FOUND
        return Outcome(
            found=True,
            refusal=f"The actor {name} {otherwise}, it is {actor.state}: nothing was done.",
        )

    # Dead letters.

    def _retry(self, letter: DeadLetter) -> Outcome:
        """Send a message again; its trades are under way from before it is sent, or dead still."""
        if self._office.report(letter.actor) is None:
            return Outcome(
                found=True,
                refusal=f"The actor {letter.actor} is gone: start it again first, or delete the "
                "letter.",
            )
        ledger, trades = self._context.ledger, trades_in(letter.message)
        ledger.move(Place.DEAD, Place.QUEUED, trades)
        if not self._context.ref(letter.actor).offer(letter.message):
            ledger.move(Place.QUEUED, Place.DEAD, trades)
            return Outcome(
                found=True,
                refusal=f"The mailbox of {letter.actor} takes no more: try again later.",
            )
        self._office.dead_letters.remove(letter.id)
        self._context.log.info("dead_letter_retried", letter=letter.id, to=letter.actor)
        return _DONE

    def _hand_on(self, name: str, message: Any, complete: Callable[[Any], Any]) -> None:
        """Hand the question on; what comes back is completed before it reaches the asker."""
        envelope = self._context.cell.envelope
        if envelope is not None and envelope.reply_to is not None:
            envelope.reply_to = _Completed(envelope.reply_to, complete)
        self._context.forward(name, message)


class _Completed(pykka.Future[Any]):
    """Passes a reply on to the asker's future, completed."""

    def __init__(self, asker: pykka.Future[Any], complete: Callable[[Any], Any]) -> None:
        super().__init__()
        self._asker = asker
        self._complete = complete

    def set(self, value: Any | None = None) -> None:
        self._asker.set(self._complete(value))

    def set_exception(self, exc_info: Any = None) -> None:
        self._asker.set_exception(exc_info)
