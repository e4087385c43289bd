"""The dialects, as their clients write and read them (FACTS 1 to 5, CONTRACT section 4).

A speaker says a wish in its dialect's own fields. Where there are several ways to say one thing, the wish's number
decides which, so that the matrix walks through all of them. What a dialect has no field for is said all the same, the
way a client of another dialect would: it has to be refused by name.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.matrix.wishes import FIRST, LAST, OPTIONS, SUBJECT, Wish, data_url

_BOUNDARY = "matrix-boundary-7d1f"
_SIZES = {"768P": "1366x768", "1080P": "1920x1080"}  # FACTS 7.2: all that can be said for sure as a size

Body = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """A wish in the words of a dialect."""

    body: bytes
    content_type: str
    params: Mapping[str, str]
    """Canonical field → the caller's own spelling of it, also of those that were not said."""
    images: Mapping[str, str]
    """Canonical field → what has to reach an upstream that takes data URLs."""


@dataclass(frozen=True)
class Told:
    """What a poll answer tells."""

    id: str
    word: str
    model: str | None
    progress: int | None
    link: str | None = None
    error: tuple[str, str] | None = None
    seconds: int | None = None


@dataclass(frozen=True)
class Speaker:
    """One dialect."""

    name: str
    create: str
    read: str
    words: tuple[str, str, str, str]
    """For pending, processing, completed, failed."""
    say: Callable[[Wish, Random], Said]
    understand: Callable[[Any], Told]
    created: Callable[[Any], tuple[str, str | None, str | None]]
    """Id, word and model of the answer to a create."""
    refused: Callable[[int, Any, bool], list[str]]
    """The fields that a refused create names, after a look at the shape; the bool says that the model is the matter."""
    lacks: frozenset[str] = frozenset()
    """Canonical fields that the dialect has no field for."""
    takes_data_urls: bool = True
    needs_prompt: frozenset[str] | None = frozenset()
    """Models it requires a prompt for whatever the mode; None: all."""

    def speak(self, wish: Wish) -> Said:
        return self.say(wish, Random(f"{self.name} {wish.number}"))

    def has_no_field_for(self, wish: Wish) -> set[str]:
        """Canonical fields of a wish that cannot be written at all."""
        lacking = {name for name in (*wish.images, wish.option) if name in self.lacks}
        # Positions in a list cannot say "only the second".
        return lacking | ({LAST} if wish.is_last_alone and self.name == "evolink" else set())

    def cannot_read(self, wish: Wish) -> set[str]:
        """Canonical fields it has, with values that it does not take."""
        return set(wish.images) - self.lacks if wish.is_inline and not self.takes_data_urls else set()

    def requires_prompt(self, wish: Wish) -> bool:
        return self.needs_prompt is None or wish.model in self.needs_prompt


@dataclass
class _Draft:
    """A body in the making, and where each canonical field went."""

    wish: Wish
    params: dict[str, str]
    body: Body = field(default_factory=dict)

    def put(self, path: str, value: object, name: str) -> None:
        """Write a value at `object.member` or `list[0]`, as the spelling of a canonical field."""
        self.params[name] = path
        where, _, member = path.rpartition(".")
        target = self.body.setdefault(where, {}) if where else self.body
        if member.endswith("]"):
            member, _, _ = member.partition("[")
            target.setdefault(member, []).append(value)
        else:
            target[member] = value

    def as_json(self, images: Mapping[str, str] | None = None) -> Said:
        sent = self.wish.images if images is None else images
        return Said(json.dumps(self.body).encode(), "application/json", self.params, sent)


def _draft(wish: Wish, **params: str) -> _Draft:
    """A body with model and prompt, which every dialect calls so. `params` are the spellings of what goes unsaid."""
    draft = _Draft(wish, {"resolution": "resolution", "duration": "duration", **params})
    draft.put("model", wish.model, "model")
    draft.params["prompt"] = "prompt"
    if wish.prompt is not None:
        draft.put("prompt", wish.prompt, "prompt")
    return draft


def _subject(image: str) -> list[Body]:
    return [{"type": "character", "image": [image]}]


# --- EvoLink (FACTS 1) ------------------------------------------------------------------------------------------


def _say_evolink(wish: Wish, chance: Random) -> Said:
    draft = _draft(wish, resolution="quality", **{FIRST: "image_urls"})
    images = wish.images
    if wish.is_last_alone:
        draft.put(LAST, images[LAST], LAST)
    elif FIRST in images:
        draft.put("image_urls[0]", images[FIRST], FIRST)
        if LAST in images:
            draft.put("image_urls[1]", images[LAST], LAST)
    if SUBJECT in images:
        draft.put(SUBJECT, _subject(images[SUBJECT]), SUBJECT)
    if wish.resolution is not None:
        draft.put("quality", _any_case(wish.resolution, chance), "resolution")
    if wish.duration is not None:
        draft.put("duration", wish.duration, "duration")
    if wish.option is not None:
        draft.put(f"model_params.{wish.option}", OPTIONS[wish.option], wish.option)
    return draft.as_json()


def _understand_evolink(answer: Any) -> Told:
    assert answer["object"] == "video.generation.task"
    assert answer["type"] == "video"
    links, error = answer.get("results", []), answer.get("error")
    assert len(links) == (answer["status"] == "completed")
    return Told(
        id=answer["id"],
        word=answer["status"],
        model=answer["model"],
        progress=answer["progress"],
        link=links[0] if links else None,
        error=(error["code"], error["message"]) if error else None,
        seconds=answer["task_info"].get("video_duration"),
    )


# --- ToAPIs (FACTS 2) -------------------------------------------------------------------------------------------


def _say_toapis(wish: Wish, chance: Random) -> Said:
    draft = _draft(wish, **{FIRST: "image_urls"})
    images = wish.images
    if FIRST in images:
        draft.put("image_urls[0]", images[FIRST], FIRST)
    if LAST in images:
        draft.put("metadata.last_frame_image", images[LAST], LAST)
    if SUBJECT in images:
        draft.put(f"metadata.{SUBJECT}", _subject(images[SUBJECT]), SUBJECT)
    if wish.resolution is not None:
        draft.put("resolution", _any_case(wish.resolution, chance), "resolution")
    if wish.duration is not None:
        draft.put("duration", wish.duration, "duration")
    if wish.option is not None:
        draft.put(f"metadata.{wish.option}", OPTIONS[wish.option], wish.option)
    return draft.as_json()


def _understand_toapis(answer: Any) -> Told:
    assert answer["object"] == "generation.task"
    error, link = answer.get("error"), None
    if answer["status"] == "completed":
        assert answer["result"]["type"] == "video"
        (film,) = answer["result"]["data"]
        assert film["format"] == "mp4"
        assert answer["created_at"] <= answer["completed_at"] < answer["expires_at"]
        link = film["url"]
        assert answer["url"] == link
    return Told(
        id=answer["id"],
        word=answer["status"],
        model=answer["model"],
        progress=answer["progress"],
        link=link,
        error=(error["code"], error["message"]) if error else None,
    )


# --- new-api (FACTS 3) ------------------------------------------------------------------------------------------


def _say_newapi(wish: Wish, chance: Random) -> Said:
    draft = _draft(
        wish, resolution="metadata.resolution", **{FIRST: f"metadata.{FIRST}", SUBJECT: f"metadata.{SUBJECT}"}
    )
    images = wish.images
    places = ["metadata"] if wish.is_last_alone else ["metadata", "images"] if LAST in images else _NEWAPI_PLACES
    place = chance.choice(places)
    for index, name in enumerate(name for name in (FIRST, LAST) if name in images):
        path = {"metadata": f"metadata.{name}", "images": f"images[{index}]"}.get(place, place)
        draft.put(path, images[name], name)
    if SUBJECT in images:
        draft.put(f"metadata.{SUBJECT}", _subject(images[SUBJECT]), SUBJECT)
    if wish.resolution in _SIZES and chance.random() < 0.3:
        draft.put("size", _SIZES[wish.resolution], "resolution")
    elif wish.resolution is not None:
        draft.put("metadata.resolution", _any_case(wish.resolution, chance), "resolution")
    if wish.duration is not None:
        path, kind = chance.choice([("duration", int), ("duration", str), ("seconds", str), ("metadata.duration", int)])
        draft.put(path, kind(wish.duration), "duration")
    if wish.option is not None:
        draft.put(f"metadata.{wish.option}", OPTIONS[wish.option], wish.option)
    if "metadata" in draft.body and chance.random() < 0.2:
        draft.body["metadata"] = json.dumps(draft.body["metadata"])
    return draft.as_json()


_NEWAPI_PLACES = ["metadata", "image", "images", "input_reference"]
_NEWAPI_FLAT = {"QUEUED": "queued", "IN_PROGRESS": "in_progress", "SUCCESS": "completed", "FAILURE": "failed"}


def _understand_newapi(answer: Any) -> Told:
    """All three documented shapes at once, which have to tell one thing (CONTRACT section 4)."""
    assert answer["code"] == "success"
    data, error = answer["data"], answer["error"]
    assert answer["task_id"] == data["task_id"]
    assert answer["status"] == _NEWAPI_FLAT[data["status"]]
    assert answer["url"] == data["result_url"]
    assert bool(data["result_url"]) == (data["status"] == "SUCCESS")
    assert bool(data["finish_time"]) == (data["status"] in ("SUCCESS", "FAILURE"))
    assert data["fail_reason"] == (error["message"] if error else "")
    assert data["progress"].endswith("%")
    return Told(
        id=data["task_id"],
        word=data["status"],
        model=None,
        progress=int(data["progress"].removesuffix("%")),
        link=data["result_url"] or None,
        error=(error["code"], error["message"]) if error else None,
        seconds=answer["metadata"].get("duration"),
    )


# --- OpenAI (FACTS 5) -------------------------------------------------------------------------------------------


def _say_openai(wish: Wish, chance: Random) -> Said:
    """As JSON, with the extras in `metadata` or at the top; or as the form its SDKs send. A form has no subjects."""
    prefix = chance.choice(["metadata.", "metadata.", ""])
    draft = _draft(
        wish,
        resolution="metadata.resolution",
        duration="seconds",
        **{FIRST: "input_reference", SUBJECT: f"metadata.{SUBJECT}"},
    )
    images, is_form = dict(wish.images), SUBJECT not in wish.images and chance.random() < 0.4
    is_file = is_form and FIRST in images and (wish.is_inline or chance.random() < 0.3)
    if is_file:
        draft.params[FIRST] = "input_reference"
        if wish.is_inline:
            images[FIRST] = data_url(wish.picture(FIRST))  # by its bytes, whatever label it comes with
        if LAST in images:
            draft.put(f"{prefix}{LAST}", images[LAST], LAST)
    elif FIRST in images and chance.random() < 0.5:
        draft.put("image_urls[0]", images[FIRST], FIRST)
        if LAST in images:
            draft.put("image_urls[1]", images[LAST], LAST)
    else:
        if FIRST in images:
            draft.put("input_reference.image_url", images[FIRST], FIRST)
        if LAST in images:
            draft.put(f"{prefix}{LAST}", images[LAST], LAST)
    if SUBJECT in images:
        draft.put(f"{prefix}{SUBJECT}", _subject(images[SUBJECT]), SUBJECT)
    if wish.resolution in _SIZES and chance.random() < 0.3:
        draft.put("size", _SIZES[wish.resolution], "resolution")
    elif wish.resolution is not None:
        draft.put(f"{prefix}resolution", _any_case(wish.resolution, chance), "resolution")
    if wish.duration is not None:
        path, kind = chance.choice([("seconds", str), ("seconds", int), ("duration", int), ("duration", str)])
        draft.put(path, kind(wish.duration), "duration")
    if wish.option is not None:
        value = OPTIONS[wish.option]
        draft.put(f"{prefix}{wish.option}", chance.choice([value, str(value).lower()]), wish.option)
    if not is_form:
        return draft.as_json(images)
    file = (wish.picture(FIRST) if wish.is_inline else images[FIRST].encode()) if is_file else None
    return Said(_form(draft.body, file), f"multipart/form-data; boundary={_BOUNDARY}", draft.params, images)


def _form(body: Body, file: bytes | None) -> bytes:
    """As the official SDKs write it: brackets for what is inside, and a file that always says image/jpeg."""
    parts = [_part(name, text.encode()) for name, text in _flat("", body)]
    if file is not None:
        parts.append(_part("input_reference", file, 'filename="frame.jpg"\r\nContent-Type: image/jpeg'))
    return b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode()


def _part(name: str, data: bytes, extras: str = "") -> bytes:
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"' + (f"; {extras}" if extras else "")
    return head.encode() + b"\r\n\r\n" + data + b"\r\n"


def _flat(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, item in value.items() for pair in _flat(f"{name}[{key}]" if name else key, item)]
    if isinstance(value, list):
        return [pair for item in value for pair in _flat(f"{name}[]", item)]
    return [(name, str(value).lower() if isinstance(value, bool) else str(value))]


def _understand_openai(answer: Any) -> Told:
    assert answer["object"] == "video"
    is_completed = answer["status"] == "completed"
    assert (answer["completed_at"] is not None) == is_completed
    error = answer["error"]
    return Told(
        id=answer["id"],
        word=answer["status"],
        model=answer["model"],
        progress=answer["progress"],
        link=f"/openai/v1/videos/{answer['id']}/content" if is_completed else None,
        error=(error["code"], error["message"]) if error else None,
        seconds=None if answer["seconds"] is None else int(answer["seconds"]),
    )


# --- MiniMax (FACTS 4) ------------------------------------------------------------------------------------------


def _say_minimax(wish: Wish, chance: Random) -> Said:
    draft = _draft(wish, **{FIRST: FIRST, SUBJECT: SUBJECT})
    for name, image in wish.images.items():
        draft.put(name, _subject(image) if name == SUBJECT else image, name)
    if wish.resolution is not None:
        draft.put("resolution", _any_case(wish.resolution, chance), "resolution")
    if wish.duration is not None:
        draft.put("duration", wish.duration, "duration")
    if wish.option is not None:
        draft.put(wish.option, OPTIONS[wish.option], wish.option)
    return draft.as_json()


def _understand_minimax(answer: Any) -> Told:
    """The link is another question: it is asked for by the file's id."""
    outcome, is_completed = answer["base_resp"], answer["status"] == "Success"
    assert bool(answer["file_id"]) == is_completed
    assert (outcome["status_code"] == 0) == (answer["status"] != "Fail")
    return Told(
        id=answer["task_id"],
        word=answer["status"],
        model=None,
        progress=None,
        link=f"/minimax/v1/files/retrieve?file_id={answer['file_id']}" if is_completed else None,
        error=(str(outcome["status_code"]), outcome["status_msg"]) if outcome["status_code"] else None,
    )


def file_link(answer: Any, number: str) -> str:
    """The film's address in MiniMax's answer about a file, whose id is an integer there (FACTS 4.1)."""
    assert answer["base_resp"]["status_code"] == 0
    assert answer["file"]["file_id"] == int(number)
    link: str = answer["file"]["download_url"]
    return link


# --- what several of them share ---------------------------------------------------------------------------------


def _any_case(resolution: str, chance: Random) -> str:
    return chance.choice([resolution.upper(), resolution.lower()])


def _created(answer: Any) -> tuple[str, str | None, str | None]:
    assert answer["progress"] == 0
    assert "submission" not in answer
    return answer["id"], answer["status"], answer["model"]


def _created_newapi(answer: Any) -> tuple[str, str | None, str | None]:
    """Of its two words for waiting the create says the small one (FACTS 3.4)."""
    assert answer["task_id"] == answer["id"]
    assert answer["object"] == "video"
    assert answer["status"] == "queued"
    return answer["id"], "QUEUED", answer["model"]


def _created_minimax(answer: Any) -> tuple[str, str | None, str | None]:
    assert answer == {"task_id": answer["task_id"], "base_resp": {"status_code": 0, "status_msg": "success"}}
    return answer["task_id"], None, None


def _refused_by_word(status: int, answer: Any, is_about_model: bool) -> list[str]:
    assert status == 400
    assert set(answer) == {"error"}
    error = answer["error"]
    assert (error["code"], error["type"]) == ("invalid_request", "invalid_request_error")
    return _params(error, error["message"], error["param"])


def _refused_flat(status: int, answer: Any, is_about_model: bool) -> list[str]:
    assert status == 400
    assert (answer["code"], answer["data"]) == ("invalid_request", None)
    return _params(answer, answer["message"], answer["param"])


def _refused_openai(status: int, answer: Any, is_about_model: bool) -> list[str]:
    assert set(answer) == {"error"}
    error = answer["error"]
    assert error["type"] == "invalid_request_error"
    assert (status, error["code"]) == ((404, "model_not_found") if is_about_model else (400, "invalid_request"))
    return _params(error, error["message"], error["param"])


def _refused_minimax(status: int, answer: Any, is_about_model: bool) -> list[str]:
    assert status == 200
    assert set(answer) == {"base_resp", "problems"}
    assert answer["base_resp"]["status_code"] == 2013
    return _params(answer, answer["base_resp"]["status_msg"], answer["problems"][0]["param"])


def _params(holder: Any, message: str, param: str) -> list[str]:
    """The first problem is the error itself, and its sentence names its field for people who see nothing else."""
    problems = holder["problems"]
    assert param == problems[0]["param"]
    assert param in message
    assert all(problem["message"] for problem in problems)
    return [problem["param"] for problem in problems]


SPEAKERS: Mapping[str, Speaker] = {
    speaker.name: speaker
    for speaker in (
        Speaker(
            name="evolink",
            create="/v1/videos/generations",
            read="/v1/tasks/{id}",
            words=("pending", "processing", "completed", "failed"),
            say=_say_evolink,
            understand=_understand_evolink,
            created=_created,
            refused=_refused_by_word,
            lacks=frozenset({SUBJECT, "aigc_watermark"}),
        ),
        Speaker(
            name="toapis",
            create="/v1/videos/generations",
            read="/v1/videos/generations/{id}",
            words=("queued", "in_progress", "completed", "failed"),
            say=_say_toapis,
            understand=_understand_toapis,
            created=_created,
            refused=_refused_by_word,
            lacks=frozenset({SUBJECT}),
            takes_data_urls=False,
            needs_prompt=frozenset({"MiniMax-Hailuo-2.3", "MiniMax-Hailuo-2.3-Fast"}),
        ),
        Speaker(
            name="newapi",
            create="/v1/video/generations",
            read="/v1/video/generations/{id}",
            words=("QUEUED", "IN_PROGRESS", "SUCCESS", "FAILURE"),
            say=_say_newapi,
            understand=_understand_newapi,
            created=_created_newapi,
            refused=_refused_flat,
            needs_prompt=None,
        ),
        Speaker(
            name="openai",
            create="/v1/videos",
            read="/v1/videos/{id}",
            words=("queued", "in_progress", "completed", "failed"),
            say=_say_openai,
            understand=_understand_openai,
            created=_created,
            refused=_refused_openai,
            needs_prompt=None,
        ),
        Speaker(
            name="minimax",
            create="/v1/video_generation",
            read="/v1/query/video_generation?task_id={id}",
            words=("Preparing", "Processing", "Success", "Fail"),
            say=_say_minimax,
            understand=_understand_minimax,
            created=_created_minimax,
            refused=_refused_minimax,
        ),
    )
}
