"""What is wanted, free of any dialect, and every wish that the catalog's files can make.

The files are read plainly, without the catalog's own reader, so that a mistake in that is not repeated here.
"""

import base64
import random
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import cycle, product
from pathlib import Path
from typing import Any

import yaml

import gateway

_FILES = sorted((Path(gateway.__file__).parent / "models").glob("*.yaml"))

FIRST, LAST, SUBJECT = "first_frame_image", "last_frame_image", "subject_reference"
IMAGES_OF: Mapping[str, tuple[str, ...]] = {"t2v": (), "i2v": (FIRST,), "flf": (FIRST, LAST), "s2v": (SUBJECT,)}
RESOLUTIONS = ("512P", "720P", "768P", "1080P", None)
DURATIONS = (5, 6, 10, None)
# Each the opposite of what goes without saying.
OPTIONS: Mapping[str, bool] = {"prompt_optimizer": False, "fast_pretreatment": True, "aigc_watermark": True}


@dataclass(frozen=True)
class Offer:
    """One line of a model's price list, for one mode."""

    mode: str
    resolution: str | None
    duration: int | None
    price: str | None
    unsaid: frozenset[str]


@dataclass(frozen=True)
class Model:
    """One file of the catalog."""

    name: str
    sold_by: frozenset[str]
    prompt_required: frozenset[str]
    options: frozenset[str]
    resolution: str | None
    duration: int | None
    offers: tuple[Offer, ...]

    @property
    def modes(self) -> frozenset[str]:
        return frozenset(offer.mode for offer in self.offers)

    def offers_in(self, mode: str) -> list[Offer]:
        return [offer for offer in self.offers if offer.mode == mode]

    def find(self, mode: str, resolution: str | None, duration: int | None) -> Offer | None:
        """The offer for what was said; what was not is the model's default."""
        wanted = (mode, resolution or self.resolution, duration or self.duration)
        return next((offer for offer in self.offers if (offer.mode, offer.resolution, offer.duration) == wanted), None)


@dataclass(frozen=True)
class Wish:
    """One video. `number` tells it apart: it stands in the prompt and in every image."""

    number: int
    model: str
    mode: str
    resolution: str | None = None
    duration: int | None = None
    has_prompt: bool = True
    is_inline: bool = False
    """Images come as data URLs or files, not by address."""
    is_last_alone: bool = False
    """A last frame without a first one, which only the vendor's own schema lets pass."""
    option: str | None = None
    script: str = ""
    """What the sandbox is to do, besides."""

    def __str__(self) -> str:
        extras = [
            "" if self.has_prompt else "without a prompt",
            "inline images" if self.is_inline else "",
            "last frame alone" if self.is_last_alone else "",
            f"{self.option}={OPTIONS[self.option]}" if self.option else "",
        ]
        words = [f"{self.model} {self.mode} {self.resolution}/{self.duration}", *filter(None, extras)]
        return f"#{self.number} {', '.join(words)}"

    @property
    def offer(self) -> Offer | None:
        return models()[self.model].find(self.mode, self.resolution, self.duration)

    @property
    def is_plain(self) -> bool:
        """Fully said, by address, with a prompt and without options: the one wish of each offer that films are for."""
        offer = self.offer
        said = offer is not None and (offer.resolution, offer.duration) == (self.resolution, self.duration)
        return said and self.has_prompt and not (self.is_inline or self.is_last_alone or self.option)

    @property
    def mark(self) -> str:
        return f"wish-{self.number:05d}"

    @property
    def prompt(self) -> str | None:
        """With all that translating can spoil: quotes, a line break, letters beyond ASCII and beyond 16 bits."""
        heron = f'{self.mark}: a "heron" over the marsh,\nbigger than größer, 鹤 🎬 \\n {self.script}'
        return heron if self.has_prompt else None

    @property
    def images(self) -> dict[str, str]:
        """Canonical field → address or data URL."""
        names = (LAST,) if self.is_last_alone else IMAGES_OF[self.mode]
        if self.is_inline:
            return {name: data_url(self.picture(name)) for name in names}
        return {name: f"https://example.com/{self.mark}/{name}.png?a=1&b=%20" for name in names}

    def picture(self, name: str) -> bytes:
        """A PNG that every rule of FACTS 4.2 lets pass, of a hundred bytes, unlike any other."""
        header = _chunk(b"IHDR", struct.pack(">IIBBBBB", 640, 480, 1, 0, 0, 0, 0))
        words = _chunk(b"tEXt", f"Comment\0{self.mark} {name}".encode())
        rows = _chunk(b"IDAT", zlib.compress(bytes(81 * 480), 9))
        return b"\x89PNG\r\n\x1a\n" + header + words + rows + _chunk(b"IEND", b"")


@cache
def models() -> Mapping[str, Model]:
    found = [_read(yaml.safe_load(path.read_text("utf-8"))) for path in _FILES]
    return {model.name: model for model in found}


@cache
def on_sale() -> tuple[Wish, ...]:
    """Every offer in every way it can be said, with and without what goes without saying, and with images by address
    and inline; and in every mode of a model, an offer without a prompt and one with each option."""
    return tuple(replace(wish, number=number) for number, wish in enumerate(_on_sale()))


@cache
def not_on_sale() -> tuple[Wish, ...]:
    """The rest of the cross product, in an order of chance that is always the same."""
    rest = [
        Wish(0, model.name, mode, resolution, duration)
        for model, mode, resolution, duration in product(models().values(), IMAGES_OF, RESOLUTIONS, DURATIONS)
        if model.find(mode, resolution, duration) is None
    ]
    random.Random("not on sale").shuffle(rest)
    return tuple(replace(wish, number=10_000 + number) for number, wish in enumerate(rest))


def data_url(picture: bytes, label: str = "image/png") -> str:
    return f"data:{label};base64,{base64.b64encode(picture).decode()}"


def _on_sale() -> Iterator[Wish]:
    for model, mode, resolution, duration in product(models().values(), IMAGES_OF, RESOLUTIONS, DURATIONS):
        if model.find(mode, resolution, duration) is not None:
            yield Wish(0, model.name, mode, resolution, duration)
    for model in models().values():
        for offer in model.offers:
            wish = Wish(0, model.name, offer.mode, offer.resolution, offer.duration)
            if wish.images:
                yield replace(wish, is_inline=True)
            if offer.mode == "flf":
                yield replace(wish, is_last_alone=True)
        for mode in sorted(model.modes):
            turn = cycle(Wish(0, model.name, mode, offer.resolution, offer.duration) for offer in model.offers_in(mode))
            yield replace(next(turn), has_prompt=False)
            yield from (replace(next(turn), option=option) for option in OPTIONS)


def _read(data: Mapping[str, Any]) -> Model:
    offers = [
        Offer(mode, line["resolution"], line["duration"], line.get("price"), frozenset(line.get("unsaid", ())))
        for line in data["offers"]
        for mode in line["modes"]
    ]
    return Model(
        name=data["name"],
        sold_by=frozenset(data["sold_by"]),
        prompt_required=frozenset(data["prompt_required"]),
        options=frozenset(data["options"]),
        resolution=data["default"]["resolution"],
        duration=data["default"]["duration"],
        offers=tuple(offers),
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
