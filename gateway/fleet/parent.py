"""The parent: starts a worker for each place, starts those again that die, replaces them one after the other on SIGHUP,
and ends when all have ended.

SIGTERM and SIGINT are passed on, the second one too, and SIGUSR1 (leave the load balancer, then end). On SIGHUP each
place gets a new worker, with whatever code and configuration there is by then; the old one is told to retire once the
new one answers, and goes on with what it has. A new one that does not come up changes nothing: the old ones stay.

Rule 1: whoever is started is waited for. Rule 2: a place never has two workers that both stay.
"""

import fcntl
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, NoReturn

from gateway.fleet import counts
from gateway.fleet.place import GIVE, READY, RETIRE, TAKE, Place, Task, ordered, told
from gateway.fleet.seats import Change, Fleet, Seat, Worker

START_WITHIN_S = 60.0  # a start takes a second; a database that is brought to a newer schema may take longer
LIVED_S = 30.0  # whoever lived so long has not died of its start
RESTS_S = (0.0, 1.0, 2.0, 5.0, 10.0, 15.0)  # before a place is filled again, by how often that has failed
END_WITHIN_S = 29.5  # workers end by themselves within 30 s (CONTRACT section 5); one that hangs is ended then
HURRY_WITHIN_S = 3.0  # after a second signal
LEAVE_WITHIN_S = 150.0  # `server.leave_s` is a minute at most, what runs has half a minute then, and half to stop
TICK_S = 0.5
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)
_LEVELS = ("debug", "info", "warning", "error")
_WORD_BYTES_MAX = 64
_FOLDERS = "reelgate-fleet-"
_FOLDER_TRIES = 10


def become(task: Task) -> NoReturn:
    """Turn this process into the parent: same number, same command line, none of the memory."""
    for listener in task.listeners:
        os.set_inheritable(listener, True)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, _command(), {**os.environ, **ordered(task)})  # noqa: S606 - our own command line


def run(task: Task) -> int:
    """Keep the workers until all have ended; the exit status."""
    waking, waker = socket.socketpair()
    for end in (waking, waker):
        end.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, lambda number, frame: None)  # what came is read from the wakeup descriptor
    folder = _own_folder(Path(_memory_folder() or tempfile.gettempdir()))
    fleet = Fleet(task, folder, [Seat() for _ in task.listeners])
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(waking, selectors.EVENT_READ, None)
            _keep(fleet, waking, selector)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return fleet.status


def _keep(fleet: Fleet, waking: socket.socket, selector: selectors.BaseSelector) -> None:
    while True:
        if not fleet.is_ending:
            _fill(fleet, selector)
            _go_on_changing(fleet, selector)
        elif not any(fleet.everyone()):
            return
        elif time.monotonic() >= fleet.end_by:
            _end_those_that_hang(fleet)
        for key, _ in selector.select(TICK_S):
            if key.data is None:
                for number in waking.recv(4096):
                    _hear_signal(fleet, signal.Signals(number))
            else:
                _hear_worker(fleet, key.data, selector)
        for worker in list(fleet.everyone()):
            if worker.process.poll() is not None:
                _ended(fleet, worker, selector)


# --- places ---------------------------------------------------------------------------------------------------------


def _fill(fleet: Fleet, selector: selectors.BaseSelector) -> None:
    """Start whoever is missing. The first of all starts alone: what it cannot do the others cannot either, and what it
    has to make of an empty storage they find made."""
    now = time.monotonic()
    for number, seat in enumerate(fleet.seats):
        is_first = number == 0 or fleet.seats[0].failures or _answers(fleet.seats[0]) or fleet.is_told
        if seat.worker is None and is_first and now >= seat.start_at:
            seat.worker = _started(fleet, number, selector)
        elif seat.worker is not None and _is_stuck_at_start(seat.worker):
            seat.worker.process.kill()


def _answers(seat: Seat) -> bool:
    return seat.worker is not None and seat.worker.is_ready


def _is_stuck_at_start(worker: Worker) -> bool:
    return not worker.is_ready and time.monotonic() - worker.started_at > START_WITHIN_S


def _started(fleet: Fleet, number: int, selector: selectors.BaseSelector) -> Worker | None:
    try:
        return _start(fleet, number, selector)
    except OSError as error:  # no memory, too many processes, a Python that is being replaced
        seat = fleet.seats[number]
        rest_s = _rest_s(seat, seat.failures + 1) or TICK_S
        _log(fleet, "error", f"no worker can be started: {error.strerror or error}; tried again in {rest_s:g} s")
        return None


def _start(fleet: Fleet, number: int, selector: selectors.BaseSelector) -> Worker:
    ours, theirs = socket.socketpair()
    with theirs:
        place = Place(number, fleet.task.listeners, theirs.fileno(), str(fleet.folder))
        process = subprocess.Popen(  # noqa: S603 - our own command line
            _command(),
            env={**os.environ, **told(place)},
            pass_fds=(*fleet.task.listeners, theirs.fileno()),
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C reaches the parent alone, which passes it on once
        )
    ours.setblocking(False)
    worker = Worker(number, process, ours, time.monotonic())
    selector.register(ours, selectors.EVENT_READ, worker)
    return worker


def _command() -> list[str]:
    """The command line that this process was started with."""
    return [sys.executable, *sys.orig_argv[1:]]


def _own_folder(base: Path) -> Path:
    """A folder for the counts, locked for as long as this process lives; those of parents that were killed go."""
    for left in base.glob(f"{_FOLDERS}*"):
        lock = _lock(left)
        if lock is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)
    for _ in range(_FOLDER_TRIES):
        folder = Path(tempfile.mkdtemp(prefix=_FOLDERS, dir=base))
        if _lock(folder) is not None:
            return folder
        # Another parent that starts took it for one that was left, in the moment before it was locked.
        shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=_FOLDERS, dir=base))  # no locks here: then nobody takes it for left either


def _lock(folder: Path) -> int | None:
    """The descriptor that holds the lock of a folder of ours, until it is closed or this process ends; None where
    somebody else holds it, or where it is none of ours: everybody may put into such a place whatever they like."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with suppress(OSError):
        if os.fstat(descriptor).st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.lstat(folder)):  # it was not removed meanwhile
                return descriptor
    os.close(descriptor)
    return None


def _memory_folder() -> str | None:
    """Where files are memory, if there is such a place: counts are written every second, and outlive nobody."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a folder of our own is made below it


# --- what workers do ------------------------------------------------------------------------------------------------


def _hear_worker(fleet: Fleet, worker: Worker, selector: selectors.BaseSelector) -> None:
    try:
        said = worker.line.recv(_WORD_BYTES_MAX)
    except OSError:
        said = b""
    if not said:
        selector.unregister(worker.line)  # it ends; `poll` says when
        return
    if READY.encode() not in said.split():
        return
    worker.is_ready = True
    if fleet.change is not None and fleet.change.coming is worker:
        fleet.change.coming = None
        _took_over(fleet, worker)
    seat = fleet.seats[worker.place]
    _send(seat.keeper, f"{GIVE} {worker.place}")
    seat.keeper = None
    if not fleet.is_told and all(_answers(seat) for seat in fleet.seats):
        fleet.is_told = True
        print(f"reelgate: listening on {fleet.task.address}", file=sys.stderr, flush=True)


def _ended(fleet: Fleet, worker: Worker, selector: selectors.BaseSelector) -> None:
    """A worker's end: expected, or one to make good."""
    with suppress(KeyError):
        selector.unregister(worker.line)
    worker.line.close()
    counts.bury(fleet.folder, worker.process.pid)
    status = worker.process.returncode
    if worker in fleet.going:
        fleet.going.remove(worker)
    elif fleet.change is not None and fleet.change.coming is worker:
        _log(fleet, "error", f"the new worker {worker.process.pid} {_how(status)}; the old ones stay")
        fleet.change = None
    else:
        _lost(fleet, worker, status)
    if fleet.is_ending and worker.is_ready and status:  # one that was still starting knew of no signals
        fleet.status = fleet.status or (status if status > 0 else 1)


def _lost(fleet: Fleet, worker: Worker, status: int) -> None:
    seat = fleet.seats[worker.place]
    seat.worker = None
    if fleet.is_ending:
        return
    if not fleet.is_told and not worker.is_ready and worker.place == 0 and status > 0:
        # It has said why on standard error, and all others would say the same.
        fleet.status = status
        _stop(fleet)
        return
    rest_s = _rest_s(seat, 0 if time.monotonic() - worker.started_at >= LIVED_S else seat.failures + 1)
    again = f"in {rest_s:g} s" if rest_s else "at once"
    _log(fleet, "warning", f"worker {worker.process.pid} {_how(status)}; its place is filled again {again}")
    _keep_open(fleet, without=worker)


def _rest_s(seat: Seat, failures: int) -> float:
    """Note how often it has failed in a row, and when it is tried again."""
    seat.failures = failures
    rest_s = RESTS_S[min(failures, len(RESTS_S)) - 1] if failures else 0.0
    seat.start_at = time.monotonic() + rest_s
    return rest_s


def _keep_open(fleet: Fleet, without: Worker) -> None:
    """Have somebody answer on the listeners of all places that nobody has, now that one is no longer there for it."""
    for place, seat in enumerate(fleet.seats):
        if seat.keeper is without:
            seat.keeper = None
        if seat.keeper is None and not _answers(seat):
            seat.keeper = next((other.worker for other in fleet.seats if _answers(other)), None)
            _send(seat.keeper, f"{TAKE} {place}")


def _how(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


# --- SIGHUP ---------------------------------------------------------------------------------------------------------


def _go_on_changing(fleet: Fleet, selector: selectors.BaseSelector) -> None:
    if fleet.is_change_wanted and fleet.change is None and fleet.is_told:
        fleet.is_change_wanted = False
        fleet.change = Change(list(range(len(fleet.seats))))
        _log(fleet, "info", "replacing the workers one after the other")
    change = fleet.change
    if change is None:
        return
    if change.coming is not None:
        if _is_stuck_at_start(change.coming):
            change.coming.process.kill()
    elif change.left:
        change.coming = _started(fleet, change.left.pop(0), selector)
        if change.coming is None:
            fleet.change = None
    else:
        fleet.change = None
        _log(fleet, "info", "all workers are new")


def _took_over(fleet: Fleet, worker: Worker) -> None:
    """The new one answers: the old one stops accepting, and ends when it has nothing left to do."""
    seat = fleet.seats[worker.place]
    old, seat.worker, seat.failures = seat.worker, worker, 0
    if old is not None:
        _keep_open(fleet, without=old)
        _send(old, RETIRE)
        old.is_going = True
        fleet.going.append(old)


def _send(worker: Worker | None, words: str) -> None:
    if worker is not None:
        with suppress(OSError):  # it is ending
            worker.line.send(f"{words}\n".encode())


# --- the end --------------------------------------------------------------------------------------------------------


def _hear_signal(fleet: Fleet, number: signal.Signals) -> None:
    match number:
        case signal.SIGTERM | signal.SIGINT:
            _stop(fleet)
        case signal.SIGHUP:
            fleet.is_change_wanted = True
        case signal.SIGUSR1:
            _leave(fleet)


def _stop(fleet: Fleet) -> None:
    fleet.is_ending = True
    fleet.stops += 1
    fleet.end_by = time.monotonic() + (END_WITHIN_S if fleet.stops == 1 else HURRY_WITHIN_S)
    for worker in fleet.everyone():
        worker.process.send_signal(signal.SIGTERM)


def _leave(fleet: Fleet) -> None:
    """Workers end by themselves some time after this; nobody comes in their place."""
    fleet.is_ending = True
    fleet.end_by = min(fleet.end_by, time.monotonic() + LEAVE_WITHIN_S)
    for worker in fleet.everyone():
        worker.process.send_signal(signal.SIGUSR1)


def _end_those_that_hang(fleet: Fleet) -> None:
    for worker in fleet.everyone():
        _log(fleet, "error", f"worker {worker.process.pid} does not end by itself")
        worker.process.kill()
    fleet.end_by = float("inf")


def _log(fleet: Fleet, level: str, message: str) -> None:
    """A record as the workers write them; their formatter is none of what a parent knows."""
    if _LEVELS.index(level) >= _LEVELS.index(fleet.task.level):
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = {"time": when, "level": level, "logger": "reelgate.fleet", "message": message}
        stream: IO[str] = sys.stderr
        print(json.dumps(line), file=stream, flush=True)
