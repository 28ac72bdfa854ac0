"""From the notes of a coin's timeline to sentences in plain words. Pure."""

from __future__ import annotations

import math
from string import Formatter
from typing import TYPE_CHECKING, Final

from api.health.views import iso
from api.trackers.schemas import WhyNote, WhyResponse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actors.runtime.inspection.timeline import Detail, Note
    from telemetry import Redactor

_CHARACTERS: Final = 400
"""Of one text among the details: names come from strangers."""
_LATEST_US: Final = 4_102_444_800_000_000
"""The year 2100: a number beyond it is no time."""
WORDS: Final[dict[str, str]] = {
    # In the cache.
    "discovered": "It was discovered.",
    "filtered": "It was filtered out: {reason}.",
    "cached": "It waits in the cache for its activation.",
    "activated": "It was activated by {by}.",
    "expired": "Nobody activated it in time: it left the cache.",
    "evicted": "It left the cache, which was full.",
    "graduated_in_cache": "It graduated while it was in the cache.",
    "handed_over": "Its {trades} cached trades were handed to its tracker.",
    # On its way to its tracker.
    "subscription": "Its subscription is {state}.",
    "subscription_renewed": "Its subscription was asked for again.",
    "covered": "Its trades reach this machine from {since_us} on.",
    "gap": "Its trades do not reach this machine from {since_us} on.",
    "routed": "Its trades go to its tracker.",
    "unrouted": "Its trades go to its tracker no longer.",
    "parked": "{trades} trades wait in the journal, because its tracker takes none.",
    "unparked": "The {trades} trades that waited in the journal were handed to its tracker.",
    "parked_left_to_the_next_start": "What waits in the journal is left to the next start.",
    "parked_trades_lost": "{trades} trades that waited in the journal are lost: {cause}.",
    # In its tracker.
    "tracking": "It is tracked from phase {phase_id} on, because of {by}.",
    "not_tracked": "It is not tracked: {cause}.",
    "tracking_ends": "Its tracker is to end: {cause}.",
    "phase_chosen": "It was moved to phase {phase_id} by an operator.",
    "phase_moved": "It moved to phase {phase_id}.",
    "graduated": "It graduated; its last window is written.",
    "finished": "It outlived its last phase; its last window is written.",
    "cut": "Its window was cut and written, because the service stops or its stream has ended.",
    "hand_over_missing": "Discovery handed nothing over: its tracker went on without after "
    "{waited_s}.",
    "window_lost": "The {trades} trades of its open window are lost with its tracker.",
    "tracker_failed": "Its tracker failed: {error}.",
    "quarantined": "Its tracker was put in quarantine: {cause}.",
    "revived": "Its tracker was revived by {by}.",
    "restarted": "Its tracker was restarted by {by}.",
    "paused": "Its tracker was paused by {by}.",
    "resumed": "Its tracker was resumed by {by}.",
    "traced": "Its tracker was traced by {by}.",
    "pinned": "It was pinned by {by}.",
    "unpinned": "It was unpinned by {by}.",
    # On its way out.
    "n8n_stored": "It was stored for n8n.",
    "n8n_sent": "It was sent to n8n, which answered {status}.",
    "n8n_dead": "It will not be sent to n8n: its batch is among the dead letters.",
    "stream_committed": "Its row in coin_streams was written.",
    "row_dead": "The database refused a row of it: {error}.",
    "row_conflict": "A row of it is there already, with other figures: ours was kept aside.",
    "trade_conflict": "A trade of it is stored already, with another amount or price.",
    "trade_refused": "The database refused to store a trade of it: {error}.",
    "coin_refused": "The database refused its description: {error}.",
    "stream_seen_active": "Its row in coin_streams was seen to be active.",
    "stream_seen_inactive": "Its row in coin_streams was seen to be inactive.",
    "notes_left_out": "{notes} notes between the first and the newest ones are not kept.",
}
"""What is said of an event; details that a sentence does not use follow it in brackets."""


def why_of(mint: str, notes: Sequence[Note], redactor: Redactor) -> WhyResponse:
    """Show the timeline of a mint, with secrets masked."""
    shown = [note_of(note, redactor) for note in notes]
    return WhyResponse(mint=mint, notes=shown, count=len(shown))


def note_of(note: Note, redactor: Redactor) -> WhyNote:
    """Show one note, with secrets masked."""
    details = {name: _shown(value, redactor) for name, value in note.details.items()}
    return WhyNote(
        at=iso(note.at_us),
        actor=note.actor,
        event=note.what,
        details=details,
        text=sentence(note.what, details),
    )


def sentence(what: str, details: Mapping[str, Detail]) -> str:
    """Say in plain words what has happened, with every detail."""
    template = WORDS.get(what, _plain(what))
    used = {name for _, name, _, _ in Formatter().parse(template) if name}
    if not used <= details.keys():
        template, used = _plain(what), set()
    # Part by part, so that a detail may hold braces of its own.
    said = "".join(
        before + (_word(name, details[name]) if name else "")
        for before, name, _, _ in Formatter().parse(template)
    )
    rest = ", ".join(
        f"{_label(name)} {_word(name, value)}"
        for name, value in details.items()
        if name not in used and value is not None
    )
    return f"{said[:-1]} ({rest})." if rest else said


def _shown(value: Detail, redactor: Redactor) -> Detail:
    match value:
        case str():
            return redactor.text(value)[:_CHARACTERS]
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return value


def _plain(what: str) -> str:
    """Turn the name of an event that has no sentence of its own into one."""
    words = what.replace("_", " ").replace("{", "(").replace("}", ")")
    return f"{words.capitalize()}."


def _label(name: str) -> str:
    """Take the unit off a name: the value is written with it."""
    return name.removesuffix("_us").removesuffix("_s").replace("_", " ")


def _word(name: str, value: Detail) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int() if name.endswith("_us") and 0 <= value < _LATEST_US:
            return iso(value)
        case int() | float() if name.endswith("_s"):
            return f"{value:g} s"
        case float():
            return f"{value:g}"
        case None:
            return "nothing"
        case _:
            # Nothing may end the sentence twice.
            return str(value).rstrip(".")
