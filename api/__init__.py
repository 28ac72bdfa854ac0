"""The control API: a small Flask application that asks the supervisor and uses the database."""

from api.app import create_app
from api.gateway import Gateway, NotAnswered
from api.server import ApiServer, HostNotUsable, PortInUse

__all__ = ["ApiServer", "Gateway", "HostNotUsable", "NotAnswered", "PortInUse", "create_app"]
