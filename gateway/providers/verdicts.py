"""What an HTTP answer to a paid submit means for money: FAILURES section 3, one line a row.

Only a `Refused` proves that nothing was bought. Whatever has no line here is doubt.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from gateway import errors, jsontext
from gateway.wire import Reply

RETRY_AFTER_MAX_S = 300
RETRY_AFTER_JUNK_S = 30  # H20: what a header that says nothing usable is taken for
_MESSAGE_CHARACTERS_MAX = 300
_SECRET = re.compile(r"\b(?:sk|key|Bearer)[-_ ][\w.*-]{4,}", re.IGNORECASE)
# Not "sensitive" or "violates" alone: names are case-sensitive, and a duration may violate a schema. `new_sensitive` is
# how MiniMax words its 1026 and 1027, which relays hand on.
_CONTENT = re.compile(
    r"content[_ -]?polic|polic(?:y|ies) violation|violat\w+ [^.]{0,60}polic|moderation|nsfw|prohibited content"
    r"|sensitive[_ ](?:content|input|word|text|image)|(?:input|prompt|content|text)[^.]{0,40} sensitive\b"
    r"|\bnew_sensitive\b",
    re.IGNORECASE,
)
# Codes of a 400 that speak of the model and of nothing else. `missing_model` is none: it speaks of the body.
_MODEL_CODES = frozenset(
    {
        "model_not_found",  # OpenAI's word, which relays took over with its envelope
        "model_unavailable",  # FACTS 1.4
        "model_access_denied",  # FACTS 1.5, where it comes with 403
        *("model_not_available", "model_not_supported", "model_not_allowed", "model_not_exist"),
        *("unknown_model", "unsupported_model", "invalid_model"),
    }
)
_ABOUT_RIGHTS = re.compile(r"model|permission|access|forbidden|plan", re.IGNORECASE)

REFUSED: Mapping[int, tuple[str, type[errors.Refused]]] = {
    301: ("H7", errors.Misconfigured),
    302: ("H7", errors.Misconfigured),
    307: ("H7", errors.Misconfigured),
    308: ("H7", errors.Misconfigured),
    400: ("H9", errors.BadCall),
    401: ("H10", errors.KeyRejected),
    402: ("H11", errors.KeyExhausted),
    404: ("H14", errors.Misconfigured),
    405: ("H14", errors.Misconfigured),
    413: ("H17", errors.CallTooLarge),
    415: ("H14", errors.Misconfigured),
    421: ("H19", errors.EdgeDown),
    422: ("H18", errors.BadCall),
    425: ("H19", errors.EdgeDown),
    501: ("H14", errors.Misconfigured),
    521: ("H27", errors.EdgeDown),
    523: ("H27", errors.EdgeDown),
    525: ("H27", errors.EdgeDown),
    526: ("H27", errors.EdgeDown),
    530: ("H27", errors.EdgeDown),
}
IN_DOUBT: Mapping[int, str] = {
    204: "H6",
    303: "H8",
    408: "H15",
    409: "H16",
    500: "H22",
    502: "H23",
    504: "H26",
    520: "H28",
    522: "H28",
    524: "H26",
}
# A status line alone is proof enough for these, even if the body was lost (CONTRACT section 7).
_PROVED_BY_STATUS = frozenset({400, 401, 402, 422, 429})


def judge(reply: Reply, now: float) -> errors.UpstreamError:
    """What a reply without a usable task id means. `now` turns a `Retry-After` date into seconds."""
    status = reply.status
    if not reply.is_whole and status not in _PROVED_BY_STATUS:
        return errors.InDoubt("the upstream's answer broke off", row="T10", http_status=status)
    message = _message(reply)
    if status in (400, 422) and (found := _judge_request(reply, message)) is not None:
        return found
    if status == 401:
        words = "an upstream credential was refused"
        return errors.KeyRejected(words, row="H10", http_status=status, is_vague=message is None)
    if status in REFUSED:
        row, refusal = REFUSED[status]
        is_about_request = refusal in (
            errors.BadCall,
            errors.CallTooLarge,
        )  # of anything else, callers learn the status
        words = message if is_about_request and message is not None else f"the upstream answered {status}"
        return refusal(words, param=_param(reply), row=row, http_status=status)
    if status == 403:
        return _judge_forbidden(f"{_error_code(reply)} {message}" if _is_envelope(reply) else None)
    if status == 429:
        retry_after = read_retry_after(reply, now)
        row = "H20" if retry_after is not None else "H21"
        return errors.KeyBusy("the upstream limits the rate", row=row, retry_after=retry_after, http_status=status)
    if status == 503:
        return _judge_unavailable(reply, now)
    row = IN_DOUBT.get(status, "H4" if 200 <= status < 300 else "H28")
    doubt = errors.NoApi if row == "H4" and _is_page(reply) else errors.InDoubt
    return doubt(f"the upstream answered {status} without a usable task id", row=row, http_status=status)


def is_about_content(words: str) -> bool:
    """Whether a code or a sentence says that the content was refused."""
    return _CONTENT.search(words) is not None


def read_retry_after(reply: Reply, now: float) -> int | None:
    """Seconds from the header, clamped to 1–300; a date is understood, junk counts as 30 s; None without a header."""
    text = reply.headers.get("retry-after")
    if text is None:
        return None
    text = text.strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        return _clamped(float(text))
    try:
        return _clamped(parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return RETRY_AFTER_JUNK_S


def _clamped(seconds: float) -> int:
    return int(min(max(seconds, 1), RETRY_AFTER_MAX_S))


def _judge_request(reply: Reply, message: str | None) -> errors.Refused | None:
    """What a 400 or 422 finds wrong, where that is the content or the model; None for anything else.

    A code says more than a sentence. The sentence alone never speaks of the model, because most of them name it.
    """
    status, code = reply.status, _error_code(reply)
    is_about_model = status == 400 and code.casefold() in _MODEL_CODES
    if is_about_content(code if is_about_model else f"{code} {message or ''}"):
        row = "H18" if status == 422 else "H9"
        return errors.ContentRejected(message or "the upstream refused the content", row=row, http_status=status)
    if is_about_model or (status == 400 and _param(reply) == "model"):
        words = message or "the upstream does not offer this model"
        return errors.ModelNotOffered(words, param="model", row="H9", http_status=status)
    return None


def _judge_forbidden(words: str | None) -> errors.Refused:
    """By the code and the sentence of the JSON error; None stands for an answer that is none."""
    if words is None:
        return errors.Walled("a firewall refused the call", row="H13", http_status=403)
    if _ABOUT_RIGHTS.search(words):
        return errors.KeyBarred("the upstream bars this model for the key", row="H12", http_status=403)
    # A JSON 403 about neither model nor permission still is about this key and no other.
    return errors.KeyRejected("an upstream credential was refused", row="H12", http_status=403, is_vague=True)


def _judge_unavailable(reply: Reply, now: float) -> errors.UpstreamError:
    retry_after = read_retry_after(reply, now)
    if retry_after is None and not _is_envelope(reply):
        return errors.InDoubt("an edge answered 503", row="H25", http_status=503)
    return errors.Overloaded("the upstream refused for load", row="H24", retry_after=retry_after, http_status=503)


def _is_page(reply: Reply) -> bool:
    """Whether it is meant for a browser: of maintenance, or of a network that wants a login first."""
    return "html" in reply.headers.get("content-type", "").lower() or reply.body.lstrip()[:1] == b"<"


def _message(reply: Reply) -> str | None:
    """The sentence of a JSON error in any documented shape, made fit to be shown; None when there is no JSON error."""
    body = jsontext.read_object(reply.body)
    error, base_resp = body.get("error"), body.get("base_resp")
    holder = _error(reply)
    texts = [holder.get(name) for name in ("message", "msg", "detail")]
    for text in (*texts, error, base_resp.get("status_msg") if isinstance(base_resp, dict) else None):
        if isinstance(text, str) and text.strip():
            return fit_to_show(text)
    return "the upstream gave no reason" if isinstance(error, dict) else None


def _is_envelope(reply: Reply) -> bool:
    """Whether a provider itself speaks, in a documented envelope; a bare `{"message": …}` is what firewalls say."""
    body = jsontext.read_object(reply.body)
    is_flat = "code" in body and isinstance(body.get("message", body.get("msg")), str)  # FACTS 3.5, 1.6
    return isinstance(body.get("error"), dict) or isinstance(body.get("base_resp"), dict) or is_flat


def fit_to_show(text: str) -> str:
    """An upstream's sentence on one line, bounded, without anything that looks like a credential."""
    # A NUL is nothing that PostgreSQL can keep, and no control character is meant for people.
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return _SECRET.sub("***", line)[:_MESSAGE_CHARACTERS_MAX]


def _error(reply: Reply) -> Mapping[str, object]:
    """The error of a JSON body: the object of that name, or the body itself, which is flat at new-api (FACTS 3.5)."""
    body = jsontext.read_object(reply.body)
    error = body.get("error")
    return error if isinstance(error, dict) else body


def _error_code(reply: Reply) -> str:
    return str(_error(reply).get("code", ""))


def _param(reply: Reply) -> str | None:
    param = _error(reply).get("param")
    return param if isinstance(param, str) and 0 < len(param) <= 64 else None
