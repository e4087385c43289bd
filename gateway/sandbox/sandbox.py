"""Everything a sandbox remembers, and its clock."""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gateway.sandbox.accounts import Account, Accounts, mask_key
from gateway.sandbox.journal import Journal, shorten
from gateway.sandbox.links import Links
from gateway.sandbox.sales import Sales
from gateway.sandbox.script import Cue, Script
from gateway.sandbox.tasks import TASKS_MAX, Order, Task, Tasks
from gateway.sandbox.uploads import Uploads

# Prompts whose refusals are counted; a test uses a few.
_COUNTED_PROMPTS_MAX = 10_000


class Sandbox:
    """The core that every protocol shares. All of it is touched by one event loop only, and never across an await."""

    def __init__(self, *, speed: float, clock: Callable[[], float], seed: int | None, balance_usd: int) -> None:
        if speed <= 0:
            raise ValueError("speed must be above 0")
        self.speed = speed
        self.clock = clock
        self.sales = Sales.shipped()
        self.accounts = Accounts(balance_usd * 1_000_000)
        self.tasks = Tasks(speed=speed, seed=seed)
        self.journal = Journal()
        self.uploads = Uploads(seed=seed)
        self.links = Links(seed=seed)
        self._videos: deque[Task] = deque(maxlen=TASKS_MAX)
        self._refused: OrderedDict[str, int] = OrderedDict()

    def now(self) -> float:
        """The time, with all money settled that was due by it."""
        now = self.clock()
        self.tasks.settle_due(now)
        return now

    def accept(self, order: Order, script: Script, account: Account) -> Task:
        """Bill and begin a video."""
        order = replace(order, request={name: shorten(value) for name, value in order.request.items()})
        task = self.tasks.accept(order, script, account, self.now())
        self._videos.append(task)
        return task

    def refuses(self, cue: Cue, prompt: str) -> bool:
        """Whether a script still has to refuse this prompt, counting the times it did."""
        times = self._refused.pop(prompt, 0)
        self._refused[prompt] = times + 1
        while len(self._refused) > _COUNTED_PROMPTS_MAX:
            self._refused.popitem(last=False)
        return times < cue.number

    def videos(self) -> list[dict[str, Any]]:
        """Every video accepted and billed since the last `forget`, oldest first: what a test counts purchases by."""
        now = self.now()
        return [
            {
                "id": task.id,
                "provider": task.order.protocol,
                "key": mask_key(task.account.key),
                "price": f"{task.order.offer.price_micros / 1_000_000:.2f}",
                "request": dict(task.order.request),
                "state": task.status(now),
                "created": task.created_at,
            }
            for task in self._videos
        ]

    def forget(self) -> None:
        """Clear both lists. Videos in the making go on, and can still be looked at."""
        self.journal.clear()
        self._videos.clear()
