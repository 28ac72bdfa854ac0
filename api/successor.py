"""The paths of pump-platform, the original's successor: our routes once more, below API_PREFIX.

Guarantees: a request is checked (`api.auth`), bounded and answered as under our own path, because
it is the same route of the same application. A path of ours is never replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from api.gateway import NotAnswered
from api.health.routes import health
from api.services import Services, services

if TYPE_CHECKING:
    from flask import Flask

_HEALTH: Final = "/health"
_SHARED: Final = frozenset(
    {
        "/config",
        "/reload-config",
        "/database/phases",
        "/database/phases/<id>",
        "/database/streams",
        "/database/streams/stats",
        "/database/metrics",
        "/database/coins/<text:mint>",
        "/analytics/<text:mint>",
    }
)
"""Rules of ours that it has as well, without `/database`. So its `/metrics` gives rows."""
_AUTOMATIC: Final = frozenset({"HEAD", "OPTIONS"})
"""Methods that Flask adds to a rule by itself."""


def mount(app: Flask, prefix: str) -> None:
    """Serve the successor's paths below a prefix. All of our rules must be registered already."""
    for rule in list(app.url_map.iter_rules()):
        if rule.rule in _SHARED:
            theirs = prefix + rule.rule.removeprefix("/database")
            methods = (rule.methods or set()) - _AUTOMATIC
            app.add_url_rule(theirs, endpoint=rule.endpoint, methods=methods)
    app.add_url_rule(prefix + _HEALTH, endpoint="successor.health", view_func=_health)


def _health() -> dict[str, Any]:
    """Say what `/health` does, with the fields that only its clients look for."""
    answer: dict[str, Any] = health()
    has_no_url = {"n8n_no_url": _has_no_url(services())}
    stats = answer["discovery_stats"] | has_no_url
    return answer | has_no_url | {"discovery_stats": stats, "module": "find"}


def _has_no_url(known: Services) -> bool:
    try:
        settings = known.settings_in_force()
    except NotAnswered:
        # Health is always answered.
        settings = known.settings
    return settings.n8n_webhook_url is None
