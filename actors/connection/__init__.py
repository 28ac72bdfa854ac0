"""The WebSocket: frames in, subscriptions out."""

from actors.connection.actor import ConnectionActor
from actors.connection.dispatch import Journal, NoJournal
from actors.connection.messages import (
    FeedReport,
    GetFeed,
    Resubscribe,
    RouteMint,
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
    "Journal",
    "NoJournal",
    "Resubscribe",
    "RouteMint",
    "StartReading",
    "StopReading",
    "SubscriptionState",
    "UnrouteMint",
    "UnwatchMint",
    "WatchMint",
]
