"""What we sign, and what we take for ours."""

import json
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from gateway.secret import Secret
from gateway.signing import attempt_token, read_attempt_token, webhook_headers

SECRET = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
BODY = '{"id":"video_1","prompt":"ein Schiff bei Dämmerung 黎明","url":"https://x.example/?a=1&b=2"}'.encode()
OURS = b"a secret of the database"
TASK = 4_611_686_018_427_387_905


def test_a_signature_is_accepted_by_the_library_of_the_standard() -> None:
    headers = webhook_headers("msg_1", BODY, SECRET, time.time())
    assert Webhook(SECRET.reveal()).verify(BODY, dict(headers)) == json.loads(BODY)


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (BODY.replace(b"video_1", b"video_2"), {}),
        (BODY, {"webhook-id": "msg_2"}),
        (BODY, {"webhook-timestamp": str(int(time.time()) + 1)}),
        (BODY, {"webhook-signature": "v1," + "A" * 43 + "="}),
    ],
)
def test_what_was_changed_on_the_way_is_refused(body: bytes, changed: dict[str, str]) -> None:
    headers = {**webhook_headers("msg_1", BODY, SECRET, time.time()), **changed}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET.reveal()).verify(body, headers)


def test_without_a_secret_an_attempt_says_which_message_it_is_and_is_not_signed() -> None:
    assert webhook_headers("msg_1", BODY, None, 1_800_000_000.9) == {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1800000000",
    }


def test_a_token_names_its_attempt() -> None:
    for attempt in (0, 1, 12):
        assert read_attempt_token(attempt_token(TASK, attempt, OURS), OURS) == (TASK, attempt)


def _others() -> list[str]:
    token = attempt_token(TASK, 2, OURS)
    word, attempt, seal = token.split(".")
    _, _, another_seal = attempt_token(TASK, 3, OURS).split(".")
    flipped = ("0" if seal[0] != "0" else "1") + seal[1:]
    return [
        *("", ".", "..", "...", word, f"{word}.{attempt}", f"{word}.{attempt}.", token + "0", token[:-1], token + "."),
        *(f"{word}.{attempt}.{another_seal}", f"{word}.3.{seal}", f"{word}.{attempt}.{flipped}"),
        *(
            f"{word}.02.{seal}",
            f"{word}.+2.{seal}",
            f"{word}.².{seal}",
            f"{word}.-2.{seal}",
            f"{word}.{'9' * 99}.{seal}",
        ),
        *(f"{TASK}.{attempt}.{seal}", f"{word}.{attempt}.{seal[:8]}é", attempt_token(TASK, 2, b"another")),
    ]


@pytest.mark.parametrize("token", _others())
def test_any_other_text_is_none_of_ours(token: str) -> None:
    assert read_attempt_token(token, OURS) is None
