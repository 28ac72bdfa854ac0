"""What Pykka leaves out: dispatcher, mailbox, supervision, timers, dead letters."""

from actors.runtime.actor import Actor
from actors.runtime.clocks import ArrivalClock, Clock, ManualClock
from actors.runtime.context import Context, Ref
from actors.runtime.dead_letters import DeadLetter
from actors.runtime.inspection.crash_reports import CrashReport, CrashReports
from actors.runtime.inspection.recent_messages import RecentMessage
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
    ToSelf,
)
from actors.runtime.supervision import ChildSpec, Exceeded, RestartBudget, RestartType
from actors.runtime.system import System

__all__ = [
    "Actor",
    "ActorReport",
    "ArrivalClock",
    "Batch",
    "ChildFailed",
    "ChildSpec",
    "ChildStopped",
    "Clock",
    "Context",
    "Control",
    "CrashReport",
    "CrashReports",
    "DeadLetter",
    "Exceeded",
    "Flush",
    "ManualClock",
    "Message",
    "RecentMessage",
    "Ref",
    "RestartBudget",
    "RestartType",
    "SettingsChanged",
    "System",
    "Tap",
    "TimerReport",
    "ToSelf",
]
