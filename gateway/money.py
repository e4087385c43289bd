"""Money is integers: millionths of the configured currency. Text exists only at the edges."""

from decimal import Decimal, InvalidOperation

MICROS = 1_000_000


def parse_micros(text: str) -> int:
    """`"0.28"` → 280000. Raises ValueError for anything but a plain, non-negative amount of at most six decimals."""
    try:
        amount = Decimal(text) * MICROS
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount") from None
    if not amount.is_finite() or amount < 0 or amount != amount.to_integral_value():
        raise ValueError(f"{text!r} is not an amount of at most six decimals")
    return int(amount)


def render_micros(micros: int) -> str:
    """280000 → `"0.28"`: at least two decimals, no more than are needed."""
    whole, fraction = divmod(micros, MICROS)
    decimals = f"{fraction:06d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{decimals}"
