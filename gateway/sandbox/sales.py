"""What is on sale: models, modes, resolutions, lengths and prices, read from `gateway/models/*.yaml` (FACTS 4.3, 4.7).

Only the data is shared with the gateway, not its reader: a mistake in the gateway's reading must not be repeated here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_MODELS = Path(__file__).resolve().parents[1] / "models"
# The 01 series is no longer on the price list; 0.43 is what one client showed for it (FACTS 4.7).
_UNLISTED_PRICE = "0.43"


@dataclass(frozen=True, slots=True)
class Offer:
    """One combination a model sells. Money is in millionths of a US dollar."""

    model: str
    mode: str
    resolution: str | None
    duration_s: int | None
    price_micros: int


@dataclass(frozen=True, slots=True)
class Model:
    """One model, with every combination it sells."""

    name: str
    sold_by: frozenset[str]
    prompt_characters_max: int
    prompt_required: frozenset[str]
    options: frozenset[str]
    default_resolution: str | None
    default_duration_s: int | None
    offers: tuple[Offer, ...]

    def offers_in(self, mode: str) -> tuple[Offer, ...]:
        return tuple(offer for offer in self.offers if offer.mode == mode)


class Sales:
    """Every model, found by its exact name: providers know no aliases."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._models = {model.name: model for model in models}

    @classmethod
    @cache  # never changed once read, and a test makes hundreds of sandboxes
    def shipped(cls) -> "Sales":
        return cls(_read_model(yaml.safe_load(path.read_bytes())) for path in sorted(_MODELS.glob("*.yaml")))

    def find(self, name: str, seller: str) -> Model | None:
        model = self._models.get(name)
        return model if model is not None and seller in model.sold_by else None

    def names(self, seller: str) -> list[str]:
        return sorted(model.name for model in self._models.values() if seller in model.sold_by)


def _read_model(data: dict[str, Any]) -> Model:
    return Model(
        name=data["name"],
        sold_by=frozenset(data["sold_by"]),
        prompt_characters_max=data["prompt_characters_max"],
        prompt_required=frozenset(data["prompt_required"]),
        options=frozenset(data["options"]),
        default_resolution=data["default"]["resolution"],
        default_duration_s=data["default"]["duration"],
        offers=tuple(
            Offer(data["name"], mode, line["resolution"], line["duration"], _read_price(line))
            for line in data["offers"]
            for mode in line["modes"]
        ),
    )


def _read_price(line: dict[str, Any]) -> int:
    return int(Decimal(str(line.get("price", _UNLISTED_PRICE))) * 1_000_000)
