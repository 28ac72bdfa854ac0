"""Dead letters: sent again, or let go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.domain import Place
from actors.protocol.operator import DiscardDeadLetter, Outcome, RetryDeadLetter
from actors.protocol.supervisor import writer_of
from actors.protocol.trade_count import mint_of, trades_in

if TYPE_CHECKING:
    from actors.protocol.partitioner import WriterRoutes
    from actors.runtime import Context, DeadLetter, System
    from actors.supervisor.handlers import Handlers

_NOT_FOUND: Final = Outcome(found=False)
_DONE: Final = Outcome(found=True)


class DeadLetterCommands:
    """What operators do with dead letters, in the supervisor's turns."""

    def __init__(self, context: Context, system: System, routes: WriterRoutes) -> None:
        self._context = context
        self._system = system
        self._routes = routes
        self.handlers: Handlers = {DiscardDeadLetter: self._discard, RetryDeadLetter: self._retry}

    def _discard(self, command: DiscardDeadLetter) -> Outcome:
        return _NOT_FOUND if self._system.dead_letters.remove(command.id) is None else _DONE

    def _retry(self, command: RetryDeadLetter) -> Outcome:
        letter = self._system.dead_letters.get(command.id)
        return _NOT_FOUND if letter is None else self._send_again(letter)

    def _send_again(self, letter: DeadLetter) -> Outcome:
        """Send a message again; its trades are under way from before it is sent, or dead still."""
        name = self._address(letter)
        if self._system.report(name) is None:
            return Outcome(
                found=True,
                refusal=f"The actor {letter.actor} is gone: start it again first, or delete the "
                "letter.",
            )
        ledger, trades = self._context.ledger, trades_in(letter.message)
        ledger.move(Place.DEAD, Place.QUEUED, trades)
        if not self._context.ref(name).offer(letter.message):
            ledger.move(Place.QUEUED, Place.DEAD, trades)
            return Outcome(
                found=True,
                refusal=f"The mailbox of {name} takes no more: try again later.",
            )
        self._system.dead_letters.remove(letter.id)
        self._context.log.info("dead_letter_retried", letter=letter.id, to=name)
        return _DONE

    def _address(self, letter: DeadLetter) -> str:
        """Give who takes the message now: a mint may have another postgres-writer by now."""
        mint = mint_of(letter.message)
        if mint is None or not letter.actor.startswith("postgres-writer:"):
            return letter.actor
        return writer_of(mint, self._routes.writers)
