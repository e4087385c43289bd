"""What a create may ask for beside the video, in headers (CONTRACT section 4)."""

from gateway.errors import InvalidRequest
from gateway.flows.preflight import MAX_PRICE
from gateway.flows.submit import Wishes
from gateway.money import parse_micros
from gateway.video import Claim
from gateway.web.exchange import Exchange

DRY_RUN = "x-reelgate-dry-run"
IDEMPOTENCY_KEY = "idempotency-key"
KEY_CHARACTERS_MAX = 255
# openai's SDKs count their tries and send no idempotency key (FACTS 5.3).
RETRY_COUNT = b"x-stainless-retry-count"


def wants_dry_run(exchange: Exchange) -> bool:
    """Check everything, send nothing. Raises InvalidRequest for a word that could mean either."""
    said = _said(exchange, DRY_RUN)
    if said is None:
        return False
    text = said.strip().lower()  # an empty one is a variable that nobody set, and no word for "buy it"
    if text not in ("true", "false"):
        raise InvalidRequest.at(DRY_RUN, "must be true or false", "true", "false")
    return text == "true"


def read_wishes(exchange: Exchange) -> Wishes:
    """The wishes of a create. One that cannot be read is refused: ignoring it would cost money."""
    key = _said(exchange, IDEMPOTENCY_KEY)
    if key is not None and not (0 < len(key) <= KEY_CHARACTERS_MAX and key.isascii() and key.isprintable()):
        raise InvalidRequest.at(IDEMPOTENCY_KEY, f"must be 1 to {KEY_CHARACTERS_MAX} printable ASCII characters")
    return Wishes(_price_max(_said(exchange, MAX_PRICE)), Claim(key, _is_repeat(exchange)))


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


def _price_max(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_micros(text.strip())
    except ValueError:
        raise InvalidRequest.at(MAX_PRICE, "must be an amount of at most six decimals, such as 0.30") from None
