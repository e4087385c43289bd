"""What a create may ask for beside the video, in headers (CONTRACT section 4)."""

from collections.abc import Callable
from typing import TypeVar

from gateway.errors import InvalidRequest, Problem
from gateway.flows.preflight import MAX_PRICE
from gateway.flows.submit import Wishes
from gateway.money import parse_micros
from gateway.structs import Struct
from gateway.video import Claim
from gateway.web.exchange import Exchange

T = TypeVar("T")

DRY_RUN = "x-reelgate-dry-run"
IDEMPOTENCY_KEY = "idempotency-key"
KEY_CHARACTERS_MAX = 255
# openai's SDKs count their tries and send no idempotency key (FACTS 5.3).
RETRY_COUNT = b"x-stainless-retry-count"


class Asked(Struct, frozen=True):
    """What the headers of a create ask for, and what is wrong with them, to be told with all that is wrong."""

    wishes: Wishes
    is_dry_run: bool
    problems: tuple[Problem, ...]


def read_wishes(exchange: Exchange) -> Asked:
    """The wishes of a create. One that cannot be read makes a problem: ignoring it would cost money."""
    problems: list[Problem] = []

    def read(what: Callable[[Exchange], T], otherwise: T) -> T:
        try:
            return what(exchange)
        except InvalidRequest as wrong:
            problems.extend(wrong.problems)
            return otherwise

    claim = Claim(read(_idempotency_key, None), _is_repeat(exchange))
    wishes = Wishes(read(_price_max, None), claim)
    is_dry_run = read(_wants_dry_run, True)
    return Asked(wishes, is_dry_run, tuple(problems))


def _wants_dry_run(exchange: Exchange) -> bool:
    """Check everything, send nothing. Raises InvalidRequest for a word that could mean either."""
    said = _said(exchange, DRY_RUN)
    if said is None:
        return False
    text = said.strip().lower()  # an empty one is a variable that nobody set, and no word for "buy it"
    if text not in ("true", "false"):
        raise InvalidRequest.at(DRY_RUN, "must be true or false", "true", "false")
    return text == "true"


def _idempotency_key(exchange: Exchange) -> str | None:
    key = _said(exchange, IDEMPOTENCY_KEY)
    if key is not None and not (0 < len(key) <= KEY_CHARACTERS_MAX and key.isascii() and key.isprintable()):
        raise InvalidRequest.at(IDEMPOTENCY_KEY, f"must be 1 to {KEY_CHARACTERS_MAX} printable ASCII characters")
    return key


def _said(exchange: Exchange, name: str) -> str | None:
    """The one value of a header that money depends on."""
    values = set(exchange.all_headers(name.encode()))
    if len(values) > 1:
        raise InvalidRequest.at(name, "stands more than once, with different values; send one")
    return values.pop() if values else None


def _is_repeat(exchange: Exchange) -> bool:
    """Whether an SDK marks this as a try after the first; junk and first tries are ordinary creates."""
    text = exchange.headers.get(RETRY_COUNT, b"")
    return text.isdigit() and len(text) <= 9 and int(text) >= 1


def _price_max(exchange: Exchange) -> int | None:
    text = _said(exchange, MAX_PRICE)
    if text is None:
        return None
    try:
        return parse_micros(text.strip())
    except ValueError:
        raise InvalidRequest.at(MAX_PRICE, "must be an amount of at most six decimals, such as 0.30") from None
