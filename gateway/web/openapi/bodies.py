"""The bodies of creates as JSON Schema, made of the dialects' tables of fields and the catalog.

The schema of a dialect is a flat object, as generators of clients like it, and beside it stands what the catalog knows:
for each model a rule of the kind "if it is this model, then one of these". What the schema refuses, the gateway
refuses. What it takes, the gateway takes, but for what no schema can say: that two spellings of one thing must agree,
and what is behind an address.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.catalog import IMAGES, Model
from gateway.dialects.fields import Field, Fields, Item
from gateway.dialects.speaking import Dialect, FormDialect
from gateway.flows.preflight import CALLBACK_URL_CHARACTERS_MAX
from gateway.video import Mode, VideoRequest
from gateway.web.openapi.layouts import FormLayout, JsonLayout, Layout, Schema

_NEVER: Schema = {"not": {}}
# What counts as blank here: more than `\s` of JSON Schema's patterns.
_NOT_BLANK: Schema = {"type": "string", "pattern": "[^\\s\\x1c-\\x1f\\x85]"}
# A name that no file has (`catalog.py`), where unknown models are forwarded.
_ANY_MODEL: Schema = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$"}
_CALLBACK: Schema = {
    "type": "string",
    "format": "uri",
    "pattern": "^https://[a-z0-9]",
    "maxLength": CALLBACK_URL_CHARACTERS_MAX,
}
_SAID: Mapping[str, str] = {
    "model": "Which model makes the video, in any letter case. `GET /v1/models` lists those on sale here.",
    "prompt": "What is to be seen. No NUL; camera commands in brackets where the model takes them.",
    "first_frame_image": "The first frame: JPEG, PNG or WebP, below 20 MiB, short edge over 300 pixels, 2:5 to 5:2.",
    "last_frame_image": "The last frame, under the same rules as the first.",
    "subject_reference": "One picture of the subject.",
    "resolution": "In any letter case. What is on sale depends on the model and on the images.",
    "duration_s": "Seconds. What is on sale depends on the model and on the resolution.",
    "prompt_optimizer": "Whether the vendor may rewrite the prompt; it may unless this says no.",
    "fast_pretreatment": "Whether that rewriting is to be quick.",
    "aigc_watermark": "Whether the film is to carry a watermark.",
    "callback_url": "Where the end of the task is told: https, to a public host, without credentials.",
}
_DEFAULTS: Mapping[str, bool] = {
    name: getattr(VideoRequest(), name) for name in ("prompt_optimizer", "fast_pretreatment", "aigc_watermark")
}


def json_body(dialect: Dialect, models: Sequence[Model], *, takes_any_model: bool) -> Schema:
    """What a create of this dialect takes as JSON."""
    return _Body(dialect, dialect.FIELDS, models, JsonLayout(), takes_any_model).schema()


def form_body(dialect: Dialect, models: Sequence[Model], *, takes_any_model: bool) -> Schema:
    """What a create of this dialect takes as a multipart form: inner names in brackets, every value a text."""
    fields = dialect.FORM_FIELDS if isinstance(dialect, FormDialect) else dialect.FIELDS
    return _Body(dialect, fields, models, FormLayout(), takes_any_model).schema()


def shared_body(speakers: Sequence[Dialect], default: str, refs: Mapping[str, Schema]) -> Schema:
    """What a create takes on a path of several dialects: the marks tell whose it is (CONTRACT section 4)."""
    return {
        "oneOf": [refs[dialect.NAME] if default == dialect.NAME else _marked(dialect, refs) for dialect in speakers]
    }


def _marked(dialect: Dialect, refs: Mapping[str, Schema]) -> Schema:
    marks = [{"required": [mark]} for mark in sorted(dialect.MARKS)]
    return {"allOf": [refs[dialect.NAME], {"anyOf": marks}]}


class _Body:
    """One dialect's body in one layout."""

    def __init__(
        self, dialect: Dialect, fields: Fields, models: Sequence[Model], layout: Layout, takes_any_model: bool
    ) -> None:
        self._dialect = dialect
        self._fields = fields
        self._layout = layout
        self._takes_any_model = takes_any_model
        self._wanted = {
            name: tuple(spelling for spelling in spellings if layout.has(spelling))
            for name, spellings in fields.wanted.items()
        }
        self._models = [model for model in models if any(map(self._can_be_said, model.modes))]
        self._always_needs_prompt = all(dialect.prompt_required(model.name) for model in self._models)

    def schema(self) -> Schema:
        layout = self._layout
        fields = self._fields
        root = layout.root([path for path in fields.objects if path not in self._paths()])
        for name, spellings in self._wanted.items():
            for spelling in spellings:
                layout.put(root, spelling, self._value(name, spelling), _SAID[name])
        for path in fields.ignored:
            root["properties"][path] = {**layout.anything(), "description": "Taken and not used."}
        root["required"] = ["model"]
        if self._always_needs_prompt:
            root["properties"]["prompt"] |= _NOT_BLANK
            root["required"].append("prompt")
        rules = list(self._by_model())
        return root | ({"allOf": rules} if rules else {})

    def _paths(self) -> set[str]:
        return {item.path for items in self._wanted.values() for item in items if isinstance(item, Field)}

    def _can_be_said(self, mode: Mode) -> bool:
        return all(self._wanted[image] for image in IMAGES[mode][0])

    def _value(self, name: str, spelling: Field | Item) -> Schema:
        """What may stand there for some model."""
        match name:
            case "model":
                known = {"enum": [word for model in self._models for word in (model.name, *model.aliases)]}
                return {"anyOf": [known, _ANY_MODEL]} if self._takes_any_model else known
            case "prompt":
                limits = {model.prompt_characters_max for model in self._models}
                is_limited = limits and not self._takes_any_model
                return {"type": "string", **({"maxLength": max(limits)} if is_limited else {})}
            case "resolution" | "duration_s" if not self._takes_any_model:
                offers = [offer for model in self._models for offer in model.offers if self._can_be_said(offer.mode)]
                return self._words(name, spelling, [getattr(offer, name) for offer in offers])
            case "callback_url":
                return _CALLBACK
            case _:
                return self._layout.free(spelling)

    # --- rules ---------------------------------------------------------------------------------------------------

    def _by_model(self) -> Iterator[Schema]:
        """One rule for all models of which the same is true."""
        groups: list[tuple[Schema, list[str]]] = []
        for model in self._models:
            rule = self._rule(model)
            names = next((names for known, names in groups if known == rule), None)
            if names is None:
                groups.append((rule, names := []))
            names += (model.name, *model.aliases)
        for rule, names in groups:
            yield {"if": {"properties": {"model": {"enum": names}}, "required": ["model"]}, "then": rule}

    def _rule(self, model: Model) -> Schema:
        modes = sorted(mode for mode in model.modes if self._can_be_said(mode))
        return _all(
            [*self._options(model), *self._prompt_length(model), _any([self._mode(model, mode) for mode in modes])]
        )

    def _options(self, model: Model) -> Iterator[Schema]:
        for name, default in _DEFAULTS.items():
            if name not in model.options:
                for spelling in self._wanted[name]:
                    yield self._layout.only(spelling, self._words(name, spelling, [default]))

    def _prompt_length(self, model: Model) -> Iterator[Schema]:
        if self._takes_any_model or model.prompt_characters_max < max(m.prompt_characters_max for m in self._models):
            yield {"properties": {"prompt": {"maxLength": model.prompt_characters_max}}}

    def _mode(self, model: Model, mode: Mode) -> Schema:
        needed, optional = IMAGES[mode]
        rules: list[Schema] = []
        for image in ("first_frame_image", "last_frame_image", "subject_reference"):
            if image in needed:
                rules.append(self._said(image))
            elif image not in optional:
                rules += self._unsaid(image)
        needs_prompt = mode in model.prompt_required or self._dialect.prompt_required(model.name)
        if needs_prompt and not self._always_needs_prompt:
            rules.append({"properties": {"prompt": _NOT_BLANK}, "required": ["prompt"]})
        return _all([*rules, *self._lines(model, mode)])

    def _lines(self, model: Model, mode: Mode) -> Iterator[Schema]:
        """The price list of a mode: resolutions that come in the same durations make one choice."""
        durations: dict[str | None, tuple[int | None, ...]] = {}
        for offer in model.offers:
            if offer.mode is mode:
                durations[offer.resolution] = (*durations.get(offer.resolution, ()), offer.duration_s)
        choices = {
            lengths: [item for item in durations if durations[item] == lengths] for lengths in durations.values()
        }
        yield _any([_all(self._line(model, resolutions, lengths)) for lengths, resolutions in choices.items()])

    def _line(self, model: Model, resolutions: Sequence[Any], durations: Sequence[Any]) -> list[Schema]:
        return [
            *self._among("resolution", resolutions, model.default_resolution),
            *self._among("duration_s", durations, model.default_duration_s),
        ]

    def _among(self, name: str, values: Sequence[Any], default: Any) -> Iterator[Schema]:
        """One of these; nothing at all where the model fills in one of them."""
        for spelling in self._wanted[name]:
            yield self._layout.only(spelling, self._words(name, spelling, values))
        if default not in values:
            yield self._said(name)

    def _said(self, name: str) -> Schema:
        return _any([self._layout.said(spelling) for spelling in self._wanted[name]])

    def _unsaid(self, name: str) -> Iterator[Schema]:
        return (self._layout.unsaid(spelling) for spelling in self._wanted[name])

    def _words(self, name: str, spelling: Field | Item, values: Sequence[Any]) -> Schema:
        """Every way to write one of these values there, the dialect's own way first."""
        kind = spelling.kind if isinstance(spelling, Field) else spelling.items.kind
        words: list[Any] = []
        for value in dict.fromkeys(value for value in values if value is not None):
            own = self._dialect.spell(name, value) if isinstance(value, str) else value
            written = self._layout.words(kind.spellings(value))
            words += [word for word in written if word == own] + [word for word in written if word != own]
        return {"enum": list(dict.fromkeys(words))} if words else _NEVER


def _all(schemas: Sequence[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"allOf": list(schemas)}


def _any(schemas: Sequence[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}
