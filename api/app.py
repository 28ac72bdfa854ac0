"""The application: routes, errors, protection and counting put together."""

from __future__ import annotations

import re
import time
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, Response, g, request
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from werkzeug.routing import BaseConverter

from api import auth, problems, successor
from api.actors import crash_reports, resize
from api.actors import routes as actors
from api.analytics import routes as analytics
from api.candles import routes as candles
from api.coins import routes as coins
from api.config import routes as config
from api.database import Database
from api.dead_letters import routes as dead_letters
from api.docs import routes as docs
from api.feed import routes as feed
from api.health import routes as health
from api.ledger import routes as ledger
from api.metrics import routes as metrics
from api.phases import routes as phases
from api.schemas import Problem
from api.services import Services, attach
from api.streams import routes as streams
from api.trackers import lens
from api.trackers import routes as trackers
from db.probe import try_database as try_to_connect
from settings import Settings, secret_values
from telemetry import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from api.gateway import Gateway
    from api.journal import JournalView
    from db.pool import Pool
    from telemetry import Telemetry


_HEXADECIMAL: Final = re.compile("~((?:[0-9a-f]{2})+)")


class _AnyText(BaseConverter):
    """The rest of a path, slashes included.

    `~` and hexadecimal digits stand for the characters that they are the codes of: so a text can be
    named that a path cannot hold (`..`), or that ends as another path does (`x/why`).
    """

    regex = ".+"
    part_isolating = False

    def to_python(self, value: str) -> str:
        """Give the text that a part of a path stands for."""
        digits = _HEXADECIMAL.fullmatch(value)
        return bytes.fromhex(digits[1]).decode("latin-1") if digits else value


_NOUNS = (
    *(health, metrics, config, phases, streams, candles, coins, analytics, actors, trackers),
    *(resize, lens, feed, ledger, dead_letters, crash_reports),
)


def _wall_us() -> int:
    return time.time_ns() // 1_000


def create_app(
    gateway: Gateway,
    settings: Settings,
    telemetry: Telemetry,
    database: Pool,
    *,
    journal: JournalView | None = None,
    redactor: Redactor | None = None,
    try_database: Callable[[str], str | None] = try_to_connect,
    monotonic_s: Callable[[], float] = time.monotonic,
    now_us: Callable[[], int] = _wall_us,
) -> Flask:
    """Make the application. It asks the supervisor and uses the database; it owns neither.

    Args:
        gateway: The supervisor's address.
        settings: The values in force at the start.
        telemetry: The metrics to show, and to count requests in.
        database: A pool, best one of its own with a statement timeout of a few seconds.
        journal: How to look into the journal; None while there is none.
        redactor: What masks secrets, if it is shared with others; it learns those of new settings.
        try_database: Says why a new database cannot be used; None: it can.
        monotonic_s: The clock of `uptime_seconds` while the supervisor does not answer.
        now_us: UTC in microseconds, where streams begin and analytics look back from.
    """
    app = OpenAPI(
        "mintwatch",
        info=Info(title="mintwatch", version=_version(), description=_DESCRIPTION),
        security_schemes=_security(settings),
        openapi_extensions=_security_needed(settings),
        validation_error_status=400,
        validation_error_model=Problem,
        validation_error_callback=problems.invalid,
        doc_ui=False,
        static_folder=None,
    )
    # Columns and settings are shown in the order in which they are defined.
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's default provider
    # A mint may hold any printable character, slashes included.
    app.url_map.merge_slashes = False
    app.url_map.converters["text"] = _AnyText
    surroundings = Services(
        gateway=gateway,
        settings=settings,
        telemetry=telemetry,
        database=Database(database, monotonic_s, telemetry.db_query_duration_seconds.observe),
        redactor=redactor or Redactor(secret_values(settings)),
        monotonic_s=monotonic_s,
        now_us=now_us,
        started_s=monotonic_s(),
        journal=journal,
        try_database=try_database,
    )
    attach(surroundings, app.extensions)
    auth.register(app, settings)
    problems.register(app)
    for noun in _NOUNS:
        app.register_api(noun.blueprint)
    app.register_blueprint(docs.blueprint)
    if settings.api_prefix is not None:
        successor.mount(app, settings.api_prefix)
    app.after_request(_counting(telemetry))
    return app


def _counting(telemetry: Telemetry) -> Callable[[Response], Response]:
    def count(answer: Response) -> Response:
        telemetry.api_requests.labels(route=_route(), status=str(answer.status_code)).inc()
        return answer

    return count


def _route() -> str:
    """Name the present request's route: one of a fixed set, whatever the request holds."""
    if g.get("is_refused", False):
        # One name for all routes: otherwise those who may not call could make a series of each.
        return "refused"
    # The rule, not the path: paths hold mints.
    rule = "unmatched" if request.url_rule is None else request.url_rule.rule
    return rule.replace("<text:", "{").replace("<", "{").replace(">", "}")


def _security(settings: Settings) -> dict[str, Any]:
    if settings.api_token is None:
        # Without any, the document would hold a null, which OpenAPI does not allow.
        return {}
    return {"bearer": {"type": "http", "scheme": "bearer"}}


def _security_needed(settings: Settings) -> dict[str, Any]:
    return {} if settings.api_token is None else {"security": [{"bearer": []}]}


def _version() -> str:
    try:
        return version("mintwatch")
    except PackageNotFoundError:
        return "0"


_DESCRIPTION = (
    "Watches every new coin on pump.fun. Amounts are in SOL, times in UTC, durations in seconds; "
    "errors are application/problem+json."
)
