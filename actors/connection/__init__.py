"""The WebSocket: frames in, subscriptions out."""

from actors.connection.actor import ConnectionActor
from actors.connection.dispatch import Journal, NoJournal
from actors.connection.messages import (
    FeedReport,
    GetFeed,
    GetRoute,
    Resubscribe,
    RouteMint,
    RouteReport,
    StartReading,
    StopReading,
    SubscriptionState,
    UnrouteMint,
    UnwatchMint,
    WatchMint,
)
from actors.connection.state import ConnectionState

__all__ = [
    "ConnectionActor",
    "ConnectionState",
    "FeedReport",
    "GetFeed",
    "GetRoute",
    "Journal",
    "NoJournal",
    "Resubscribe",
    "RouteMint",
    "RouteReport",
    "StartReading",
    "StopReading",
    "SubscriptionState",
    "UnrouteMint",
    "UnwatchMint",
    "WatchMint",
]
