"""What every Python script here shares: one JSON line in for each thing to do, one JSON line out for what came of it.

It runs in a client's own environment, where neither this project nor its tests can be imported.
"""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

LOOPBACK = ("127.0.0.1", "::1")

Deed = Callable[..., Any]
Describe = Callable[[Exception], Mapping[str, Any]]


def answer_each_line(begin: Callable[[Mapping[str, Any]], Mapping[str, Deed]], describe: Describe) -> None:
    """Do what each line of stdin asks, until it ends. `begin` makes the deeds of one line out of its settings."""
    sys.addaudithook(_stay_on_loopback)
    answers, sys.stdout = sys.stdout, sys.stderr  # what a client prints must not be taken for an answer
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            found = {"answer": begin(asked)[asked["do"]](**asked["with"])}
        except Exception as error:
            found = {"error": {"class": type(error).__name__, "message": str(error), **describe(error)}}
        print(json.dumps(found), file=answers, flush=True)


def _stay_on_loopback(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in LOOPBACK:
        raise PermissionError(f"a client wanted to talk to {args[1][0]}")
