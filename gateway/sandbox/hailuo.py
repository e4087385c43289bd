"""The fields of the vendor's own body (FACTS 4.2). MiniMax takes them as they are, new-api inside `metadata`."""

from collections.abc import Mapping

from gateway.sandbox.addresses import check_callback, check_image
from gateway.sandbox.fields import Fields, refuse_field
from gateway.sandbox.sales import Model

_FIRST, _LAST, _SUBJECT = "first_frame_image", "last_frame_image", "subject_reference"
_SWITCHES = ("prompt_optimizer", "fast_pretreatment", "aigc_watermark")
FIELDS = (_FIRST, _LAST, _SUBJECT, "resolution", "duration", *_SWITCHES, "callback_url")

# Which images make which mode. The schema of first and last frame lets the first one go unsaid (FACTS 4.2).
_MODES: Mapping[frozenset[str], str] = {
    frozenset(): "t2v",
    frozenset({_FIRST}): "i2v",
    frozenset({_LAST}): "flf",
    frozenset({_FIRST, _LAST}): "flf",
    frozenset({_SUBJECT}): "s2v",
}
_TAKEN: Mapping[str, tuple[str, ...]] = {"t2v": (), "i2v": (_FIRST,), "flf": (_FIRST, _LAST), "s2v": (_SUBJECT,)}


def read_mode(fields: Fields, model: Model) -> str:
    """The mode that the images make, each one checked."""
    modes = [mode for mode in _TAKEN if model.offers_in(mode)]
    said = frozenset(name for name in (_FIRST, _LAST, _SUBJECT) if name in fields.values)
    for name in sorted(said):
        if all(name not in _TAKEN[mode] for mode in modes):
            raise refuse_field(fields.name(name), f"is not taken by {model.name}")
    for name in (_FIRST, _LAST):
        if name in said:
            check_image(fields.values[name], fields.name(name), inline=True)
    if _SUBJECT in said:
        _check_subject(fields)
    mode = _MODES.get(said)
    if mode is None or mode not in modes:
        needed = [name for mode in modes for name in _TAKEN[mode]]
        raise refuse_field(fields.name(needed[0]), f"is required for {model.name}")
    return mode


def check_extras(fields: Fields, model: Model) -> None:
    """Switches that this model has, and a callback."""
    for name in _SWITCHES:
        if name in fields.values and name not in model.options:
            raise refuse_field(fields.name(name), f"is not taken by {model.name}", sorted(model.options))
    fields.check_switches(_SWITCHES)
    check_callback(fields)


def _check_subject(fields: Fields) -> None:
    """One subject, a character, with one image (FACTS 4.2)."""
    param = fields.name(_SUBJECT)
    subjects = fields.read(_SUBJECT, list, "an array")
    if len(subjects) != 1 or not isinstance(subjects[0], dict):
        raise refuse_field(param, "must hold exactly one object")
    subject = Fields(subjects[0], f"{param}[0]")
    subject.refuse_unknown(("type", "image"))
    if subject.read("type", str, "a string") != "character":
        raise refuse_field(subject.name("type"), "must be said", ["character"])
    images = subject.read("image", list, "an array of URLs") or []
    if len(images) != 1:
        raise refuse_field(subject.name("image"), "must hold exactly one image")
    check_image(images[0], f"{subject.name('image')}[0]", inline=True)
