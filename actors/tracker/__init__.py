"""One actor per watched coin: its candles, its phase, its end."""

from actors.protocol.tracker import (
    CoverageChanged,
    CreatorBuy,
    HandOver,
    HandOverDone,
    PhaseChosen,
    PhasesChanged,
    RouteClosed,
    SetPhase,
    TradesArrived,
)
from actors.tracker.actor import TrackerActor, tracker_state
from actors.tracker.phases import phase_warnings
from actors.tracker.rules import rules_of
from actors.tracker.state import TrackerState

__all__ = [
    "CoverageChanged",
    "CreatorBuy",
    "HandOver",
    "HandOverDone",
    "PhaseChosen",
    "PhasesChanged",
    "RouteClosed",
    "SetPhase",
    "TrackerActor",
    "TrackerState",
    "TradesArrived",
    "phase_warnings",
    "rules_of",
    "tracker_state",
]
