"""What has to become of a wish between a dialect and the providers behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.matrix.sellers import Seller
from tests.matrix.speakers import Speaker
from tests.matrix.wishes import FIRST, IMAGES_OF, LAST, OPTIONS, SUBJECT, Model, Wish, models


@dataclass(frozen=True)
class Culprits:
    """Why a wish cannot be had: each item is one thing wrong, as the canonical fields that it may be told under."""

    things: tuple[frozenset[str], ...]

    @property
    def is_about_model(self) -> bool:
        return frozenset({"model"}) in self.things

    def complaint(self, named: Sequence[str], params: Mapping[str, str]) -> str | None:
        """What is wrong with a refusal that names these fields; None when it says it all, and nothing else."""
        for thing in self.things:
            if not {params.get(name, name) for name in thing} & set(named):
                return f"says nothing of {sorted(params.get(name, name) for name in thing)}: {named}"
        guilty = {params.get(name, name) for thing in self.things for name in thing}
        innocent = set(named) - guilty
        if innocent:
            return f"accuses {sorted(innocent)}, where there is nothing wrong"
        return None


def judge(wish: Wish, speaker: Speaker, sellers: Sequence[Seller]) -> Seller | Culprits:
    """The provider that has to get it, the first in order that sells and can say all of it; or what is wrong."""
    model = models()[wish.model]
    unsaid = speaker.has_no_field_for(wish)
    things = [frozenset({name}) for name in unsaid | speaker.cannot_read(wish)]
    selling = [seller for seller in sellers if seller.sells(model)]
    if not selling:
        return Culprits((*things, frozenset({"model"})))
    things += _broken_rules(wish, model, speaker, unsaid)
    if things:
        return Culprits(tuple(things))
    for seller in selling:
        if not seller.cannot_say(wish):
            return seller
    gaps = min((seller.cannot_say(wish) for seller in selling), key=len)
    return Culprits(tuple(frozenset({name}) for name in gaps))


def _broken_rules(wish: Wish, model: Model, speaker: Speaker, unsaid: set[str]) -> list[frozenset[str]]:
    """The model's own rules (FACTS 4.3). What a dialect has no field for is out of the picture, and told already."""
    images = set(wish.images) - unsaid
    mode = _mode(images)
    things = [_misfit(images, model)] if mode not in model.modes else []
    things = [thing for thing in things if not thing & unsaid]
    if set(model.modes) == {"s2v"} and SUBJECT in speaker.lacks and not images:
        # Whatever is said, it cannot be ordered in a dialect without the field.
        things = [thing for thing in things if thing != {SUBJECT}] + [frozenset({"model"})]
    of_mode = [offer for offer in model.offers if offer.mode == mode and not speaker.cannot_read(wish)]
    offers = of_mode or model.offers  # with an image that cannot be read, the mode is not known
    resolution, duration = wish.resolution or model.resolution, wish.duration or model.duration
    wrong_resolution = wish.resolution not in {None, *(offer.resolution for offer in offers)}
    wrong_duration = wish.duration not in {None, *(offer.duration for offer in offers)}
    if wrong_resolution:
        things.append(frozenset({"resolution"}))
    if wrong_duration:
        things.append(frozenset({"duration"}))
    pairs = {(offer.resolution, offer.duration) for offer in offers}
    if not (wrong_resolution or wrong_duration or (resolution, duration) in pairs):
        things.append(frozenset({"resolution", "duration"}))
    return [*things, *_broken_words(wish, model, speaker, mode, unsaid)]


def _broken_words(wish: Wish, model: Model, speaker: Speaker, mode: str, unsaid: set[str]) -> list[frozenset[str]]:
    """The rules that hold whatever is on offer."""
    things = []
    if not wish.has_prompt and (mode in model.prompt_required or speaker.requires_prompt(wish)):
        things.append(frozenset({"prompt"}))
    if wish.option is not None and wish.option not in {*model.options, *unsaid}:
        things.append(frozenset({wish.option}))
    return things


def _mode(images: set[str]) -> str:
    return "s2v" if SUBJECT in images else "flf" if LAST in images else "i2v" if FIRST in images else "t2v"


def _misfit(images: set[str], model: Model) -> frozenset[str]:
    """The images a model has no use for; where there are none of those, the one it lacks."""
    usable = {name for mode in model.modes for name in IMAGES_OF[mode]}
    return frozenset(images - usable or usable - images)


def said_options(wish: Wish) -> dict[str, bool]:
    """The options that have to reach the upstream."""
    return {wish.option: OPTIONS[wish.option]} if wish.option else {}
