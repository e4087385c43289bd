"""What only a person can say: under which id a doubtful task was accepted, or what became of its money.

A task in doubt is never sent again, and no upstream here has a list to find it in, so its evidence is a receipt in the
journal, or what a person sees in the upstream's own console (FAILURES section 1). Everything said here becomes a line
of the ledger, and all of it works on storage alone: a gateway beside it reads what was decided, and looks after what
was taken up with the key that submitted it.
"""

import logging
from collections.abc import Sequence

from gateway import ids
from gateway.errors import InvalidRequest, UnknownTask
from gateway.flows import poll
from gateway.parts import Desk, Parts
from gateway.store import Kept, ReceiptTaken, Wanted, WrongState
from gateway.structs import Struct
from gateway.video import Money, Receipt, State, Task

log = logging.getLogger("reelgate.decisions")

UPSTREAM_ID_CHARACTERS_MAX = 256  # FAILURES H4
REASON_CHARACTERS_MAX = 500
OPEN_AT_ONCE = 1_000  # more than a person decides in one night
NO_LIST = "no upstream has a list of tasks to look into; what it knows stands in its own console"


class NothingToDecide(Exception):
    """The task is not where this decision could be made; nothing was changed. The message is for the person."""


class Question(Struct, frozen=True):
    """A task that waits for a person, and the upstream's id where something of ours says it."""

    task: Task
    evidence: str | None = None


class Findings(Struct, frozen=True):
    """What `reconcile` did and found."""

    brought_home: Sequence[Task]
    """Tasks whose receipt lay in the journal."""
    questions: Sequence[Question]
    drift: Sequence[str]
    """One sentence for everything in the books that does not add up."""


async def adopt(task_id: int, upstream_id: str, desk: Desk) -> Task:
    """The upstream accepted the task under this id: it runs, and its price is held.

    Raises UnknownTask, NothingToDecide where nothing is in doubt, and ReceiptTaken when another task holds the id.
    """
    is_id = upstream_id.isascii() and upstream_id.isprintable() and " " not in upstream_id
    if not is_id or not 0 < len(upstream_id) <= UPSTREAM_ID_CHARACTERS_MAX:
        message = f"must be the upstream's own id, 1 to {UPSTREAM_ID_CHARACTERS_MAX} printable characters"
        raise InvalidRequest.at("upstream_id", message)
    task = await _existing(task_id, desk)
    if task.upstream_id == upstream_id and task.money is not Money.SUSPENDED:
        return task  # said twice
    try:
        running = await desk.registry.adopt(task_id, Receipt(upstream_id), desk.clock())
    except WrongState:
        raise NothingToDecide(_why_not(task)) from None
    log.info("task %d was taken up as %s", task_id, upstream_id)
    return running


async def release(task_id: int, reason: str, desk: Desk) -> Task:
    """Nothing was bought: its price is available again. Raises UnknownTask, NothingToDecide."""
    return await _resolve(task_id, Money.RELEASED, reason, desk)


async def settle(task_id: int, reason: str, desk: Desk) -> Task:
    """It was bought, whatever became of the video: its price is spent. Raises UnknownTask, NothingToDecide."""
    return await _resolve(task_id, Money.SETTLED, reason, desk)


async def reconcile(desk: Desk) -> Findings:
    """Bring home what the journal has, and find what a person must decide. Sends nothing that costs."""
    kept = desk.journal.receipts()
    brought_home = [task for receipt in kept if (task := await _bring_home(receipt, desk)) is not None]
    evidence = {receipt.task_id: receipt.upstream_id for receipt in kept}
    doubtful = await desk.books.page(Wanted(state=State.UNCONFIRMED), OPEN_AT_ONCE)
    suspended = await desk.books.page(Wanted(is_suspended=True), OPEN_AT_ONCE)
    questions = [Question(task, evidence.get(task.id)) for task in (*doubtful, *suspended)]
    return Findings(brought_home, questions, await desk.registry.audit())


async def adopt_here(task_id: int, upstream_id: str, parts: Parts) -> Task:
    """`adopt` at a running gateway: the task takes its place on its key again, and is looked at at once."""
    running = parts.memory.keep(await adopt(task_id, upstream_id, parts))
    parts.upstreams.adopt(running)
    return await poll.look(running, parts)


async def release_here(task_id: int, reason: str, parts: Parts) -> Task:
    """`release` at a running gateway: a task in doubt gives its place on its key back."""
    released = parts.memory.keep(await release(task_id, reason, parts))
    parts.upstreams.finished(released)
    return released


async def settle_here(task_id: int, reason: str, parts: Parts) -> Task:
    """`settle` at a running gateway."""
    settled = parts.memory.keep(await settle(task_id, reason, parts))
    poll.count_spent(settled, parts)
    return settled


async def reconcile_here(parts: Parts) -> Findings:
    """`reconcile` at a running gateway."""
    found = await reconcile(parts)
    parts.metrics.audited(len(found.drift), parts.clock())
    for task in found.brought_home:
        parts.upstreams.adopt(parts.memory.keep(task))
    return found


async def _resolve(task_id: int, money: Money, reason: str, desk: Desk) -> Task:
    if not reason.strip() or len(reason) > REASON_CHARACTERS_MAX or not reason.isprintable():
        message = f"must say why in one line of 1 to {REASON_CHARACTERS_MAX} characters; it stands in the ledger"
        raise InvalidRequest.at("reason", message)
    task = await _existing(task_id, desk)
    try:
        resolved = await desk.registry.resolve(task_id, money, reason, desk.clock())
    except WrongState:
        raise NothingToDecide(_why_not(task)) from None
    log.info("task %d: its money was %s by hand", task_id, money.value)
    return resolved


def _why_not(task: Task) -> str:
    where = f"task {ids.word(task.id)} is {task.state}, and its money is {task.money}"
    if task.state is State.UNCONFIRMED:
        return f"{where}: adopt it or release it; it can be settled once it was given up (reconcile.give_up_after_s)"
    return f"{where}: only what is unconfirmed, or whose money is suspended, waits for a person"


async def _existing(task_id: int, desk: Desk) -> Task:
    task = await desk.registry.get(task_id)
    if task is None:
        raise UnknownTask(f"there is no task {ids.word(task_id)}")
    return task


async def _bring_home(receipt: Kept, desk: Desk) -> Task | None:
    """The task of a receipt, if it runs now and did not before. The file is left to the gateway (`receipts.py`)."""
    task = await desk.registry.get(receipt.task_id)
    if task is None or (task.upstream, task.key_id) != (receipt.upstream, receipt.key_id):
        return None
    proof = Receipt(receipt.upstream_id)
    try:
        if task.state in (State.OPENED, State.UNCONFIRMED):
            return await desk.registry.start(task, proof, receipt.at)
        if task.money is Money.SUSPENDED and task.upstream_id is None:
            return await desk.registry.adopt(task.id, proof, desk.clock())
    except (ReceiptTaken, WrongState) as error:
        log.warning("a receipt in the journal cannot be applied: %s", error)
    return None
