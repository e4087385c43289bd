"""The providers: what each can be told, and what a body that reached one says in its own fields (FACTS 1 to 4, 7.2)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.matrix.wishes import FIRST, LAST, OPTIONS, SUBJECT, Model, Wish

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Heard:
    """What a provider was told. An option is there only if it was said."""

    model: str
    prompt: str | None
    images: Mapping[str, str]
    resolution: str | None
    duration: int | None
    options: Mapping[str, bool]


@dataclass(frozen=True)
class Seller:
    """One provider."""

    name: str
    create: str
    hear: Callable[[Body], Heard]
    lacks: frozenset[str] = frozenset()
    takes_data_urls: bool = True
    uploads: bool = False
    """Data URLs are uploaded first, so that an address is heard in their place."""
    takes_last_alone: bool = True
    needs_prompt: frozenset[str] | None = frozenset()
    """Models it requires a prompt for whatever the mode; None: all."""
    claims: tuple[str, ...] = ()
    """Models it is configured to sell, whatever the catalog says."""

    def sells(self, model: Model) -> bool:
        return model.name in self.claims if self.claims else self.name in model.sold_by

    def cannot_say(self, wish: Wish) -> set[str]:
        """The canonical fields of a wish that this provider cannot be told of."""
        gaps = {name for name in (*wish.images, wish.option) if name in self.lacks}
        if wish.is_inline and not self.takes_data_urls:
            gaps |= set(wish.images)
        if wish.is_last_alone and not self.takes_last_alone:
            gaps.add(FIRST)
        if not wish.has_prompt and (self.needs_prompt is None or wish.model in self.needs_prompt):
            gaps.add("prompt")
        return gaps


def _hear_evolink(body: Body) -> Heard:
    _expect(body, "model", "prompt", "image_urls", "quality", "duration", "model_params")
    quality = body.get("quality")
    assert quality is None or quality == quality.lower()
    return Heard(
        model=body["model"],
        prompt=body.get("prompt"),
        images=dict(zip((FIRST, LAST), body.get("image_urls", []), strict=False)),
        resolution=None if quality is None else quality.upper(),
        duration=body.get("duration"),
        options=_options(body.get("model_params", {}), "prompt_optimizer", "fast_pretreatment"),
    )


def _hear_toapis(body: Body) -> Heard:
    _expect(body, "model", "prompt", "image_urls", "resolution", "duration", "metadata")
    metadata = dict(body.get("metadata", {}))
    last = metadata.pop(LAST, None)
    images = dict(zip((FIRST,), body.get("image_urls", []), strict=False))
    return Heard(
        model=body["model"],
        prompt=body.get("prompt"),
        images=images | ({} if last is None else {LAST: last}),
        resolution=body.get("resolution"),
        duration=body.get("duration"),
        options=_options(metadata, *OPTIONS),
    )


def _hear_newapi(body: Body) -> Heard:
    """The classic adaptor reads images and resolution in `metadata` alone (FACTS 3.3)."""
    _expect(body, "model", "prompt", "duration", "metadata")
    metadata = dict(body.get("metadata", {}))
    return Heard(
        model=body["model"],
        prompt=body["prompt"],
        images=_take_images(metadata),
        resolution=metadata.pop("resolution", None),
        duration=body.get("duration"),
        options=_options(metadata, *OPTIONS),
    )


def _hear_minimax(body: Body) -> Heard:
    rest = dict(body)
    return Heard(
        model=rest.pop("model"),
        prompt=rest.pop("prompt", None),
        images=_take_images(rest),
        resolution=rest.pop("resolution", None),
        duration=rest.pop("duration", None),
        options=_options(rest, *OPTIONS),
    )


def _take_images(fields: dict[str, Any]) -> dict[str, str]:
    images = {name: fields.pop(name) for name in (FIRST, LAST) if name in fields}
    if SUBJECT in fields:
        ((subject,),) = [fields.pop(SUBJECT)]
        assert set(subject) == {"type", "image"}
        assert subject["type"] == "character"
        (images[SUBJECT],) = subject["image"]
    return images


def _options(fields: Body, *known: str) -> dict[str, bool]:
    _expect(fields, *known)
    assert all(isinstance(value, bool) for value in fields.values())
    return dict(fields)


def _expect(fields: Body, *known: str) -> None:
    assert set(fields) <= set(known), f"this provider knows no {set(fields) - set(known)}"


SELLERS: Mapping[str, Seller] = {
    seller.name: seller
    for seller in (
        Seller(
            name="evolink",
            create="/evolink/v1/videos/generations",
            hear=_hear_evolink,
            lacks=frozenset({SUBJECT, "aigc_watermark"}),
            uploads=True,
            takes_last_alone=False,
        ),
        Seller(
            name="toapis",
            create="/toapis/v1/videos/generations",
            hear=_hear_toapis,
            lacks=frozenset({SUBJECT}),
            takes_data_urls=False,
            takes_last_alone=False,
            needs_prompt=frozenset({"MiniMax-Hailuo-2.3", "MiniMax-Hailuo-2.3-Fast"}),
        ),
        Seller(
            name="newapi",
            create="/newapi/v1/video/generations",
            hear=_hear_newapi,
            needs_prompt=None,
        ),
        Seller(name="minimax", create="/minimax/v1/video_generation", hear=_hear_minimax),
    )
}
