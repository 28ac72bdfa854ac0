"""The raw frames of one mint, as the journal has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.health.views import iso
from api.trackers.schemas import JournalResponse, RawFrame

if TYPE_CHECKING:
    from api.journal import Found
    from telemetry import Redactor

FRAME_CHARACTERS: Final = 16_384
"""Of one frame; a usual one has 600."""
ANSWER_CHARACTERS: Final = 2_000_000
"""Of all frames together: what a client that does not read makes the server keep."""


def journal_of(mint: str, found: Found, limit: int, redactor: Redactor) -> JournalResponse:
    """Show the frames, the newest ones as far as the answer's bound allows."""
    left, shown = ANSWER_CHARACTERS, list[RawFrame]()
    for frame in reversed(found.frames):
        text = redactor.text(frame.data.decode("utf-8", "replace"))
        left -= min(len(text), FRAME_CHARACTERS)
        if left < 0:
            break
        shown.append(
            RawFrame(
                seq=frame.seq,
                at=iso(frame.at_us),
                frame=text[:FRAME_CHARACTERS],
                cut=len(text) > FRAME_CHARACTERS,
            )
        )
    return JournalResponse(
        mint=mint,
        frames=shown[::-1],
        count=len(shown),
        limit=limit,
        complete=found.complete and len(shown) == len(found.frames),
    )
