"""The path on which upstreams call: it answers at once, and lets somebody look."""

from collections.abc import Mapping
from typing import Any

from gateway import jsontext
from gateway.errors import InvalidRequest, TooLarge, UnknownRoute
from gateway.flows import hints
from gateway.parts import Parts
from gateway.signing import read_attempt_token
from gateway.web.body import read_body
from gateway.web.exchange import Answer, Exchange
from gateway.web.surface import Way

BODY_BYTES_MAX = 64 << 10  # the answer to a poll has two
BODY_WITHIN_S = 2.0  # MiniMax waits three for the answer to its challenge (FACTS 4.6)


class HintPath:
    """Handlers of the one path that needs no key: its last part is one, made for a single attempt."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._hints = hints.Hints(parts)

    def ways(self) -> Mapping[str, Mapping[str, Way]]:
        """Path → method → what answers it; nothing where no upstream is told of it."""
        return {} if self._parts.settings.public_url is None else {hints.PATH: {"POST": Way(self._hear)}}

    async def _hear(self, exchange: Exchange) -> Answer:
        """200 for every attempt of ours, whatever became of it: a caller learns nothing here."""
        attempt = read_attempt_token(exchange.path_param("id"), self._parts.settings.hint_secret)
        if attempt is None:
            raise UnknownRoute("there is no such path here")
        said = await _read(exchange)
        if "challenge" in said:  # MiniMax asks so whether somebody is there, before it tells anything
            return Answer(200, jsontext.write({"challenge": said["challenge"]}))
        self._parts.stories.start(self._hints.hear(*attempt, said))
        return Answer(200, b"{}")


async def _read(exchange: Exchange) -> Mapping[str, Any]:
    """The body where it is small JSON that came in time; nothing of any other. It is a hint whatever it says."""
    try:
        return await read_body(exchange, bytes_max=BODY_BYTES_MAX, within_s=BODY_WITHIN_S, takes_forms=False)
    except (InvalidRequest, TooLarge):
        return {}
