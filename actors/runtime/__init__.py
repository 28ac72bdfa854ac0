"""What Pykka leaves out: dispatcher, mailbox, supervision, timers, dead letters."""

from actors.runtime.actor import Actor
from actors.runtime.clocks import ArrivalClock, Clock, ManualClock
from actors.runtime.context import Context, Ref
from actors.runtime.dead_letters import DeadLetter
from actors.runtime.inspection.crash_reports import Dossier, Dossiers
from actors.runtime.inspection.recent_messages import Handled
from actors.runtime.inspection.taps import Tap
from actors.runtime.messages import (
    ActorReport,
    Batch,
    ChildFailed,
    ChildStopped,
    Control,
    Flush,
    Message,
    SettingsChanged,
    TimerReport,
)
from actors.runtime.supervision import Budget, ChildSpec, Exceeded, RestartType
from actors.runtime.system import System

__all__ = [
    "Actor",
    "ActorReport",
    "ArrivalClock",
    "Batch",
    "Budget",
    "ChildFailed",
    "ChildSpec",
    "ChildStopped",
    "Clock",
    "Context",
    "Control",
    "DeadLetter",
    "Dossier",
    "Dossiers",
    "Exceeded",
    "Flush",
    "Handled",
    "ManualClock",
    "Message",
    "Ref",
    "RestartType",
    "SettingsChanged",
    "System",
    "Tap",
    "TimerReport",
]
