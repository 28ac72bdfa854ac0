"""Dead letters: what nobody handled, and a second chance for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from actors.protocol.operator import (
    DiscardDeadLetter,
    GetDeadLetter,
    GetDeadLetters,
    RetryDeadLetter,
)
from api.dead_letters.schemas import DeadLetter, DeadLettersResponse, LetterPath, LettersQuery
from api.dead_letters.views import ALONE, IN_A_LIST, letter_of
from api.problems import ProblemError, answers, changes, check
from api.schemas import Done
from api.services import services

if TYPE_CHECKING:
    from actors.protocol.operator import Outcome
    from actors.runtime import DeadLetter as Kept

blueprint = APIBlueprint("dead letters", __name__, abp_tags=[Tag(name="dead letters")])

_UNKNOWN = (
    "No dead letter of this id is kept: see /dead-letters; only the newest 1,000 are, and none "
    "outlives the process."
)


@blueprint.get(
    "/dead-letters",
    summary="What nobody handled",
    responses=answers(DeadLettersResponse, 504),
)
def list_letters(query: LettersQuery) -> dict[str, Any]:
    """Give the newest dead letters, their contents cut short."""
    known = services()
    kept: tuple[Kept, ...] = known.ask(GetDeadLetters(query.limit))
    shown = [letter_of(letter, known.redactor, IN_A_LIST) for letter in kept]
    return DeadLettersResponse(dead_letters=shown, count=len(shown), limit=query.limit).model_dump()


@blueprint.get(
    "/dead-letters/<id>",
    summary="One dead letter",
    responses=answers(DeadLetter, 404, 504),
)
def read_letter(path: LetterPath) -> dict[str, Any]:
    """Give a dead letter with more of its content."""
    known = services()
    kept: Kept | None = known.ask(GetDeadLetter(path.id))
    if kept is None:
        raise ProblemError(404, _UNKNOWN)
    return letter_of(kept, known.redactor, ALONE).model_dump()


@blueprint.delete(
    "/dead-letters/<id>",
    summary="Delete a dead letter",
    responses=changes(Done, 404, 504),
)
def delete_letter(path: LetterPath) -> dict[str, Any]:
    """Let a dead letter go; its trades stay dead in the ledger."""
    outcome: Outcome = services().ask(DiscardDeadLetter(path.id))
    check(outcome, _UNKNOWN)
    return Done(message="The dead letter is deleted.").model_dump()


@blueprint.post(
    "/dead-letters/<id>/retry",
    summary="Send it to the same actor again",
    responses=changes(Done, 404, 409, 504),
)
def retry_letter(path: LetterPath) -> dict[str, Any]:
    """Send the message again; when it fails once more, it becomes another dead letter."""
    outcome: Outcome = services().ask(RetryDeadLetter(path.id))
    check(outcome, _UNKNOWN)
    return Done(message="The message was sent to its actor again.").model_dump()
