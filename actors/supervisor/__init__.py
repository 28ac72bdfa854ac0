"""The root of the tree: who is tracked, what a failure means, how everything ends."""

from actors.supervisor.actor import SupervisorActor, SupervisorState

__all__ = ["SupervisorActor", "SupervisorState"]
