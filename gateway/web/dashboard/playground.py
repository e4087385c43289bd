"""The playground: compose a request in any dialect, see what it would cost and send, order it, watch it and play it.

It orders as a virtual key, always: the one that its viewer came with, or one that whoever runs the gateway types into
the form, because the admin key buys nothing (`web/admin.py`). Such a key is used for this request and kept nowhere. So
what is ordered here stands in the books like any other order of that key, under its budget and its limits.

A form can be sent twice by a double click, a reload or a lost answer. Each carries a number of its own, which is the
idempotency key of its order: the second is answered with the task of the first.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from gateway import ids, jsontext
from gateway.catalog import Model
from gateway.dialects import DIALECTS
from gateway.errors import GatewayError, InvalidRequest, KeyReused, Problem
from gateway.flows import callers, poll
from gateway.flows.quote import Quote, quote
from gateway.flows.submit import Wishes, submit
from gateway.money import parse_micros, render_micros
from gateway.parts import Parts
from gateway.structs import Struct, field
from gateway.video import Caller, Claim, Mode, Task, VideoRequest
from gateway.web.dashboard import composing
from gateway.web.dashboard.pages import NotThere, Page, Role, Visit, everyone, problems_of
from gateway.web.dashboard.tasks import live
from gateway.web.exchange import Answer

PATH = "/dashboard/playground"
IMAGES = ("first_frame_image", "last_frame_image", "subject_reference")
OPTIONS = ("prompt_optimizer", "fast_pretreatment", "aigc_watermark")
FILE = "_file"  # what the name of an image's file has more than that of its address
WORDS: Mapping[str, str] = {
    Mode.TEXT: "text to video",
    Mode.IMAGE: "first frame to video",
    Mode.FIRST_LAST: "first and last frame",
    Mode.SUBJECT: "subject reference",
}
_NO_FILE = "data:application/octet-stream;base64,"  # how a form says that no file was chosen
_NUMBER = re.compile(r"[A-Za-z0-9_-]{16,64}")
_KEY_CHARACTERS_MAX = 1_024


def pages(parts: Parts) -> Sequence[Page]:
    """The one page; its form may carry images."""
    playground = Playground(parts)
    return (
        Page(
            path=PATH,
            entry="Playground",
            read=everyone(playground.show),
            write=everyone(playground.play),
            takes_files=True,
        ),
    )


class Outcome(Struct):
    """What became of a form: a quote, a task, or what is wrong."""

    dialect: str = ""
    curl: str | None = None
    """How a client of the dialect would send it."""
    quote: Quote | None = None
    task: dict[str, Any] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    is_new_order: bool = False
    """The form gets a number of its own: what was sent under the one it had is another order."""


class Playground:
    """Handlers of the page."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def show(self, visit: Visit) -> Answer:
        """The form; with `task`, beside what is becoming of that task."""
        outcome = Outcome()
        if "task" in visit.said:
            outcome.task = live(await self._find(visit.said["task"], visit), self._parts)
        return self._page(visit, outcome, {})

    async def play(self, visit: Visit) -> Answer:
        """Try or send what the form says. What is wrong with it stands beside its own fields, under their names."""
        said = {name: value for name, value in visit.said.items() if isinstance(value, str)}
        outcome = Outcome()
        try:
            outcome.dialect = _dialect(said)
            wish = _read(said)
            body = composing.compose(wish, outcome.dialect)
            base_url = self._parts.settings.public_url or visit.exchange.base_url()
            outcome.curl = composing.curl(base_url, outcome.dialect, body)
            request = DIALECTS[outcome.dialect].parse(body)
            caller = await self._caller(visit, said)
            price_max = _price_max(said)
            if said.get("do") == "send":
                wishes = Wishes(price_max, Claim(_number(said)))
                submission = submit(request, caller, self._parts, wishes)
                for held in visit.held:
                    held.hand_to(submission.outcome)
                task = await submission.answer(self._parts.settings.answer_within_s)
                visit.exchange.task = task
                return visit.go(f"{PATH}?task={ids.word(task.id)}")
            outcome.quote = await quote(request, caller, self._parts, price_max)
        except GatewayError as error:
            self._parts.metrics.error(error)
            outcome.problems, outcome.status = _problems(error, outcome.dialect), error.status
            outcome.is_new_order = isinstance(error, KeyReused)
        return self._page(visit, outcome, said)

    async def _find(self, spelling: str, visit: Visit) -> Task:
        number, caller = ids.number_of(spelling), visit.viewer.caller
        if number is None:
            raise NotThere("there is no such task")
        return await poll.read(number, caller, self._parts, visit.exchange.waiting)

    async def _caller(self, visit: Visit, said: Mapping[str, str]) -> Caller:
        """Whose order this is. Raises InvalidRequest where nobody's key is given, or none that opens anything."""
        caller = visit.viewer.caller or self._parts.admission.anyone or await self._typed(said.get("key", "").strip())
        visit.exchange.caller = caller
        return caller

    async def _typed(self, key: str) -> Caller:
        if not key:
            raise InvalidRequest.at("key", "a virtual key is needed: the admin key orders nothing")
        admission, now = self._parts.admission, self._parts.clock()
        digest = hashlib.sha256(key[:_KEY_CHARACTERS_MAX].encode()).hexdigest()
        found = admission.opened_by(digest, now)
        if found is None:  # it can have been made a moment ago, elsewhere
            await callers.look_again(self._parts)
            found = admission.opened_by(digest, now)
        if found is None:
            raise InvalidRequest.at("key", "this key is not known, or opens nothing any more")
        return found

    def _page(self, visit: Visit, outcome: Outcome, said: Mapping[str, str]) -> Answer:
        shown = {name: value for name, value in said.items() if name != "key" and not name.endswith(FILE)}
        quoted = outcome.quote
        return visit.page(
            "playground.html",
            status=outcome.status,
            said=shown,
            problems=outcome.problems,
            general=[text for name, text in outcome.problems.items() if name not in _FIELDS],
            dialects=tuple(DIALECTS),
            lacks={name: sorted(dialect.LACKS) for name, dialect in DIALECTS.items()},
            models=[_sold(model) for model in self._models(visit.viewer.caller)],
            currency=self._parts.settings.currency,
            asks_for_key=visit.viewer.role is Role.OPERATOR and self._parts.admission.anyone is None,
            number=_kept_number(said, outcome) or secrets.token_urlsafe(18),
            curl=outcome.curl,
            quote=None if quoted is None else quoted.body,
            upstream_body=None if quoted is None else _shown_body(quoted),
            why=None if quoted is None else quoted.why,
            budget_left=None if quoted is None or quoted.budget_left is None else render_micros(quoted.budget_left),
            live=outcome.task,
            words=WORDS,
        )

    def _models(self, caller: Caller | None) -> list[Model]:
        """What can be ordered here, and by this key."""
        patterns = ("*",) if caller is None else caller.models
        return self._parts.upstreams.on_sale(self._parts.catalog.models, patterns)


_FIELDS = frozenset({"dialect", "offer", "prompt", "max_price", "key", *IMAGES, *OPTIONS})
# Canonical names, and those of headers → the field of the form.
_FORM_FIELDS: Mapping[str, str] = {
    "model": "offer",
    "resolution": "offer",
    "duration_s": "offer",
    "x-reelgate-max-price": "max_price",
}


def _sold(model: Model) -> dict[str, Any]:
    """A model as the form offers it: each combination once, with the modes that have it."""
    combinations: dict[tuple[str | None, int | None], dict[str, Any]] = {}
    for offer in model.offers:
        entry = combinations.setdefault(
            (offer.resolution, offer.duration_s),
            {
                "value": f"{model.name}|{offer.resolution or ''}|{offer.duration_s or ''}",
                "resolution": offer.resolution,
                "duration_s": offer.duration_s,
                "price": None if offer.price is None else render_micros(offer.price),
                "modes": [],
            },
        )
        entry["modes"].append(offer.mode.value)
    return {
        "name": model.name,
        "modes": [mode.value for mode in Mode if mode in model.modes],
        "offers": list(combinations.values()),
        "options": sorted(model.options),
        "prompt_characters_max": model.prompt_characters_max,
        "camera_commands": model.camera_commands,
    }


def _dialect(said: Mapping[str, str]) -> str:
    name = said.get("dialect", "")
    if name not in DIALECTS:
        raise InvalidRequest.at("dialect", "this is not a dialect", *DIALECTS)
    return name


def _read(said: Mapping[str, str]) -> VideoRequest:
    """What is wanted. Raises InvalidRequest for what no form of ours says."""
    model, resolution, duration = (*said.get("offer", "").split("|"), "", "", "")[:3]
    if not model:
        raise InvalidRequest.at("offer", "choose what to make")
    if duration and not (duration.isascii() and duration.isdigit() and len(duration) <= 4):
        raise InvalidRequest.at("offer", "this is not on offer")
    images = _images(said)
    return VideoRequest(
        model=model,
        prompt=said.get("prompt") or None,
        resolution=resolution or None,
        duration_s=int(duration) if duration else None,
        prompt_optimizer="prompt_optimizer" in said,
        fast_pretreatment="fast_pretreatment" in said,
        aigc_watermark="aigc_watermark" in said,
        first_frame_image=images.get("first_frame_image"),
        last_frame_image=images.get("last_frame_image"),
        subject_reference=images.get("subject_reference"),
    )


def _images(said: Mapping[str, str]) -> dict[str, str]:
    """Each image by its address, or as the file that was chosen. Raises InvalidRequest for both."""
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for name in IMAGES:
        link, file = said.get(name, "").strip(), said.get(name + FILE, "").removeprefix(_NO_FILE)
        if link and file:
            problems.append(Problem(name, "give an address or a file, not both"))
        elif link or file:
            found[name] = link or said[name + FILE]
    if problems:
        raise InvalidRequest.of(problems)
    return found


def _price_max(said: Mapping[str, str]) -> int | None:
    text = said.get("max_price", "").strip()
    if not text:
        return None
    try:
        return parse_micros(text)
    except ValueError:
        raise InvalidRequest.at("max_price", "must be an amount of at most six decimals, such as 0.30") from None


def _number(said: Mapping[str, str]) -> str:
    """The form's own number, as an idempotency key that no client would say. Raises InvalidRequest."""
    number = said.get("number", "")
    if not _NUMBER.fullmatch(number):
        raise InvalidRequest.at("number", "this form has no number; load the page again")
    return f"playground:{number}"


def _kept_number(said: Mapping[str, str], outcome: Outcome) -> str | None:
    """A form keeps its number until its answer has come: under another one, what is sent again is bought again."""
    number = said.get("number", "")
    return number if _NUMBER.fullmatch(number) and not outcome.is_new_order else None


def _problems(error: GatewayError, dialect: str) -> dict[str, str]:
    """What is wrong, under the names of the form's fields; "" is what belongs to none."""
    if isinstance(error, KeyReused):
        return {"": "this form was sent before, with other words in it; check them, and send it again as a new order"}
    found: dict[str, str] = {}
    for param, message in problems_of(error).items():
        name = composing.field_of(dialect, param) if dialect else param
        name = _FORM_FIELDS.get(name, name)
        # A field that the form spells otherwise than the dialect is told under the dialect's own name as well.
        own = f"`{param}`: " if param and name in _FIELDS and param != name else ""
        found[name] = f"{found[name]}; {own}{message}" if name in found else own + message
    return found


def _shown_body(quoted: Quote) -> str:
    return jsontext.write(composing.shortened(quoted.body["upstream_request"]["body"])).decode()
