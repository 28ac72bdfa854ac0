"""Where what was journalled is read from: by the recovery, and for trades that were parked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.domain import Mint
    from actors.journal.records import Record


class NoHistory:
    """No earlier process has kept anything."""

    def records(
        self,
        *,
        since_us: int = 0,  # noqa: ARG002 - there is nothing to choose from
        before_seq: int | None = None,  # noqa: ARG002
        mint: Mint | None = None,  # noqa: ARG002
    ) -> Iterator[Record]:
        """Walk nothing."""
        return iter(())

    def steps(
        self,
        *,
        since_us: int = 0,  # noqa: ARG002 - as above
        before_seq: int | None = None,  # noqa: ARG002
        mint: Mint | None = None,  # noqa: ARG002
    ) -> Iterator[Record | None]:
        """Walk nothing."""
        return iter(())


NO_HISTORY: Final = NoHistory()


class MintHistory(Protocol):
    """Where the records of earlier processes are read from, oldest first."""

    def records(
        self, *, since_us: int = 0, before_seq: int | None = None, mint: Mint | None = None
    ) -> Iterator[Record]:
        """Walk the records from a time on, up to a sequence number, of one mint or of all."""

    def steps(
        self, *, since_us: int = 0, before_seq: int | None = None, mint: Mint | None = None
    ) -> Iterator[Record | None]:
        """Walk the records as `records` does, and give None now and then on the way."""
