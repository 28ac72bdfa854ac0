"""The port of the shard: the one way from the feed's side to trackers.

A shard is a set of mints with their trackers and the postgres-writers of those. Everything else
(connection, journal, discovery, n8n-writer, stream-watch, supervisor, API) is the feed's side. It
touches no tracker and no writer: it sends messages, each of which could be sent to another process
(a test holds that), and what a shard has not committed can be sent again from the journal. Today
every shard is in this process, and the port is a call.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

from actors.protocol.supervisor import tracker_name
from actors.protocol.tracker import TradesArrived

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain import Migration, Mint, Trade
    from actors.runtime import Context, Ref

VIRTUAL_SHARDS: Final = 64
"""Mints are dealt out to so many parts; a process takes whole parts."""


def virtual_shard(mint: Mint) -> int:
    """Give the part that a mint belongs to, 0 to 63: the same in every process, for ever."""
    return zlib.crc32(mint.encode("utf-8", "surrogatepass")) % VIRTUAL_SHARDS


class Shard:
    """See the module's docstring. Never blocks, never raises."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._routed: dict[Mint, Ref] = {}
        """Those that events were delivered to: looking a name up costs as much as a send."""

    def deliver(self, mint: Mint, events: Sequence[Trade | Migration]) -> bool:
        """Hand on a mint's events of one slice, in order; False: refused, all of them."""
        ref = self._routed.get(mint)
        if ref is None:
            ref = self._routed[mint] = self._tracker(mint)
        return ref.offer(TradesArrived(tuple(events)))

    def tell(self, mint: Mint, message: Any) -> bool:
        """Send a message to a mint's tracker; False: refused, and still the sender's."""
        return self._tracker(mint).offer(message)

    def room(self, mint: Mint) -> int:
        """How many events its tracker would take now; 0 when there is none to handle them."""
        return self._tracker(mint).room

    def tracks(self, mint: Mint) -> bool:
        """Whether the mint has a tracker that has not ended."""
        return self._tracker(mint).running

    def forget(self, mint: Mint) -> None:
        """Keep nothing of a mint that is routed no more."""
        self._routed.pop(mint, None)

    def _tracker(self, mint: Mint) -> Ref:
        return self._routed.get(mint) or self._context.ref(tracker_name(mint))
