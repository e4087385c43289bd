"""Somebody at the dashboard without a browser: forms and pages over HTTP, as a person without scripts has them."""

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.world import PROMPT_S, World

ADMIN_KEY = "the-admin-key-of-this-test"
CONFIG = f"admin_key: {ADMIN_KEY}\n"
_TOKEN = re.compile(r'name="csrf" value="([0-9a-f]+)"')
_NUMBER = re.compile(r'name="number" value="([A-Za-z0-9_-]+)"')
_TAG = re.compile(r"<[^>]*>")


class Visitor:
    """One browser profile that is logged in."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self._token = ""

    async def reads(self, path: str, status: int = 200) -> str:
        """A page, as text between its tags."""
        return text_of(await self.gets(path, status))

    async def gets(self, path: str, status: int = 200) -> str:
        """A page, as it is sent."""
        answer = await self.http.get(path)
        assert answer.status_code == status, f"{path}: {answer.status_code} {text_of(answer.text)[-400:]}"
        self._token = next(iter(_TOKEN.findall(answer.text)), self._token)
        return answer.text

    async def sends(self, path: str, **fields: str) -> httpx.Response:
        """A short form of this session."""
        return await self.http.post(path, data={"csrf": self._token, **fields})

    async def sends_files(self, path: str, fields: dict[str, Any], files: dict[str, bytes]) -> httpx.Response:
        """A form with files of this session; without one it is multipart, too."""
        parts: dict[str, Any] = {name: (None, value) for name, value in {"csrf": self._token, **fields}.items()}
        parts |= {name: ("a.png", data) for name, data in files.items()}
        return await self.http.post(path, files=parts)


@asynccontextmanager
async def visitor(it: World, key: str = ADMIN_KEY) -> AsyncIterator[Visitor]:
    """Somebody who logged in with this key."""
    transport = httpx.ASGITransport(it.app)
    async with httpx.AsyncClient(
        base_url="http://127.0.0.1", transport=transport, trust_env=False, timeout=PROMPT_S
    ) as http:
        answer = await http.post("/dashboard/login", data={"key": key})
        assert answer.status_code == 303, answer.text
        visiting = Visitor(http)
        await visiting.gets("/dashboard/tasks")
        yield visiting


def text_of(page: str) -> str:
    """What a person reads."""
    return " ".join(html.unescape(_TAG.sub(" ", page)).split())


def number_of(page: str) -> str:
    """The number that the playground's form carries."""
    (number,) = _NUMBER.findall(page)
    return number
