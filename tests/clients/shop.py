"""What the tests of the clients have in common: a gateway on a socket, pictures, and what was bought."""

import asyncio
import hashlib
import struct
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway import sandbox
from tests.clients.driving import Client, Process
from tests.world import ALICE, FAST, GIVE_UP_S, World, world

MODEL = "MiniMax-Hailuo-2.3"
FRAME = "https://example.com/frame.png"
FILM = (Path(sandbox.__file__).parent / "films" / "768P-6.mp4").read_bytes()
FILM_AS_TOLD = {"bytes": len(FILM), "sha256": hashlib.sha256(FILM).hexdigest()}
# Nobody here has a network, so the addresses of images are not looked at.
_CONFIG = 'preflight: {images: "off"}\n'


@asynccontextmanager
async def shop(
    folder: Path,
    process: Process,
    config: str = "",
    *,
    base: str = "/v1",
    key: str = ALICE,
    speed: float = FAST,
    upstream: str | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[World, Client]]:
    """A gateway before the sandbox (or `upstream`), and a client of it whose own `settings` are its defaults."""
    async with world(folder, _CONFIG + config, speed=speed, on_socket=True, upstream=upstream) as it:
        yield it, Client(process, it.base_url + base, key, settings)


async def finished(client: Client, video_id: str) -> dict[str, Any]:
    """Look until the video is over, as a program would with OpenAI's client; its last answer."""
    deadline = time.monotonic() + GIVE_UP_S
    while time.monotonic() < deadline:
        video: dict[str, Any] = await client.do("retrieve", id=video_id)
        if video["status"] not in ("queued", "in_progress"):
            return video
        await asyncio.sleep(0.03)
    raise AssertionError(f"video {video_id} did not finish: {video}")


def only_order(it: World) -> dict[str, Any]:
    """What the sandbox understood of the only video it sold."""
    (video,) = it.videos()
    request: dict[str, Any] = video["request"]
    return request


def a_picture(folder: Path) -> Path:
    """A PNG that every rule lets pass."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", 640, 480, 1, 0, 0, 0, 0))
    rows = _chunk(b"IDAT", zlib.compress(bytes(81 * 480), 9))
    path = folder / "frame.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + rows + _chunk(b"IEND", b""))
    return path


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
