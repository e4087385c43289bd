"""Keys and their money. Any key works; two beginnings say otherwise (CONTRACT 7, "sandbox keys").

An account is one key. A create reserves its price, a completed video settles it, a failed one is refunded, so
`balance = available + held + spent` always. Money is in millionths of a US dollar.
"""

import hashlib
from collections import OrderedDict

from gateway.sandbox.calls import Refusal

_REFUSED = "sk-bad"
_PENNILESS = "sk-empty"
# Any word is a key, so a loop over invented keys must not fill the memory; the longest unused one is forgotten.
_ACCOUNTS_MAX = 100_000


class Account:
    """One key's money."""

    def __init__(self, key: str, balance_micros: int) -> None:
        self.key = key
        self.balance_micros = balance_micros
        self.held_micros = 0
        self.spent_micros = 0

    @property
    def available_micros(self) -> int:
        return self.balance_micros - self.held_micros - self.spent_micros

    def reserve(self, price_micros: int) -> None:
        if price_micros > self.available_micros:
            raise Refusal(402, "the balance of this key does not cover the price of this video")
        self.held_micros += price_micros

    def settle(self, price_micros: int) -> None:
        self.held_micros -= price_micros
        self.spent_micros += price_micros

    def refund(self, price_micros: int) -> None:
        self.held_micros -= price_micros


class Accounts:
    """Every key that was ever shown, up to a bound."""

    def __init__(self, balance_micros: int) -> None:
        self._balance_micros = balance_micros
        self._by_key: OrderedDict[str, Account] = OrderedDict()

    def open(self, key: str | None) -> Account:
        """The account of a key, or a refusal of the key."""
        if key is None:
            raise Refusal(401, "no key: send `Authorization: Bearer <key>`")
        if key.startswith(_REFUSED):
            raise Refusal(401, "this key is not valid")
        account = self._by_key.get(key)
        if account is None:
            account = Account(key, 0 if key.startswith(_PENNILESS) else self._balance_micros)
            self._by_key[key] = account
        self._by_key.move_to_end(key)
        while len(self._by_key) > _ACCOUNTS_MAX:
            self._by_key.popitem(last=False)
        return account


def mask_key(key: str) -> str:
    """What may be shown of a key: its last four characters, and of a very short one nothing."""
    return f"…{key[-4:]}" if len(key) > 4 else "…"


def name_key(key: str) -> str:
    """A short name that tells keys apart and gives none away."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:8]
