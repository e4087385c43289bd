"""The door to uvicorn: sockets, the event loop, and an open gateway on them until it is told to stop."""

from gateway.serving.limits import Limits
from gateway.serving.server import GRACE_S, address_of, bind, run, running, serve, settle

__all__ = ["GRACE_S", "Limits", "address_of", "bind", "run", "running", "serve", "settle"]
