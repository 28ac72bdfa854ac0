"""What Pykka leaves out: dispatcher, mailbox, supervision, timers, dead letters."""

from actors.runtime.actor import Actor
from actors.runtime.clocks import ArrivalClock, Clock, ManualClock
from actors.runtime.context import Context, Ref
from actors.runtime.dead_letters import DeadLetter
from actors.runtime.dossiers import Dossier, Dossiers
from actors.runtime.handled import Handled
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
from actors.runtime.taps import Tap

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
