"""What tells a receiver that a call came from here, and tells us that one came from where we were expected.

Going out, a callback is signed as Standard Webhooks 1.0 say: HMAC-SHA256 under the shared secret, over the message's
id, the second it is sent in and the very bytes of its body. A receiver can then refuse what others send it, what was
changed, and what is played to it again later.

Coming in, an upstream is given a path that nobody can guess: it names one attempt of one task, and its seal proves that
we made it. Who holds such a path may make us look at that task, and nothing else.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping

from gateway import ids
from gateway.secret import Secret

SECRET_PREFIX = "whsec_"  # noqa: S105  # how the standard marks a secret, and no secret
_SEAL_DIGITS = 32  # 128 bits: nobody guesses them, and the address stays short
_ATTEMPT_DIGITS_MAX = 9


def webhook_headers(message_id: str, body: bytes, secret: Secret | None, now: float) -> Mapping[str, str]:
    """The headers of one attempt. Without a secret it is not signed, and still says which message it is."""
    timestamp = str(int(now))
    headers = {"webhook-id": message_id, "webhook-timestamp": timestamp}
    if secret is not None:
        key = base64.b64decode(secret.reveal().removeprefix(SECRET_PREFIX))
        mark = hmac.digest(key, b".".join((message_id.encode(), timestamp.encode(), body)), hashlib.sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(mark).decode()}"
    return headers


def attempt_token(task_id: int, attempt: int, secret: bytes) -> str:
    """The last part of the path on which an upstream may tell us of this attempt."""
    seal = hmac.digest(secret, f"attempt {task_id} {attempt}".encode(), hashlib.sha256).hex()[:_SEAL_DIGITS]
    return f"{ids.word(task_id)}.{attempt}.{seal}"


def read_attempt_token(token: str, secret: bytes) -> tuple[int, int] | None:
    """Task and attempt of a token that we made; None for any other text."""
    word, _, rest = token.partition(".")
    attempt, _, _ = rest.partition(".")
    task_id = ids.number_of(word)
    if task_id is None or not (attempt.isascii() and attempt.isdigit() and len(attempt) <= _ATTEMPT_DIGITS_MAX):
        return None
    is_ours = hmac.compare_digest(attempt_token(task_id, int(attempt), secret).encode(), token.encode())
    return (task_id, int(attempt)) if is_ours else None
