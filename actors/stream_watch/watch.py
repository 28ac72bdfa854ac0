"""Which streams others have started or stopped. Pure: the database's answers come in as arguments.

Purpose: turn what polls and notifications say about `coin_streams` into commands, without being
misled by changes of our own that are not committed yet.
Guarantees: a mint with a pending change of ours is neither tracked nor untracked because of what
the database says; if a reading contradicted the change meanwhile, or a change was given up, the
mint is due to be read again once the last of its changes has ended. A stream whose end was given up
stays ended here: as long as the database goes on calling it active it is not begun again, since its
tracker would only end, and be refused, once more.
Relies on: one thread; a reading is handled with the pending changes as they were when it was made,
because the commit of a change is told behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from actors.backoff import backoff_s
from actors.domain import QUOTE_MINTS, Mint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet


_LONGEST_MINT: Final = 64
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0

REMEMBERED_REFUSALS: Final = 1_000
"""How many refused addresses are remembered; further ones are ignored without a warning."""


class Changes(msgspec.Struct, frozen=True):
    """What a reading asks for, each in the order of the reading."""

    started: tuple[Mint, ...] = ()
    """Active in the database and not tracked yet, as far as we told."""
    stopped: tuple[Mint, ...] = ()
    """Tracked, as far as we told, and gone or inactive in the database."""


class _PendingChange:
    __slots__ = ("active", "changes", "contradicted", "given_up")

    def __init__(self) -> None:
        self.active = False
        self.changes = 0
        self.contradicted = False
        self.given_up = False


class Watch:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._tracked: set[Mint] = set()
        self._pending: dict[Mint, _PendingChange] = {}
        self._refused: set[str] = set()
        self._kept_ended: set[Mint] = set()

    @property
    def tracked(self) -> frozenset[Mint]:
        """The mints that should be tracked, as far as is known here."""
        return frozenset(self._tracked)

    @property
    def pending(self) -> Mapping[Mint, bool]:
        """The mints with changes of ours under way, and whether they will be active."""
        return {mint: change.active for mint, change in self._pending.items()}

    def change_pending(self, mint: Mint, *, active: bool) -> None:
        """Note a change of ours that is on its way: from now on `active` is what counts."""
        change = self._pending.setdefault(mint, _PendingChange())
        change.active = active
        self._kept_ended.discard(mint)
        change.changes += 1
        if active:
            self._tracked.add(mint)
        else:
            self._tracked.discard(mint)

    def changes_committed(self, mints: Iterable[Mint]) -> frozenset[Mint]:
        """Note committed changes of ours, one entry each; return the mints to be read again now.

        A commit that nobody announced is that of a change that was given up before: whatever it
        wrote, the database is right.
        """
        mints = list(mints)
        for mint in mints:
            if mint not in self._pending:
                self._kept_ended.discard(mint)
        return frozenset(mint for mint in mints if self._settled(mint, given_up=False))

    def changes_given_up(self, mints: Iterable[Mint]) -> frozenset[Mint]:
        """Note changes of ours that will not be committed; return the mints to be read again now.

        One that nobody announced is ignored.
        """
        return frozenset(mint for mint in list(mints) if self._settled(mint, given_up=True))

    def _settled(self, mint: Mint, *, given_up: bool) -> bool:
        """Count a change as ended; True when it was the last one and the mint is to be read."""
        change = self._pending.get(mint)
        if change is None:
            return False
        change.changes -= 1
        change.given_up |= given_up
        if change.changes > 0:
            return False
        del self._pending[mint]
        if change.given_up and not change.active:
            self._kept_ended.add(mint)
        return change.contradicted or change.given_up

    def read_all(self, active: Iterable[Mint]) -> Changes:
        """Compare with every stream that is active in the database."""
        found = dict.fromkeys(active)
        return self._compare(found, self._tracked | self._pending.keys() | self._kept_ended)

    def read_some(self, asked: Iterable[Mint], active: Iterable[Mint]) -> Changes:
        """Compare with those of the mints `asked` about that are active in the database."""
        return self._compare(dict.fromkeys(active), set(asked))

    def told(self, changes: Changes) -> None:
        """Note that commands for these changes were handed on."""
        self._tracked.update(changes.started)
        self._tracked.difference_update(changes.stopped)

    def refuse(self, address: str) -> str | None:
        """Say why an address is no coin, the first time it is met; else None.

        `is_coin` gives the answer itself.
        """
        if is_coin(address) or address in self._refused:
            return None
        if len(self._refused) >= REMEMBERED_REFUSALS:
            return None
        self._refused.add(address)
        return "quote mint" if address in QUOTE_MINTS else "not 1 to 64 printable ASCII characters"

    def _compare(self, active: dict[Mint, None], known: AbstractSet[Mint]) -> Changes:
        for mint, change in self._pending.items():
            if mint in known and (mint in active) != change.active:
                change.contradicted = True
        self._kept_ended -= {mint for mint in self._kept_ended & known if mint not in active}
        gone = (mint for mint in known if mint not in active and mint in self._tracked)
        return Changes(
            started=tuple(m for m in active if m not in self._tracked and self._free(m)),
            stopped=tuple(sorted(mint for mint in gone if self._free(mint))),
        )

    def _free(self, mint: Mint) -> bool:
        return mint not in self._pending and mint not in self._kept_ended


def is_coin(address: str) -> bool:
    """Say whether an address can be a coin: 1 to 64 printable ASCII characters, no quote mint."""
    return (
        0 < len(address) <= _LONGEST_MINT
        and all("!" <= character <= "~" for character in address)
        and address not in QUOTE_MINTS
    )


def pause_s(failures: int, jitter: float) -> float:
    """Say how long to wait before the next connection: 0.5 s doubling to 30 s.

    Args:
        failures: At least 1.
        jitter: A random number in 0..1 that shortens the pause by up to a half.
    """
    return backoff_s(failures, FIRST_PAUSE_S, LONGEST_PAUSE_S, chance=jitter, jitter=0.5)
