"""What comes back from an upstream, before anybody reads it."""

import json

import pytest

from gateway import jsontext
from gateway.transport import read_reply

SECRET = "sk-a/b&c"


@pytest.mark.parametrize("quoted", [SECRET, r"sk-a\/b&c", r"sk-a/b\u0026c", r"sk\u002Da\u002Fb\u0026c"])
def test_our_key_is_masked_in_a_reply_however_its_json_spells_it(quoted: str) -> None:
    body = f'{{"error": {{"message": "no such key: {quoted}"}}}}'
    assert json.loads(body)["error"]["message"].endswith(SECRET)
    reply = read_reply(401, {}, body.encode(), True, SECRET)
    assert jsontext.read_object(reply.body) == {"error": {"message": "no such key: ***"}}
