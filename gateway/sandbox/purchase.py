"""The story of a create, and of a look, as every protocol tells it. Here the script words take effect."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from gateway.sandbox.accounts import Account
from gateway.sandbox.calls import Answer, Call, Manner, Refusal, html_answer, json_answer
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.script import Cue, Stage, read_script
from gateway.sandbox.tasks import Order, Status, Task

HANG_S = 120

_EDGE_TITLES = {503: "503 Service Temporarily Unavailable", 504: "504 Gateway Time-out"}
_BROKEN_JSON = b'{"created": 17571'
_ID_FIELDS = ("id", "task_id")  # in one protocol or another


def purchase(sandbox: Sandbox, account: Account, call: Call, order: Order, render: Callable[[Task], Answer]) -> Answer:
    """Accept one good order, unless its script or its account's balance forbids it."""
    try:
        script = read_script(order.prompt, order.protocol)
    except ValueError as error:
        raise Refusal(400, str(error), param="prompt") from error
    cue = script.get(Stage.REFUSE)
    if cue is not None and sandbox.refuses(cue, order.prompt):
        return _refuse(cue, call)
    answer = render(sandbox.accept(order, script, account))
    cue = script.get(Stage.ANSWER)
    return answer if cue is None else _SPOILERS[cue.name](answer, cue)


def look(sandbox: Sandbox, account: Account, protocol: str, task_id: str) -> Task:
    """The task of this account, or a refusal: that of another account is not found."""
    sandbox.now()
    task = sandbox.tasks.find(task_id)
    if task is None or task.account is not account or task.order.protocol != protocol:
        raise Refusal(404, "there is no such task", param="task_id")
    task.looks += 1
    cue = task.script.get(Stage.POLL)
    if cue is not None and cue.word.status is not None and task.looks <= cue.number:
        raise Refusal(cue.word.status, cue.word.does, param="task_id", retry_after_s=cue.word.retry_after_s)
    return task


def status_word(task: Task, now: float, words: Mapping[Status, str]) -> str:
    """The protocol's word for where the task is, or one that no protocol knows."""
    status = task.status(now)
    cue = task.script.get(Stage.POLL)
    if cue is not None and cue.name == "unknown-status" and status is Status.PROCESSING:
        return "rendering"
    return words[status]


def _refuse(cue: Cue, call: Call) -> Answer:
    status = cue.word.status
    if status is None:  # `drop`: the one refusal without a word
        return Answer(0, b"", {}, Manner.DROP)
    if cue.word.is_html:
        return html_answer(status, _EDGE_TITLES[status])
    if status == 307:
        return html_answer(status, "307", {"location": f"{call.base_url}/{call.protocol}/moved{call.path}"})
    message = f"the script in the prompt {cue.word.does}"
    raise Refusal(status, message, retry_after_s=cue.word.retry_after_s, code=cue.code)


def _without_id(answer: Answer) -> Answer:
    fields = json.loads(answer.body)
    return json_answer(answer.status, {name: value for name, value in fields.items() if name not in _ID_FIELDS})


_SPOILERS: Mapping[str, Callable[[Answer, Cue], Answer]] = {
    "drop-after-accept": lambda answer, _: replace(answer, manner=Manner.DROP),
    "half-answer": lambda answer, cue: replace(answer, manner=Manner.HALF, number=cue.number),
    "hang": lambda answer, _: replace(answer, manner=Manner.HANG, number=HANG_S),
    "slow": lambda answer, cue: replace(answer, manner=Manner.SLOW, number=cue.number),
    "slow-drip": lambda answer, cue: replace(answer, manner=Manner.DRIP, number=cue.number),
    "malformed": lambda answer, _: html_answer(answer.status, "It works!"),
    "malformed-json": lambda answer, _: replace(answer, body=_BROKEN_JSON),
    "no-id": lambda answer, _: _without_id(answer),
}
