"""`reelgate check`: is this configuration sound, and what will it do? Never spends, never calls anyone."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from gateway.catalog import Catalog, Model, matches
from gateway.cli.desk import noticed
from gateway.cli.options import ConfigOption, read_config, refuse_unknown_providers
from gateway.cli.printing import JsonOption, shown, table, tell
from gateway.config import Config, Upstream
from gateway.money import render_micros
from gateway.providers import PROVIDERS


def check(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Validate the configuration and print what it means."""
    settings = read_config(config)
    refuse_unknown_providers(settings)
    catalog = Catalog.shipped(settings.prices)
    report = {
        "currency": settings.currency,
        "upstreams": _upstreams(settings),
        "models": _models(settings, catalog),
        "notes": [*_remarks(settings, catalog), *noticed(settings)],
    }
    tell(report, _draw, as_json=as_json)


def _upstreams(settings: Config) -> list[dict[str, Any]]:
    """One for every key; that it is here at all says that its secret is present."""
    return [
        {
            "name": upstream.name,
            "provider": upstream.provider,
            "base_url": upstream.base_url,
            "key": key.id,
            "account": key.account,
            "draining": key.draining,
        }
        for upstream in settings.upstreams
        for key in upstream.keys
    ]


def _models(settings: Config, catalog: Catalog) -> list[dict[str, Any]]:
    """Who sells each model, and the prices of its cheapest and its dearest offer."""
    return [
        {
            "name": model.name,
            "upstreams": [upstream.name for upstream in settings.upstreams if _sells(upstream, model)],
            "prices": _price_range(model),
        }
        for model in catalog.models
    ]


def _price_range(model: Model) -> list[str]:
    prices = sorted({offer.price for offer in model.offers if offer.price is not None})
    return list(dict.fromkeys(render_micros(price) for price in (*prices[:1], *prices[-1:])))


def _draw(console: Console, report: Mapping[str, Any]) -> None:
    keys = (
        (
            *(item[name] for name in ("name", "provider", "base_url", "key", "account")),
            "present, draining" if item["draining"] else "present",
        )
        for item in report["upstreams"]
    )
    console.print(table("Upstreams", ("upstream", "provider", "address", "key", "account", "secret"), keys))
    models = (
        (item["name"], ", ".join(item["upstreams"]) or "none", " – ".join(item["prices"]) or "none")
        for item in report["models"]
    )
    console.print(table(f"Models (prices in {report['currency']})", ("model", "upstreams", "prices"), models))
    for sentence in report["notes"]:
        console.print(f"note  {shown(sentence)}", soft_wrap=True)
    console.print("ok  the configuration is sound")


def _remarks(settings: Config, catalog: Catalog) -> list[str]:
    """What is allowed and still worth knowing."""
    remarks = []
    for model in catalog.models:
        if not any(_sells(upstream, model) for upstream in settings.upstreams):
            remarks.append(f"{model.name}: no upstream sells it; requests for it are refused")
        elif any(offer.price is None for offer in model.offers):
            remarks.append(f"{model.name}: some offers have no price; set them under `prices`")
    if not settings.virtual_keys:
        remarks.append("virtual_keys: none; until one is made, any bearer token on this machine is the caller `local`")
    return remarks


def _sells(upstream: Upstream, model: Model) -> bool:
    if upstream.models is not None:
        return matches(model.name, upstream.models)
    return PROVIDERS[upstream.provider].NAME in model.sold_by
