"""Links that live shorter than the films they lead to: one hour, and a new one each time a file is asked for (FACTS
4.1). A client that keeps such a link for later finds it dead."""

import string
from collections import OrderedDict
from dataclasses import dataclass
from random import Random

from gateway.sandbox.tasks import TASKS_MAX, Task

LIFE_S = 3600  # FACTS 4.1
_LINKS_MAX = TASKS_MAX  # a client asks for a link or two of every video; the oldest are forgotten first
_WORD_ALPHABET = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class Link:
    """One address of one film."""

    word: str
    task: Task
    dies_at: float


class Links:
    """Every link made, oldest first."""

    def __init__(self, *, seed: int | None) -> None:
        self._random = Random(seed)  # noqa: S311 - words of a simulation, meant to be repeatable
        self._by_word: OrderedDict[str, Link] = OrderedDict()

    def make(self, task: Task, now: float) -> Link:
        word = "".join(self._random.choices(_WORD_ALPHABET, k=24))
        link = Link(word, task, now if task.outcome == "expired-link" else now + LIFE_S)
        self._by_word[word] = link
        while len(self._by_word) > _LINKS_MAX:
            self._by_word.popitem(last=False)
        return link

    def find(self, word: str) -> Link | None:
        return self._by_word.get(word)
