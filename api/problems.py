"""Errors as `application/problem+json` (RFC 9457), each with a sentence that says what to do."""

from __future__ import annotations

import difflib
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import psycopg
import structlog
from flask import Flask, Response, json, request
from werkzeug.exceptions import HTTPException

from api.database import DatabaseAway
from api.gateway import NotAnswered
from api.schemas import Problem, Schema
from db.errors import PhaseRefusedError

if TYPE_CHECKING:
    from flask_openapi3.types import ResponseDict
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

    from actors.protocol.operator import Outcome

MEDIA_TYPE: Final = "application/problem+json"

_SENTENCES: Final = {
    400: "The request cannot be read: see /docs for its form.",
    404: "There is nothing at this path: see /docs for the paths there are.",
    405: "This path does not take {method}: see /docs for the methods it takes.",
    413: "The body is larger than 64 KiB: send a smaller one.",
    415: "The body must be JSON: send it with the header Content-Type: application/json.",
}
_MISTAKES: Final = 10
_NAME_SHOWN: Final = 64
_ELSE: Final = "The request cannot be answered: see /docs for what can be asked."


class ProblemError(Exception):
    """A request is refused; `detail` is a whole sentence that says what to do.

    Args:
        status: The HTTP status.
        detail: The sentence.
        retry_after_s: When it is worth trying again, if time alone can help.
        errors: Every single mistake, where `detail` stands for several.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        retry_after_s: int | None = None,
        errors: tuple[str, ...] = (),
    ) -> None:
        self.status = status
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.errors = errors
        super().__init__(detail)


def problem(status: int, detail: str, errors: tuple[str, ...] = ()) -> Response:
    """Write the answer that refuses the present request."""
    body = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, instance=request.path
    ).model_dump()
    if errors:
        body["errors"] = list(errors)
    return Response(json.dumps(body), status=status, content_type=MEDIA_TYPE)


def check(outcome: Outcome, unknown: str) -> None:
    """Refuse what could not be done.

    Raises:
        ProblemError: 404 with `unknown` when there is no such thing, 409 with the reason if not.
    """
    if not outcome.found:
        raise ProblemError(404, unknown)
    if outcome.refusal is not None:
        raise ProblemError(409, outcome.refusal)


def answers(model: type[BaseModel], *refusals: int) -> ResponseDict:
    """Describe the answers of a route for the OpenAPI document: its body, and why it may refuse.

    A request that does not fit (400) or lacks the token (401) can be refused everywhere.
    """
    return {200: model} | refused(400, 401, *refusals)


def changes(model: type[BaseModel], *refusals: int, success: int = 200) -> ResponseDict:
    """Describe the answers of a route that changes something.

    It can also be refused to pages of other sites (403), and for the size of its body (413).
    """
    return {success: model} | refused(400, 401, 403, 413, *refusals)


def open_answers(model: type[BaseModel], *refusals: int) -> ResponseDict:
    """Describe the answers of a route that needs no token."""
    return {200: model} | refused(400, *refusals)


def refused(*statuses: int) -> ResponseDict:
    """Describe refusals for the OpenAPI document."""
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def invalid(error: ValidationError) -> Response:
    """Refuse parameters or a body that do not fit, naming every field."""
    known = _fields_of(error.title)
    found = "; ".join(
        _mistake(mistake, known)
        for mistake in error.errors(include_url=False, include_input=False)[:_MISTAKES]
    )
    return problem(400, f"The request does not fit ({found}): correct it and send it again.")


def _mistake(mistake: ErrorDetails, known: list[str]) -> str:
    place = ".".join(str(part)[:_NAME_SHOWN] for part in mistake["loc"]) or "body"
    if mistake["type"] != "extra_forbidden":
        return f"{place}: {mistake['msg']}"
    close = difflib.get_close_matches(place, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known) or 'none'}"
    return f"{place} is not known here, {hint}"


def _fields_of(model: str) -> list[str]:
    """List what a model of this name takes."""
    waiting, found = [Schema], list[str]()
    while waiting:
        schema = waiting.pop()
        waiting += schema.__subclasses__()
        if schema.__name__ == model:
            found = list(schema.model_fields)
    return found


def register(app: Flask) -> None:
    """Make the application answer every error as a problem."""
    app.register_error_handler(ProblemError, _refused)
    app.register_error_handler(NotAnswered, _not_answered)
    app.register_error_handler(DatabaseAway, _database_away)
    app.register_error_handler(PhaseRefusedError, lambda error: problem(400, str(error)))
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(psycopg.Error, _unexpected)
    app.register_error_handler(Exception, _unexpected)


def _refused(error: ProblemError) -> Response:
    answer = problem(error.status, error.detail, error.errors)
    if error.retry_after_s is not None:
        answer.headers["Retry-After"] = str(error.retry_after_s)
    return answer


def _not_answered(error: NotAnswered) -> Response:
    return problem(
        504,
        f"The actor {error.actor} did not answer within {error.timeout_s:g} s: try again, and look "
        "at /actors if it stays so.",
    )


def _database_away(_error: DatabaseAway) -> Response:
    answer = problem(
        503,
        "The database is needed for this and does not answer: try again, and check DB_DSN and the "
        "server if it stays so.",
    )
    answer.headers["Retry-After"] = "5"
    return answer


def _http(error: HTTPException) -> Response:
    if isinstance(error.response, Response):
        # What a handler has already answered, such as a refusal of parameters.
        return error.response
    status = error.code or 500
    answer = problem(status, _SENTENCES.get(status, _ELSE).format(method=request.method))
    for name, value in error.get_headers():
        if name in {"Allow", "Location", "Retry-After"}:
            answer.headers[name] = value
    return answer


def _unexpected(error: Exception) -> Response:
    log = structlog.get_logger("mintwatch.api")
    log.error("request_failed", actor="api", path=request.path, exc_info=error)
    return problem(
        500, "The request failed for a reason of ours: look for request_failed in the log."
    )
