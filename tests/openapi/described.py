"""Calling a gateway by its own document: schemathesis makes the requests, and what it finds is told in a few lines.

Its checks are put right for what no schema can say: the vendor's dialect says its errors inside HTTP 200, and what is
refused for a reason beyond the schema (a used idempotency key, a task that is not there, a price, a picture that is
none) is refused rightly.
"""

import json
from collections.abc import Sequence
from typing import Any
from urllib.request import urlopen

import schemathesis
from hypothesis import strategies
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from tests.world import ALICE

SEED = 8
_PICTURE = "data:image/png;base64,iVBORw0KGgo="
_STATUSES = {1004: 401, 1008: 402, 2061: 403, 1041: 429, 1026: 400, 1024: 502, 1033: 503, 1000: 500}
# What is refused although the schema takes it, by the field it is refused for, or by its words.
_FIELDS = frozenset({"after", "x-reelgate-max-price", "task_id", "file_id", "team"})
_WORDS = (
    "two spellings of one thing",
    "this idempotency key stands for another request",
    "there is no such task",
    "there is no file",
    "there is no film",
    "data URL of a JPEG, PNG",  # of an upstream, and of the pre-flight where it looks
    "base64_data is n",
    "must be an http or https URL",
    "the address could not be used",
)

# In a form, a file is a text where it is an address (`web/forms.py`); schemathesis cannot weigh bytes against rules.
schemathesis.openapi.format("binary", strategies.just(_PICTURE))


def describe(
    base_url: str,
    *,
    phases: Sequence[str],
    examples: int,
    modes: Sequence[str] = ("positive", "negative"),
    include: str = "",
    exclude: str = "",
    key: str = ALICE,
) -> Any:
    """The document of a gateway, ready to be called by it; `include` and `exclude` are patterns of operations' ids."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "base-url": base_url,
            "continue-on-failure": True,
            "suppress-health-check": ["all"],
            "headers": {"Authorization": f"Bearer {key}"},
            "checks": {"ignored_auth": {"enabled": False}},  # `test_document.py` asks every operation without a key
            "phases": {name: {"enabled": name in phases} for name in ("examples", "coverage", "fuzzing", "stateful")},
            "generation": {
                "mode": "all" if len(modes) > 1 else modes[0],
                "max-examples": examples,
                "deterministic": True,
                "no-shrink": True,
                "allow-x00": False,
                "with-security-parameters": False,
                "database": "none",
            },
        }
    )
    with urlopen(f"{base_url}/openapi.json") as answer:  # noqa: S310 - of a test's own making
        of = json.load(answer)
    of["components"]["schemas"] = {name: _closed(name, found) for name, found in of["components"]["schemas"].items()}
    schema = schemathesis.openapi.from_dict(of, config=config)
    schema.validate()
    if include:
        schema = schema.include(operation_id_regex=include)
    if exclude:
        schema = schema.exclude(operation_id_regex=exclude)
    schema.hook("filter_failure")(_is_failure)
    return schema


def _closed(name: str, schema: Any) -> Any:
    """The schema of an answer, in which nothing may stand that it does not tell of."""
    if not name.endswith(("Answer", "Error")):
        return schema
    if isinstance(schema, list):
        return [_closed(name, item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _closed(name, value) for key, value in schema.items()}
    return {**inner, "additionalProperties": False} if "properties" in schema and "type" in schema else inner


class Calls:
    """What was called, and what was wrong with the answers."""

    def __init__(self) -> None:
        self.count = 0
        self.statuses: dict[str, set[int]] = {}
        """Operation's id → how it was answered."""
        self.followed = 0
        """Calls that went on with what an earlier answer had said."""
        self.orders: list[str] = []
        """Creates that were answered with a task of their own, as they were asked."""
        self.failures: dict[str, str] = {}


def call(schema: Any) -> Calls:
    """Run every enabled phase."""
    calls = Calls()
    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished():
                _note(event.recorder, calls)
            case events.NonFatalError():
                calls.failures[f"{event.label}: {type(event.value).__name__}"] = str(event.value)[:2000]
            case events.FatalError():
                raise event.exception
    return calls


def _note(recorder: Any, calls: Calls) -> None:
    for case_id, interaction in recorder.interactions.items():
        node = recorder.cases[case_id]
        case, answer = node.value, interaction.response
        calls.count += 1
        calls.followed += node.is_transition_applied
        if answer is not None:
            name = case.operation.definition.raw["operationId"]
            calls.statuses.setdefault(name, set()).add(answer.status_code)
            said = {header.lower() for header in answer.headers}
            is_good = answer.status_code == 200 and _status_within(answer) is None
            is_order = case.method == "POST" and is_good and "x-reelgate-task-id" in said
            if is_order and "idempotent-replayed" not in said:
                calls.orders.append(_told(case, answer))
        for check in recorder.checks.get(case_id, ()):
            if check.failure_info is not None:
                failure = check.failure_info.failure
                told = f"{failure.title}: {failure.message}\n{_told(case, answer)}"
                calls.failures.setdefault(f"{case.operation.label}: {failure.title}", told[:3000])


def _told(case: Any, answer: Any) -> str:
    said = "" if answer is None else f"{answer.status_code} {answer.content[:600]!r}"
    return f"{case.method} {case.path_parameters} {case.query} {case.headers} {case.body!r}\n{said}"


def _is_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether a failed check is one after all."""
    kind = type(failure).__name__
    if kind == "RejectedPositiveData":
        return not _is_refused_rightly(case, response)
    status = _status_within(response) if response.status_code == 200 else None
    is_about_status = kind in ("AcceptedNegativeData", "UnsupportedMethodResponse")
    return status is None or not is_about_status or not 400 <= status < 500


def _status_within(response: Any) -> int | None:
    """The HTTP status that an error within a good answer stands for; None where there is none."""
    found = _json(response).get("base_resp")
    code = found.get("status_code") if isinstance(found, dict) else None
    return None if code in (None, 0) else _STATUSES.get(code, 400)


def _is_refused_rightly(case: Any, response: Any) -> bool:
    if "x-reelgate-dialect" in case.headers and case.operation.definition.raw["operationId"] == "shared_create":
        return True  # the header goes before the marks in the body, which the schema goes by
    if case.method == "HEAD" and case.path.endswith("/content"):
        return True  # it says nothing; the same by GET does
    body = _json(response)
    if "must be a whole number" in response.text and _holds_whole_fraction(case.body):
        return True  # 41.0 is an integer to JSON Schema, and no count here
    error = body.get("error", body)
    said = " ".join(str(value) for value in (error.get("message"), body.get("base_resp")))
    params = {problem["param"] for problem in error.get("problems", body.get("problems", []))}
    return bool(params and params <= _FIELDS) or any(words in said for words in _WORDS)


def _holds_whole_fraction(body: Any) -> bool:
    return isinstance(body, dict) and any(isinstance(value, float) and value.is_integer() for value in body.values())


def _json(response: Any) -> dict[str, Any]:
    if not response.content or "application/json" not in str(response.headers.get("content-type", "")):
        return {}
    found = response.json()
    return found if isinstance(found, dict) else {}


@schemathesis.check
def valid_is_taken(ctx: Any, response: Any, case: Any) -> None:
    """In the vendor's dialect, too, where a refusal looks like a good answer."""
    is_valid = case.meta is not None and case.meta.generation.mode.is_positive
    if is_valid and response.status_code == 200 and _status_within(response) is not None:
        assert _is_refused_rightly(case, response) or _status_within(response) == 401, response.content
