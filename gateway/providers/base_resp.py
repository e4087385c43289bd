"""MiniMax's own codes: FAILURES section 4, one line a code.

MiniMax sends them as `base_resp.status_code` inside HTTP 200 (FACTS 4.5), and new-api hands them on as the `code` of
an HTTP 400 (FACTS 3.3). The vendor's advice for 1000, 1001, 1024 and 1033 is "retry later"; for a paid create it is
not followed, because a time-out inside the vendor says nothing about its job queue.
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway import errors
from gateway.errors import Again, Spent
from gateway.providers import verdicts
from gateway.structs import Struct
from gateway.wire import Reply


class _Row(Struct, frozen=True):
    refusal: type[errors.Refused]
    rest_s: int | None = None
    param: str | None = None


_WINDOW_S = 900  # 2056 frees itself some time in the next five hours; asking four times an hour finds out soon enough

_REFUSED: Mapping[int, _Row] = {
    1002: _Row(errors.KeyBusy, rest_s=30),
    1004: _Row(errors.KeyRejected),
    1008: _Row(errors.KeyExhausted),
    1026: _Row(errors.ContentRejected),
    1028: _Row(errors.KeyExhausted),
    1030: _Row(errors.KeyExhausted),
    1039: _Row(errors.KeyBusy, rest_s=60),
    1041: _Row(errors.KeyBusy, rest_s=60),
    1042: _Row(errors.BadCall, param="prompt"),
    2013: _Row(errors.BadCall),
    2038: _Row(errors.KeyRejected),
    2045: _Row(errors.KeyBusy, rest_s=60),
    2049: _Row(errors.KeyRejected),
    2056: _Row(errors.KeyBusy, rest_s=_WINDOW_S),
    2061: _Row(errors.KeyBarred),
}
# 1027 is about a finished film: said of a create, one may have been made.
_IN_DOUBT = frozenset({1000, 1001, 1013, 1024, 1027, 1033})

LISTED = frozenset(_REFUSED) | _IN_DOUBT
KEY_TROUBLE = frozenset(code for code, row in _REFUSED.items() if row.refusal.again is Again.ANOTHER_KEY)
CONTENT = frozenset({1026, 1027})
BAD_CALL = 2013

_CODE = re.compile(r"[0-9]{1,9}")


def read(body: Mapping[str, Any]) -> tuple[int | None, object]:
    """Code and message of a body's `base_resp`."""
    holder = body.get("base_resp")
    if not isinstance(holder, dict):
        return None, None
    return read_code(holder.get("status_code")), holder.get("status_msg")


def read_code(value: object) -> int | None:
    """A code from an integer or from its decimal spelling."""
    if isinstance(value, str) and _CODE.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def judge(
    reply: Reply, now: float, code: int | None, message: object, *, is_relayed: bool = False
) -> errors.UpstreamError:
    """What a reply without a usable task id means, by its HTTP status and by the code it carries.

    A code says more than a status that refused; it never makes certain what a status leaves in doubt. `is_relayed`:
    another's gateway passed the code on, so the credential it speaks of may be that gateway's own.
    """
    by_status = verdicts.judge(reply, now)
    status_doubts = reply.status >= 300 and by_status.spent is Spent.MAYBE
    if code is None or code == 0 or not reply.is_whole or status_doubts:
        return by_status
    row, http_status = _REFUSED.get(code), reply.status
    if row is None:
        label = f"M{code}" if code in LISTED else "M"
        return errors.InDoubt(f"the upstream answered with code {code}", row=label, http_status=http_status)
    words = f"the upstream answered with code {code}"
    if row.refusal.again is Again.NOWHERE and isinstance(message, str) and message.strip():
        words = verdicts.fit_to_show(message)  # about the request; what is said of our key is not for callers
    return row.refusal(
        words,
        row=f"M{code}",
        param=row.param or by_status.param,
        retry_after=None if row.rest_s is None else max(row.rest_s, by_status.retry_after or 0),
        http_status=http_status,
        is_vague=is_relayed,
    )
