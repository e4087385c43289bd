"""`reelgate check`: is this configuration sound, and what will it do? Never spends, never calls anyone."""

from rich.console import Console
from rich.table import Table

from gateway.catalog import Catalog, Model, matches
from gateway.cli.desk import noticed
from gateway.cli.options import ConfigOption, read_config, refuse_unknown_providers
from gateway.config import Config, Upstream
from gateway.money import render_micros
from gateway.providers import PROVIDERS


def check(config: ConfigOption = None) -> None:
    """Validate the configuration and print what it means."""
    settings = read_config(config)
    console = Console()
    refuse_unknown_providers(settings)
    catalog = Catalog.shipped(settings.prices)
    console.print(_upstreams(settings))
    console.print(_models(settings, catalog))
    for sentence in [*_remarks(settings, catalog), *noticed(settings)]:
        console.print(f"[yellow]note[/]  {sentence}", highlight=False)
    console.print("[green]ok[/]  the configuration is sound")


def _upstreams(settings: Config) -> Table:
    table = Table("upstream", "provider", "address", "key", "account", "secret", title="Upstreams")
    for upstream in settings.upstreams:
        for key in upstream.keys:
            secret = "present, draining" if key.draining else "present"
            table.add_row(upstream.name, upstream.provider, upstream.base_url, key.id, key.account, secret)
    return table


def _models(settings: Config, catalog: Catalog) -> Table:
    table = Table("model", "upstreams", "prices", title=f"Models (prices in {settings.currency})")
    for model in catalog.models:
        sellers = [upstream.name for upstream in settings.upstreams if _sells(upstream, model)]
        table.add_row(model.name, ", ".join(sellers) or "none", _price_range(model))
    return table


def _price_range(model: Model) -> str:
    prices = sorted({offer.price for offer in model.offers if offer.price is not None})
    if not prices:
        return "none"
    return " – ".join(dict.fromkeys(render_micros(price) for price in (prices[0], prices[-1])))


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
