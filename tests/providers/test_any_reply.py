"""Whatever an upstream says: nothing but UpstreamError is raised, and nothing but a documented id is a receipt."""

import asyncio
import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import InDoubt, LookFailed, Refused, UpstreamError
from gateway.providers import PROVIDERS
from gateway.video import Look, Receipt, Status
from gateway.wire import Reply
from tests.providers.fakes import DATA, SITE, Upstream, ask, poll, submit

# Words of the documents, so that chance finds the places where something stands.
NAMES = st.sampled_from(
    [
        *("id", "task_id", "status", "data", "error", "code", "message", "msg", "param"),
        *("base_resp", "status_code", "status_msg", "file_id", "file", "download_url"),
        *("progress", "results", "result", "result_data", "url", "metadata", "fail_reason", "result_url"),
        *("usage", "credits_reserved", "success", "file_url"),
        *("token", "user", "remaining_credits", "unlimited_credits", "remain_balance"),
    ]
)
TEXTS = st.sampled_from(
    [
        *("task-1", "0", "1002", "1026", "1027", "2013", "200", "50%", "invalid", "task_not_exist"),
        *("success", "Success", "completed", "Fail", "failed", "processing"),
        *("https://x.example/f.mp4", "x.example/f"),
    ]
)
NUMBERS = st.sampled_from([0, 1, 200, 400, 503, 1001, 1002, 1026, 1027, 2013, 2056, -1, 2**70, 1.5, 10**400])
LEAVES = st.none() | st.booleans() | NUMBERS | st.floats() | TEXTS | st.text(max_size=8)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=6)
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=8)
BODIES = (OBJECTS | VALUES).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60)
STATUSES = st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 408, 413, 429, 500, 503, 525, 599])
HEADERS = st.dictionaries(st.just("retry-after"), st.text(max_size=12))


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    body = draw(BODIES)
    if draw(st.integers(0, 4)) == 0:
        body = body[: draw(st.integers(0, len(body)))]
    return Reply(draw(STATUSES), draw(HEADERS), body, draw(st.integers(0, 4)) > 0)


def documented_ids(provider: str, body: dict[str, Any]) -> list[object]:
    """What stands where this provider's documents put an id."""
    found = {"evolink": ["id"], "toapis": ["id"], "newapi": ["task_id", "id"], "minimax": ["task_id"]}[provider]
    ids = [body.get(name) for name in found]
    data = body.get("data")
    if provider == "toapis" and isinstance(data, list) and len(data) == 1 and isinstance(data[0], dict):
        ids.append(data[0].get("task_id"))
    return ids


@settings(max_examples=300)
@given(st.sampled_from(sorted(PROVIDERS)), replies())
@example("minimax", Reply(200, {}, b'{"task_id":NaN,"base_resp":{"status_code":1e400}}'))
@example("evolink", Reply(200, {}, b'{"id":"a","usage":{"credits_reserved":' + b"9" * 400 + b'},"x', False))
@example("evolink", Reply(200, {}, b'{"id":"\\ud800","x":1,', False))
def test_a_submit_ends_in_a_documented_id_or_in_an_upstream_error(provider: str, reply: Reply) -> None:
    result, upstream = submit(provider, reply)
    assert upstream.operations == ["submit"]
    if not isinstance(result, Receipt):
        assert isinstance(result, Refused | InDoubt)
        return
    assert 0 < len(result.upstream_id) <= 256
    assert result.upstream_id.isprintable()
    try:
        body = json.loads(reply.body)
    except ValueError:
        assert 200 <= reply.status < 300  # salvaged
        return
    assert body.get("error") in (None, False, "", [], {})
    assert any(
        result.upstream_id == (str(value) if provider == "minimax" else value)
        for value in documented_ids(provider, body)
        if not isinstance(value, bool) and value is not None
    )


@settings(max_examples=300)
@given(st.sampled_from(sorted(PROVIDERS)), replies(), replies())
def test_a_look_ends_in_a_look_or_in_a_failed_one(provider: str, first: Reply, second: Reply) -> None:
    result, _ = poll(provider, first, second)
    if not isinstance(result, Look):
        assert isinstance(result, LookFailed)
        return
    assert 200 <= first.status < 300
    assert first.is_whole
    assert result.link is None or (result.status is Status.COMPLETED and result.link.lower().startswith("http"))
    assert (result.failure is not None) == (result.status is Status.FAILED)
    assert result.progress is None or 0 <= result.progress <= 100


@settings(max_examples=150)
@given(replies())
def test_an_upload_ends_in_an_order_or_in_a_refusal(reply: Reply) -> None:
    refused = Refused("no", row="X")
    result, upstream = submit("evolink", reply, refused, request=ask(first_frame_image=DATA))
    assert isinstance(result, Refused)
    assert upstream.operations == (["upload", "submit"] if result is refused else ["upload"])


@settings(max_examples=150)
@given(st.sampled_from(sorted(PROVIDERS)), replies())
def test_a_balance_is_never_an_accident(provider: str, reply: Reply) -> None:
    upstream = Upstream(reply)
    try:
        found = asyncio.run(PROVIDERS[provider].balance(SITE, upstream.send))
    except UpstreamError as error:
        raise AssertionError("a balance is unknown, not an error") from error
    assert found is None or reply.status == 200
