"""What a create may ask for beside the video, in headers (CONTRACT section 4)."""

from dataclasses import dataclass

from gateway.errors import InvalidRequest
from gateway.flows.preflight import MAX_PRICE
from gateway.money import parse_micros
from gateway.web.exchange import Exchange

DRY_RUN = "x-reelgate-dry-run"
IDEMPOTENCY_KEY = "idempotency-key"


@dataclass(frozen=True, slots=True)
class Wishes:
    """`is_dry_run`: check everything, send nothing. `price_max`: refuse what is dearer, in millionths."""

    is_dry_run: bool = False
    price_max: int | None = None


def read_wishes(exchange: Exchange) -> Wishes:
    """The wishes of a create. One that cannot be read, or not be kept, is refused: ignoring it would cost money."""
    if exchange.header(IDEMPOTENCY_KEY.encode()) is not None:
        message = "this version cannot keep the promise of an idempotency key; leave it out"
        raise InvalidRequest.at(IDEMPOTENCY_KEY, message)
    return Wishes(_dry_run(exchange.header(DRY_RUN.encode())), _price_max(exchange.header(MAX_PRICE.encode())))


def _dry_run(text: str | None) -> bool:
    if text is None or text.strip().lower() == "false":
        return False
    if text.strip().lower() == "true":
        return True
    raise InvalidRequest.at(DRY_RUN, "must be true or false", "true", "false")


def _price_max(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_micros(text.strip())
    except ValueError:
        raise InvalidRequest.at(MAX_PRICE, "must be an amount of at most six decimals, such as 0.30") from None
