"""What the auditor publishes."""

from __future__ import annotations

from actors.runtime.messages import Message


class AuditStatus(Message, frozen=True):
    """What the sampled audits of this process have found. Published after each round.

    `checked` to `unchecked` count windows, and runs of trades in no window, since the start.
    `missing` to `extra` are those that nothing explains,
    each once, of the last hour.
    """

    rounds: int = 0
    checked: int = 0
    ok: int = 0
    pending: int = 0
    explained: int = 0
    unchecked: int = 0
    missing: int = 0
    different: int = 0
    overlap: int = 0
    extra: int = 0
    since_us: int | None = None
    """When the first of those was found; None: there is none."""
    last_at_us: int | None = None
    """When the last round ended."""
    examples: tuple[str, ...] = ()
    """At most three of those, newest first, as a sentence each."""
    last_error: str | None = None
    """Why the last round could not be made; None: it could."""

    @property
    def example(self) -> str:
        """The newest of them; empty: there is none."""
        return self.examples[0] if self.examples else ""
