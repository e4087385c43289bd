"""A sandbox whose films come slowly, so that a download is under way while gateways come and go."""

import asyncio
from collections.abc import AsyncIterator

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from gateway import sandbox
from tests.world import ALICE, PROMPT_S, SPEECHES, bearer

PIECES, PIECE_BYTES = 40, 16_384


def slow_sandbox(lasts_s: float) -> Starlette:
    """Tasks are done at once; each film takes `lasts_s` to arrive."""
    simulated = sandbox.create_app(balance_usd=1_000_000, speed=1000.0)

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(PIECES):
            yield bytes([number]) * PIECE_BYTES
            await asyncio.sleep(lasts_s / PIECES)

    async def film(request: Request) -> StreamingResponse:
        length = str(PIECES * PIECE_BYTES)
        return StreamingResponse(pieces(), media_type="video/mp4", headers={"content-length": length})

    simulated.router.routes.insert(0, Route("/films/{name}", film))
    return simulated


async def finished(base_url: str) -> str:
    """The id of a task that is over."""
    speech = SPEECHES["evolink"]
    async with httpx.AsyncClient(trust_env=False, timeout=PROMPT_S, headers=bearer(ALICE)) as http:
        task_id: str = (await http.post(base_url + speech.create, json=speech.body)).json()["id"]
        async with asyncio.timeout(PROMPT_S):
            while True:
                if (await http.get(base_url + speech.read.format(id=task_id))).json()["status"] == "completed":
                    return task_id
                await asyncio.sleep(0.05)


async def download(base_url: str, task_id: str, begun: asyncio.Event) -> bytes:
    """The whole film; `begun` is set with its first piece."""
    film = bytearray()
    async with (
        httpx.AsyncClient(trust_env=False, timeout=PROMPT_S, headers=bearer(ALICE)) as http,
        http.stream("GET", f"{base_url}/v1/videos/{task_id}/content") as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        async for piece in answer.aiter_bytes():
            film += piece
            begun.set()
    return bytes(film)


def is_whole(film: bytes) -> bool:
    return film == b"".join(bytes([number]) * PIECE_BYTES for number in range(PIECES))
