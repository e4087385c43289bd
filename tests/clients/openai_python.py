"""Does with the `openai` package of PyPI what a line of stdin asks. Runs in that package's own environment."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import openai
from answering import Deed, answer_each_line
from openai import OpenAI


class Deeds:
    """The calls of one client."""

    def __init__(self, client: OpenAI) -> None:
        self.client = client

    def version(self) -> str:
        return openai.__version__

    def create(
        self,
        extra: Mapping[str, Any] | None = None,
        file: str | None = None,
        headers: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> Any:
        with _with_file(fields, "input_reference", file) as body:
            return _plain(self.client.videos.create(**body, extra_body=extra, extra_headers=headers))

    def create_as_json(self, **fields: Any) -> Any:
        return _plain(self.client.videos.create(**fields, extra_headers={"Content-Type": "application/json"}))

    def create_and_poll(self, **fields: Any) -> Any:
        return _plain(self.client.videos.create_and_poll(**fields))

    def retrieve(self, id: str) -> Any:  # noqa: A002
        return _plain(self.client.videos.retrieve(id))

    def page(self, **query: Any) -> Any:
        page = self.client.videos.list(**query)
        return {"ids": [video.id for video in page.data], "has_more": page.has_more}

    def list_all(self, at_most: int, **query: Any) -> list[str]:
        """Every video, page after page, as the client itself turns them."""
        return [video.id for video in islice(self.client.videos.list(**query), at_most)]

    def download(self, id: str, **query: Any) -> Any:  # noqa: A002
        content = self.client.videos.download_content(id, **query).read()
        return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    def delete(self, id: str) -> Any:  # noqa: A002
        return _plain(self.client.videos.delete(id))

    def remix(self, id: str) -> Any:  # noqa: A002
        return _plain(self.client.videos.remix(id, prompt="again"))

    def edit(self, file: str) -> Any:
        with Path(file).open("rb") as video:
            return _plain(self.client.videos.edit(prompt="again", video=video))

    def extend(self, file: str) -> Any:
        with Path(file).open("rb") as video:
            return _plain(self.client.videos.extend(prompt="more", seconds="4", video=video))

    def create_character(self, file: str) -> Any:
        with Path(file).open("rb") as video:
            return _plain(self.client.videos.create_character(name="Ann", video=video))

    def get_character(self, id: str) -> Any:  # noqa: A002
        return _plain(self.client.videos.get_character(id))

    def models(self) -> list[str]:
        return [model.id for model in self.client.models.list()]

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self.client.post(path, body=body, cast_to=object)

    def get(self, path: str) -> Any:
        return self.client.get(path, cast_to=object)


@contextmanager
def _with_file(fields: dict[str, Any], name: str, file: str | None) -> Iterator[dict[str, Any]]:
    if file is None:
        yield fields
        return
    with Path(file).open("rb") as opened:
        yield {**fields, name: opened}


def _plain(found: Any) -> Any:
    return found.model_dump(mode="json")


def begin(asked: Mapping[str, Any]) -> Mapping[str, Deed]:
    deeds = Deeds(OpenAI(base_url=asked["base_url"], api_key=asked["key"], **asked["settings"]))
    return {name: getattr(deeds, name) for name in dir(deeds) if not name.startswith("_")}


def describe(error: Exception) -> Mapping[str, Any]:
    """What a program that catches an error of the client can read off it."""
    names = {"status": "status_code", "code": "code", "param": "param", "type": "type", "body": "body"}
    return {name: getattr(error, attribute, None) for name, attribute in names.items()}


answer_each_line(begin, describe)
