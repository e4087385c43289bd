"""The door to uvicorn: sockets, the event loop, and an open gateway on them until it is told to stop.

server.py      sockets, uvicorn's server, and what it does differently here
connection.py  one connection, its requests and its limits
ending.py      leave, retire, stop, hurry: how a process ends
worker.py      a process until its end, alone or in a fleet
"""

from gateway.serving.limits import Limits
from gateway.serving.server import GRACE_S, address_of, bind, bind_several, open_undisturbed, run, running
from gateway.serving.worker import Line, serve

__all__ = [
    "GRACE_S",
    "Limits",
    "Line",
    "address_of",
    "bind",
    "bind_several",
    "open_undisturbed",
    "run",
    "running",
    "serve",
]
