"""The root of the tree: who is tracked, what a failure means, how everything ends."""

from actors.supervisor.actor import SupervisorActor
from actors.supervisor.state import Dependencies, SupervisorState

__all__ = ["Dependencies", "SupervisorActor", "SupervisorState"]
