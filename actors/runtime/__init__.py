"""What Pykka leaves out: dispatcher, mailbox, supervision, timers, dead letters."""

from actors.runtime.actor import Actor
from actors.runtime.clocks import ArrivalClock, Clock, ManualClock
from actors.runtime.context import Context, Ref
from actors.runtime.dead_letters import DeadLetter
from actors.runtime.messages import (
    ActorReport,
    Batch,
    ChildFailed,
    ChildStopped,
    Control,
    Flush,
    Message,
    SettingsChanged,
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
    "Exceeded",
    "Flush",
    "ManualClock",
    "Message",
    "Ref",
    "RestartType",
    "SettingsChanged",
    "System",
]
