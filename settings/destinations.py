"""For which destination a secret was given: it goes to that scheme, host and port alone. Pure.

Guarantees: where the address changes and its secret was not given with it, no settings come of it
but those without the secret. So nobody who may change an address learns a secret by it.
Not guaranteed: anything about an address in the environment or the `.env` file. Whoever writes
there sees the secrets that stand beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from settings.masking import Secret
from settings.model import Settings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class Bound(NamedTuple):
    """A setting that is a secret, and the one that says where it is sent."""

    secret: str
    address: str


BOUND: Final = (
    Bound("n8n_auth_header", "n8n_webhook_url"),
    Bound("pumpportal_api_key", "ws_uri"),
)


def destination(address: str | Secret | None) -> str | None:
    """Give the scheme, host and port of an address; None without one."""
    text = address.get_secret_value() if isinstance(address, Secret) else address
    if not text:
        return None
    try:
        parts = urlsplit(text)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.hostname}:{port}" if parts.hostname else None


def refused_changes(
    before: Settings,
    after: Settings,
    environ_base: Mapping[str, str],
    changes: Mapping[str, object],
    changed_earlier: Collection[str],
) -> list[str]:
    """Say which secrets a change would send to another destination, a sentence each.

    Args:
        before: The settings in force.
        after: The settings as they would be.
        environ_base: The texts that hold without any change, by setting name.
        changes: The change by attribute; None gives a setting back to the environment. What it does
            not name stays as it is, and goes where it goes already.
        changed_earlier: Attributes whose value comes from an earlier change.
    """
    errors: list[str] = []
    for bound in BOUND:
        goes_to = destination(getattr(after, bound.address))
        is_looked_at = not changes.keys().isdisjoint(bound) and changes.get(bound.secret) is None
        if goes_to is None or not is_looked_at or getattr(after, bound.secret) is None:
            continue
        if bound.secret in changed_earlier:
            home = destination(getattr(before, bound.address))
        else:
            home = _home(bound, environ_base)
        if goes_to != home:
            errors.append(
                f"{_belongs(bound, home)}, and is not sent to {goes_to}: give it again with this "
                f'change, or "" to send none.'
            )
    return errors


def stray_secrets(
    settings: Settings, environ_base: Mapping[str, str], changed_earlier: Collection[str]
) -> dict[str, str]:
    """Name the secrets of the environment that a kept change would send elsewhere, and say so."""
    found: dict[str, str] = {}
    for bound in BOUND:
        goes_to, home = destination(getattr(settings, bound.address)), _home(bound, environ_base)
        is_set = getattr(settings, bound.secret) is not None
        if is_set and bound.secret not in changed_earlier and goes_to not in {None, home}:
            found[bound.secret] = (
                f"{_belongs(bound, home)}, and is not sent to {goes_to}, which "
                f"{bound.address.upper()} was changed to: give it for that with "
                f"`mintwatch config set {bound.secret}=-`."
            )
    return found


def _home(bound: Bound, environ_base: Mapping[str, str]) -> str | None:
    default = Settings.model_fields[bound.address].default
    return destination(environ_base.get(bound.address.upper(), default))


def _belongs(bound: Bound, home: str | None) -> str:
    return f"{bound.secret.upper()} was given for {home or 'no address'}"
