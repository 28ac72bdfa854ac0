"""From the notes of a coin's timeline to sentences in plain words. Pure."""

from __future__ import annotations

import math
from string import Formatter
from typing import TYPE_CHECKING, Final

from api.health import iso
from api.lens_bodies import WhyNote, WhyResponse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actors.runtime.chronicle import Detail, Note
    from api.masking import Mask

_CHARACTERS: Final = 400
"""Of one text among the details: names come from strangers."""
_WORDS: Final[dict[str, str]] = {
    "discovered": "It was discovered.",
    "filtered": "It was filtered out: {reason}.",
    "cached": "It waits in the cache for its activation.",
    "activated": "It was activated by {by}.",
    "expired": "Nobody activated it in time: it left the cache.",
    "evicted": "It left the cache, which was full.",
    "graduated_in_cache": "It graduated while it was in the cache.",
    "handed_over": "Its {trades} cached trades were handed to its tracker.",
    "subscription": "Its subscription is {state}.",
    "routed": "Its trades go to its tracker.",
    "unrouted": "Its trades go to its tracker no longer.",
    "parked": "{trades} trades wait in the journal, because its tracker takes none.",
    "unparked": "What waited in the journal was handed to its tracker.",
    "gap": "Its trades were not observed for a while.",
    "n8n_stored": "It was stored for n8n.",
    "n8n_sent": "It was sent to n8n, which answered {status}.",
    "n8n_dead": "It will not be sent to n8n: it is among the dead letters.",
    "stream_committed": "Its row in coin_streams was written.",
    "row_dead": "The database refused a row of it: it is among the dead letters.",
    "stream_seen_active": "Its row in coin_streams was seen to be active.",
    "stream_seen_inactive": "Its row in coin_streams was seen to be inactive.",
    "notes_left_out": "{notes} notes between the first and the newest ones are not kept.",
}
"""What is said of an event; details that a sentence does not use follow it in brackets."""


def why_of(mint: str, notes: Sequence[Note], mask: Mask) -> WhyResponse:
    """Show the timeline of a mint, with secrets masked."""
    shown = [note_of(note, mask) for note in notes]
    return WhyResponse(mint=mint, notes=shown, count=len(shown))


def note_of(note: Note, mask: Mask) -> WhyNote:
    """Show one note, with secrets masked."""
    details = {name: _shown(value, mask) for name, value in note.details.items()}
    return WhyNote(
        at=iso(note.at_us),
        actor=note.actor,
        event=note.what,
        details=details,
        text=sentence(note.what, details),
    )


def sentence(what: str, details: Mapping[str, Detail]) -> str:
    """Say in plain words what has happened, with every detail."""
    template = _WORDS.get(what, _plain(what))
    used = {name for _, name, _, _ in Formatter().parse(template) if name}
    if not used <= details.keys():
        template, used = _plain(what), set()
    # Part by part, so that a detail may hold braces of its own.
    said = "".join(
        before + (_word(details[name]) if name else "")
        for before, name, _, _ in Formatter().parse(template)
    )
    rest = ", ".join(
        f"{name.replace('_', ' ')} {_word(value)}"
        for name, value in details.items()
        if name not in used and value is not None
    )
    return f"{said[:-1]} ({rest})." if rest else said


def _shown(value: Detail, mask: Mask) -> Detail:
    match value:
        case str():
            return mask.text(value)[:_CHARACTERS]
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return value


def _plain(what: str) -> str:
    """Turn the name of an event that has no sentence of its own into one."""
    words = what.replace("_", " ").replace("{", "(").replace("}", ")")
    return f"{words.capitalize()}."


def _word(value: Detail) -> str:
    match value:
        case True:
            return "yes"
        case False:
            return "no"
        case float():
            return f"{value:g}"
        case _:
            return str(value)
