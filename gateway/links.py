"""Links that carry their own right, because providers' own clients fetch a result bare (CONTRACT section 4)."""

import hashlib
import hmac

from gateway import ids


def signed_path(task_id: int, expires_at: int, secret: bytes) -> str:
    """The path and query that open one film until `expires_at` (seconds since 1970)."""
    return f"/v1/videos/{ids.word(task_id)}/content?expires={expires_at}&signature={_sign(task_id, expires_at, secret)}"


def opens(task_id: int, expires: str, signature: str, secret: bytes, now: float) -> bool:
    """Whether a link's query opens this film now."""
    if not expires.isascii() or not expires.isdigit() or len(expires) > 12 or int(expires) <= now:
        return False
    return hmac.compare_digest(_sign(task_id, int(expires), secret).encode(), signature.encode())


def _sign(task_id: int, expires_at: int, secret: bytes) -> str:
    return hmac.new(secret, f"film {task_id} {expires_at}".encode(), hashlib.sha256).hexdigest()
