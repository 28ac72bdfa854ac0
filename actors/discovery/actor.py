"""The discovery actor: what becomes of every create, and of every event that has no route.

Purpose: filter new coins, cache the others with their trades, hand a coin over to its tracker.
Guarantees: each event is decided alone; every trade is moved to one place of the ledger in the turn
that handles it; a tracker gets all that was cached of its mint, in one message and before
`HandOverDone`; expiry runs on the feed clock, so a replay decides as the live feed did.
Relies on: `RouteSwitched` and `RouteClosed` stand in the mailbox behind the mint's earlier events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.discovery.coin_cache import CachedCoin, is_full
from actors.discovery.coin_filter import FilterReason
from actors.domain import Coin, Drop, Migration, Mint, Place, Trade
from actors.protocol.connection import UnwatchMint, WatchMint
from actors.protocol.discovery import (
    CacheStatus,
    CoinsDelivered,
    CoinsRemembered,
    RouteClosed,
    RouteSwitched,
)
from actors.protocol.n8n_writer import CoinDiscovered
from actors.protocol.postgres_writer import StreamStarted
from actors.protocol.shard import Shard
from actors.protocol.stream_watch import StreamChangePending
from actors.protocol.supervisor import (
    CONNECTION,
    N8N_WRITER,
    STREAM_WATCH,
    SUPERVISOR,
    CachedCoinReport,
    Drained,
    GetLiveCoin,
    TrackMint,
    tracker_name,
)
from actors.protocol.tracker import (
    CreatorBuy,
    HandOver,
    HandOverDone,
    PhasesChanged,
)
from actors.runtime import Actor, Flush, SettingsChanged, ToSelf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.discovery.state import DiscoveryState
    from actors.protocol.partitioner import WriterRoutes
    from actors.runtime import Context

_EXPIRY = "expiry"


class _ExpiryDue(ToSelf, frozen=True):
    """The oldest coin of the cache has waited long enough at `at_us` of the feed clock."""

    at_us: int


class DiscoveryActor(Actor):
    """See the module's docstring. Runs on the shared dispatcher and never blocks."""

    def __init__(self, context: Context, state: DiscoveryState, routes: WriterRoutes) -> None:
        """Take what is known, and the way to the postgres-writers."""
        super().__init__(context)
        self._state = state
        self._routes = routes
        self._shard = Shard(context)
        self._armed_us: int | None = None

    def on_start(self) -> None:
        """Take the rules from the settings and go on with what is cached.

        Raises:
            ValueError: The pattern for bad names is empty or invalid.
        """
        self._change_rules()

    def on_receive(self, message: Any) -> Any:  # noqa: C901 - one arm a message
        """Handle one message, or one event of a `FeedSlice`."""
        match message:
            case Trade():
                self._expire_before(message.arrived_us)
                self._trade(message)
            case Coin():
                self._expire_before(message.arrived_us)
                self._create(message)
            case Migration():
                self._expire_before(message.arrived_us)
                self._migration(message)
            case CoinsRemembered(coins=coins):
                self._remember(coins)
            case RouteSwitched(mint=mint):
                self._hand_over(mint)
            case RouteClosed(mint=mint):
                self._state.tracked.discard(mint)
            case CoinsDelivered(mints=mints):
                self._delivered(mints)
            case PhasesChanged(phases=phases):
                self._state.choose_first_phase(phases)
            case _ExpiryDue(at_us=at_us):
                self._expire(at_us)
            case SettingsChanged():
                self._change_rules()
            case GetLiveCoin(mint=mint):
                return self._report(mint)
            case Flush():
                # Behind everything that was read: what follows from it has been told by now.
                self.context.tell(SUPERVISOR, Drained(name=self.context.name, undelivered=0))
        return None

    # Events of the feed.

    def _create(self, coin: Coin) -> None:
        state = self._state
        first = self._first_signature(coin.mint)
        if first == coin.signature:
            self._drop_buy(coin, Place.DUPLICATE, Drop.DUPLICATE_CREATE)
            self.context.telemetry.duplicates.inc(int(coin.buy is not None))
        elif first is not None:
            # The coin is known. What is new is the buy, a trade like any other.
            if coin.buy is not None:
                self._trade(coin.buy)
        elif coin.mint in state.tracked:
            self._tracked_coin(coin)
        else:
            self._new_coin(coin)

    def _first_signature(self, mint: Mint) -> str | None:
        """Give the signature that created a coin; None when no create of it is known."""
        entry = self._state.cache.get(mint)
        return self._state.recent.signature(mint) if entry is None else entry.coin.signature

    def _remember(self, coins: tuple[Coin, ...]) -> None:
        """Know coins that were dealt with before a restart: their names still count.

        The n8n-writer knows which of them are in batches already.
        """
        for coin in coins:
            if coin.mint in self._state.recent:
                continue
            self._state.recent.add(coin)
            if self._state.coin_filter.check(coin, coin.arrived_us) is None:
                self.context.tell(N8N_WRITER, CoinDiscovered(coin))

    def _tracked_coin(self, coin: Coin) -> None:
        """Take a create that comes behind the start of its stream.

        Somebody else started it; or this process replays what came before a crash, and the coin may
        not have been on its way to n8n yet (the n8n-writer knows what is in its batches).
        """
        if self._passes(coin):
            self.context.tell(N8N_WRITER, CoinDiscovered(coin))
        if not self._shard.tell(coin.mint, CreatorBuy(coin)):
            buy = () if coin.buy is None else (coin.buy,)
            self._insist(coin.mint, (*buy, HandOverDone(coin.mint, coin)))

    def _new_coin(self, coin: Coin) -> None:
        if self._passes(coin):
            self._accept(coin)
        else:
            self._drop_buy(coin, Place.FILTERED, Drop.FILTERED)

    def _passes(self, coin: Coin) -> bool:
        """Say whether the filter lets a coin pass, and remember that it was seen."""
        reason = self._state.coin_filter.check(coin, coin.arrived_us)
        if reason is not FilterReason.QUOTE_MINT:
            # A quote mint stands for any number of coins, so it is never "seen before".
            self._state.recent.add(coin)
        if reason is not None:
            self.context.telemetry.coins_filtered.labels(reason=reason.value).inc()
            if reason is not FilterReason.QUOTE_MINT:
                self.context.note(coin.mint, "filtered", reason=reason.value, name=coin.name)
            return False
        self.context.telemetry.coins_received.inc()
        self._state.discovered += 1
        self.context.note(
            coin.mint, "discovered", name=coin.name, symbol=coin.symbol, price_sol=coin.price_sol
        )
        return True

    def _accept(self, coin: Coin) -> None:
        entry = self._state.cache.add(coin)
        self._move_buy(coin, Place.CACHED)
        self.context.note(coin.mint, "cached")
        self.context.tell(CONNECTION, WatchMint(coin.mint))
        self.context.tell(N8N_WRITER, CoinDiscovered(coin))
        self._entry_changed(entry, coin.arrived_us, coin.virtual_sol_lamports)

    def _trade(self, trade: Trade) -> None:
        entry = self._state.cache.get(trade.mint)
        if entry is None:
            self._uncached_trade(trade)
        elif self._state.cache.add_trade(entry, trade):
            self.context.ledger.move(Place.QUEUED, Place.CACHED)
            self._entry_changed(entry, trade.arrived_us, trade.virtual_sol_lamports)
        else:
            self.context.ledger.move(Place.QUEUED, Place.DUPLICATE)
            self.context.telemetry.duplicates.inc()
            self._dropped(Drop.DUPLICATE_CACHED)

    def _uncached_trade(self, trade: Trade) -> None:
        if trade.mint in self._state.tracked:
            self._insist(trade.mint, (trade,))
        else:
            self.context.ledger.move(Place.QUEUED, Place.ORPHAN)
            self._dropped(Drop.ORPHAN_UNCACHED)

    def _migration(self, migration: Migration) -> None:
        entry = self._state.cache.get(migration.mint)
        if entry is not None and entry.activated:
            entry.migration = migration
        elif entry is not None:
            self._graduated(entry)
            self._cache_changed()
        elif migration.mint in self._state.tracked:
            self._insist(migration.mint, (migration,))
        else:
            self._dropped(Drop.UNKNOWN_MIGRATION)

    # The cache.

    def _entry_changed(
        self, entry: CachedCoin, at_us: int, virtual_sol_lamports: int | None
    ) -> None:
        """Draw the consequences of a new coin or a new trade at `at_us` of arrival time."""
        settings = self.context.settings
        if not entry.activated and self._is_due(entry):
            self._activate(entry, at_us)
        if not entry.activated and is_full(
            virtual_sol_lamports, settings.sol_reserves_initial, settings.sol_reserves_full
        ):
            self._graduated(entry)
        else:
            self._evicted(self._state.cache.evict(entry))
        self._cache_changed()

    def _is_due(self, entry: CachedCoin) -> bool:
        settings = self.context.settings
        if settings.activation != "trades":
            return False
        return len(entry.trades) >= settings.activation_min_trades

    def _activate(self, entry: CachedCoin, at_us: int) -> None:
        entry.activated = True
        self.context.note(entry.coin.mint, "activated", by="trades", trades=len(entry.trades))
        coin, phase_id = entry.coin, self._state.first_phase_id
        # First of all, or a poll between the commit and this would not know the stream as ours.
        self.context.tell(STREAM_WATCH, StreamChangePending(coin.mint, active=True))
        started = StreamStarted(coin, phase_id, at_us)
        self._routes.tell(self.context, coin.mint, started)
        self.context.tell(
            SUPERVISOR,
            TrackMint(
                mint=coin.mint,
                phase_id=phase_id,
                started_us=at_us,
                by="trades",
                created_us=coin.arrived_us,
                creator=coin.creator or None,
            ),
        )

    def _graduated(self, entry: CachedCoin) -> None:
        """Let go of a coin that left the curve before anybody wanted it; n8n was told of it."""
        self._state.cache.remove(entry.coin.mint)
        self._let_go([entry], Drop.EXPIRED, "graduated_in_cache")

    def _change_rules(self) -> None:
        """Go by the settings in force: a shorter time or a smaller cache lets coins go at once."""
        self._state.reconfigure(self.context.settings)
        self._evicted(self._state.cache.shrink())
        self._expire(self.context.feed_us())

    def _evicted(self, evicted: Sequence[CachedCoin]) -> None:
        self._let_go(evicted, Drop.EVICTED, "evicted")
        self.context.telemetry.cache_evictions.inc(len(evicted))

    def _expire_before(self, at_us: int) -> None:
        """Let go of what was too old when this event arrived: its timer may come behind it."""
        if self._armed_us is not None and self._armed_us <= at_us:
            self._expire(at_us)

    def _expire(self, at_us: int) -> None:
        self._armed_us = None
        cache = self._state.cache
        self._let_go(cache.expire(at_us), Drop.EXPIRED, "expired")
        self._evicted(cache.give_up(at_us))
        self._cache_changed()

    def _let_go(self, entries: Sequence[CachedCoin], drop: Drop, note: str) -> None:
        for entry in entries:
            self.context.note(entry.coin.mint, note, trades=len(entry.trades))
            self.context.ledger.move(Place.CACHED, Place(drop.value), len(entry.trades))
            self._dropped(drop, len(entry.trades))
            self.context.tell(CONNECTION, UnwatchMint(entry.coin.mint))
        if drop is Drop.EXPIRED:
            self._state.expired += len(entries)
            self.context.telemetry.cache_expirations.inc(len(entries))

    def _delivered(self, mints: tuple[Mint, ...]) -> None:
        for mint in mints:
            entry = self._state.cache.get(mint)
            if entry is not None:
                entry.n8n_sent = True

    def _cache_changed(self) -> None:
        self._arm_expiry()
        state, stats = self._state, self._state.cache.stats()
        self.context.telemetry.cache_size.set(stats.total)
        self.context.publish(
            CacheStatus(
                total=stats.total,
                activated=state.activated,
                expired=state.expired,
                cached_trades=stats.trades,
                oldest_us=stats.oldest_us,
                newest_us=stats.newest_us,
                discovered=state.discovered,
            )
        )

    def _arm_expiry(self) -> None:
        due_us = self._state.cache.next_expiry_us()
        if due_us == self._armed_us:
            return
        if due_us is None:
            self.context.cancel(_EXPIRY)
        else:
            self.context.at(_EXPIRY, due_us, _ExpiryDue(due_us))
        self._armed_us = due_us

    # The way to a tracker.

    def _hand_over(self, mint: Mint) -> None:
        self._state.tracked.add(mint)
        entry = self._state.cache.remove(mint)
        if entry is None:
            self._insist(mint, (HandOverDone(mint, None),))
            return
        last = () if entry.migration is None else (entry.migration,)
        self.context.ledger.move(Place.CACHED, Place.QUEUED, len(entry.trades))
        self._insist(mint, (*entry.trades, *last, HandOverDone(mint, entry.coin)))
        self.context.note(mint, "handed_over", trades=len(entry.trades))
        from_seq = entry.trades[0].seq if entry.trades else 0
        self.context.tell(CONNECTION, UnwatchMint(mint, from_seq))
        self._state.activated += 1
        self.context.telemetry.cache_activations.inc()
        self._cache_changed()

    def _insist(self, mint: Mint, events: tuple[Trade | Migration | HandOverDone, ...]) -> None:
        """Send events from before the route by the control lane, which no tracker closes.

        They are older than everything in its data lane. Without a tracker they are a dead letter,
        which an operator can have sent again once the mint has one; nothing but the word that the
        cache held nothing is none.
        """
        message = HandOver(events)
        if isinstance(events[0], HandOverDone):
            self._shard.tell(mint, message)
        else:
            self.context.tell(tracker_name(mint), message)

    def _move_buy(self, coin: Coin, place: Place) -> None:
        if coin.buy is not None:
            self.context.ledger.move(Place.QUEUED, place)

    def _drop_buy(self, coin: Coin, place: Place, drop: Drop) -> None:
        self._move_buy(coin, place)
        self._dropped(drop, int(coin.buy is not None))

    def _dropped(self, drop: Drop, events: int = 1) -> None:
        self.context.telemetry.dropped.labels(reason=drop.value).inc(events)

    def _report(self, mint: Mint) -> CachedCoinReport | None:
        entry = self._state.cache.get(mint)
        if entry is None:
            return None
        return CachedCoinReport(
            mint=mint,
            discovered_us=entry.discovered_us,
            n8n_sent=entry.n8n_sent,
            activated=entry.activated,
            subscription_active=entry.subscription_active,
            cached_trades=len(entry.trades),
        )
