"""The WebSocket: frames in, subscriptions out."""

from actors.connection.actor import ConnectionActor
from actors.connection.pipeline import Journal, NoJournal
from actors.connection.state import ConnectionState
from actors.protocol.connection import (
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
