"""Values that a shell completes, for options with a closed set of them. Nobody is asked."""

from collections.abc import Iterable

import typer

from gateway.catalog import Catalog, Model
from gateway.dialects import DIALECTS
from gateway.video import State


def models(incomplete: str) -> list[str]:
    """Models of the catalog."""
    return _fitting((model.name for model in Catalog.shipped().models), incomplete)


def resolutions(ctx: typer.Context, incomplete: str) -> list[str]:
    """What the model on the line has, or any."""
    return _fitting((offer.resolution or "" for model in _meant(ctx) for offer in model.offers), incomplete)


def durations(ctx: typer.Context, incomplete: str) -> list[str]:
    """The same for seconds."""
    return _fitting((str(offer.duration_s or "") for model in _meant(ctx) for offer in model.offers), incomplete)


def dialects(incomplete: str) -> list[str]:
    """Ways of speaking."""
    return _fitting(DIALECTS, incomplete)


def states(incomplete: str) -> list[str]:
    """States of tasks, and money that waits for a person."""
    return _fitting((*(state.value for state in State), "suspense"), incomplete)


def groups(incomplete: str) -> list[str]:
    """What usage is summed up by."""
    return _fitting(("key", "team", "model", "upstream", "day"), incomplete)


def _meant(ctx: typer.Context) -> Iterable[Model]:
    catalog = Catalog.shipped()
    model = catalog.find(str(ctx.params.get("model") or ""))
    return catalog.models if model is None else [model]


def _fitting(values: Iterable[str], incomplete: str) -> list[str]:
    return list(dict.fromkeys(value for value in values if value and value.startswith(incomplete)))
