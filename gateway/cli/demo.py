"""`reelgate demo`: the main job on this machine alone, one film through each dialect on a simulated upstream."""

import asyncio
import base64
import os
import secrets
import socket
import struct
import tempfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from gateway import logs, sandbox, serving
from gateway.app import gateway
from gateway.cli.endings import FAILED, fail
from gateway.cli.numbers import port_option
from gateway.config import Config, load
from gateway.providers import PROVIDERS
from gateway.structs import Struct

FOLDER = Path("reelgate-demo")
PREFERRED_PORT = 8080
SPEED = 15.0  # a film of 30 s real time is done in two
GIVE_UP_S = 60.0
POLL_S = 0.25


class DemoFailed(Exception):
    """A film did not come out; says in which dialect and why."""


class Client(Struct, frozen=True):
    """How one kind of client asks for a film and hears of it."""

    dialect: str
    create: str
    read: str
    body: Mapping[str, Any]
    progress: Callable[[Mapping[str, Any]], float]
    link: Callable[[Mapping[str, Any]], str | None]


_FRAME = "the address of the frame"  # known once the simulated upstream is there to hold it
CLIENTS = (
    Client(
        dialect="evolink",
        create="/v1/videos/generations",
        read="/v1/tasks/{id}",
        body={"model": "MiniMax-Hailuo-2.3", "prompt": "A lighthouse at dusk [Static shot]", "quality": "768p"},
        progress=lambda answer: float(answer["progress"]),
        link=lambda answer: (answer.get("results") or [None])[0],
    ),
    Client(
        dialect="toapis",
        create="/v1/videos/generations",
        read="/v1/videos/generations/{id}",
        body={
            "model": "MiniMax-Hailuo-2.3-Fast",
            "prompt": "The cat wakes up [Push in]",
            "image_urls": [_FRAME],
            "resolution": "1080P",
        },
        progress=lambda answer: float(answer["progress"]),
        link=lambda answer: answer["result"]["data"][0]["url"] if "result" in answer else None,
    ),
    Client(
        dialect="newapi",
        create="/v1/video/generations",
        read="/v1/video/generations/{id}",
        body={
            "model": "MiniMax-Hailuo-02",
            "prompt": "Waves roll in [Pan left]",
            "duration": 6,
            "metadata": {"first_frame_image": _FRAME, "resolution": "512P"},
        },
        progress=lambda answer: float(answer["data"]["progress"].rstrip("%")),
        link=lambda answer: answer["data"].get("result_url") or None,
    ),
    Client(
        dialect="openai",
        create="/v1/videos",
        read="/v1/videos/{id}",
        body={"model": "MiniMax-Hailuo-2.3", "prompt": "Rain on a window [Zoom in]", "seconds": "10"},
        progress=lambda answer: float(answer["progress"]),
        link=lambda answer: f"/v1/videos/{answer['id']}/content" if answer["status"] == "completed" else None,
    ),
    Client(
        dialect="minimax",
        create="/v1/video_generation",
        read="/v1/query/video_generation?task_id={id}",
        body={"model": "T2V-01", "prompt": "A paper boat on a stream"},
        progress=lambda answer: 50.0 if answer["status"] == "Processing" else 0.0,
        link=lambda answer: f"/v1/files/retrieve_content?file_id={answer['file_id']}" if answer["file_id"] else None,
    ),
)


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the films instead of serving on.")] = False,
    port: Annotated[int | None, port_option("The gateway's port")] = None,
) -> None:
    """Send one film through every client dialect, with no account and no network."""
    logs.set_up("warning")
    _make_folder()
    console = Console()
    try:
        serving.run(_demo(console, once=once, port=port))
    except DemoFailed as error:
        console.print(f"[red]failed[/]  {error}")
        raise typer.Exit(FAILED) from None
    except OSError as error:
        fail(f"the demo cannot go on: {error}")
    except KeyboardInterrupt:
        console.print("bye")


def _make_folder() -> None:
    """Where the films go; found out before the first is made."""
    why = None
    try:
        FOLDER.mkdir(exist_ok=True)
        if taken := [target for target in map(_target, CLIENTS) if target.is_dir()]:
            why = f"{taken[0].name} is a folder there"
        elif not os.access(FOLDER, os.W_OK):
            why = "nothing can be written there"
    except FileExistsError:
        why = "it is there and no folder"
    except OSError as error:
        why = error.strerror or str(error)
    if why is not None:
        fail(f"the films cannot be kept in {FOLDER.absolute()}: {why}; run the demo in a folder of your own")


async def _demo(console: Console, *, once: bool, port: int | None) -> None:
    key, admin_key = (f"sk-rg-{word}-{secrets.token_hex(8)}" for word in ("demo", "admin"))
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="reelgate-demo-"))
        upstream_url = await stack.enter_async_context(sandbox.running(speed=SPEED))
        listener = stack.enter_context(_listener(port))
        settings = _config(Path(folder), upstream_url, key, admin_key)
        opened = await stack.enter_async_context(gateway(settings, listeners=[listener.getsockname()[:2]]))
        base_url = await stack.enter_async_context(serving.running(opened.app, listener, opened.limits))
        console.print(f"simulated upstream  {upstream_url}\ngateway             {base_url}\n", highlight=False)
        task_ids = await _make_films(console, base_url, key, await _upload_frame(upstream_url))
        console.print(_next_steps(base_url, key, admin_key, task_ids[0]), highlight=False, soft_wrap=True)
        if not once:
            console.print("serving until Ctrl-C")
            await asyncio.Event().wait()


def _listener(port: int | None) -> socket.socket:
    """On the usual port if that is free and no other was asked for."""
    if port is None:
        with suppress(OSError):
            return serving.bind("127.0.0.1", PREFERRED_PORT)
    try:
        return serving.bind("127.0.0.1", port or 0)
    except OSError as error:
        fail(f"cannot listen on port {port or 0}: {error.strerror or error}")


def _config(folder: Path, upstream_url: str, key: str, admin_key: str) -> Config:
    upstreams = "\n".join(
        f'  - {{name: {name}, provider: {name}, base_url: "{upstream_url}/{name}", keys: [{{value: sk-sandbox}}]}}'
        for name in PROVIDERS
    )
    text = f"""
storage: {{url: "sqlite:///{folder / "demo.db"}"}}
admin_key: {admin_key}
upstreams:
{upstreams}
virtual_keys: [{{id: demo, value: {key}}}]
polling: {{min_interval_s: 0.2, max_interval_s: 1}}
preflight: {{allow_private_networks: ["127.0.0.0/8"]}}  # where the first frame is
"""
    path = folder / "config.yaml"
    path.write_text(text, "utf-8")
    return load(path, {})


async def _upload_frame(upstream_url: str) -> str:
    """Put a picture where the gateway can look at it, with the simulated upstream's file host; its address."""
    body = {"base64_data": f"data:image/png;base64,{base64.b64encode(_frame()).decode()}"}
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        headers = {"authorization": "Bearer sk-sandbox"}
        kept = await http.post(f"{upstream_url}/evolink/api/v1/files/upload/base64", json=body, headers=headers)
    link: str = kept.raise_for_status().json()["data"]["file_url"]
    return link


def _frame() -> bytes:
    """A grey PNG of 640 x 480 pixels."""
    rows = zlib.compress((bytes(1) + b"\x80" * 640) * 480, 9)
    chunks = (b"IHDR", struct.pack(">IIBBBBB", 640, 480, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


async def _make_films(console: Console, base_url: str, key: str, frame: str) -> list[str]:
    """Their task's ids, in the order of the clients."""
    columns = (
        TextColumn("{task.description:<8}→ {task.fields[upstream]:<8}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    headers = {"authorization": f"Bearer {key}"}
    with Progress(*columns, console=console) as bars:
        async with httpx.AsyncClient(base_url=base_url, headers=headers, trust_env=False, timeout=30) as http:
            films = [
                _make_film(client, frame, http, bars, bars.add_task(client.dialect, total=100, upstream="", note=""))
                for client in CLIENTS
            ]
            results = await asyncio.gather(*films, return_exceptions=True)
    task_ids = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        task_ids.append(result)
    return task_ids


async def _make_film(client: Client, frame: str, http: httpx.AsyncClient, bars: Progress, bar: TaskID) -> str:
    created = await http.post(f"/{client.dialect}{client.create}", json=_with_frame(client.body, frame))
    if created.status_code != 200:
        raise DemoFailed(f"{client.dialect}: the create was answered {created.status_code}: {created.text}")
    task_id = created.headers["x-reelgate-task-id"]
    path = f"/{client.dialect}" + client.read.format(id=task_id)
    bars.update(bar, upstream=created.headers["x-reelgate-upstream"])
    try:
        async with asyncio.timeout(GIVE_UP_S):
            link = await _wait(client, http, path, bars, bar)
    except TimeoutError:
        raise DemoFailed(f"{client.dialect}: no film within {GIVE_UP_S:g} s") from None
    film = await http.get(link)
    if film.status_code != 200 or film.content[4:8] != b"ftyp":
        raise DemoFailed(f"{client.dialect}: {link} is no film (status {film.status_code})")
    target = _target(client)
    target.write_bytes(film.content)
    bars.update(bar, completed=100, note=f"[green]{target}[/]")
    return task_id


def _target(client: Client) -> Path:
    return FOLDER / f"{client.dialect}.mp4"


def _with_frame(value: Any, frame: str) -> Any:
    """The body with the address of the frame wherever it is meant."""
    if isinstance(value, Mapping):
        return {name: _with_frame(item, frame) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_frame(item, frame) for item in value]
    return frame if value == _FRAME else value


async def _wait(client: Client, http: httpx.AsyncClient, path: str, bars: Progress, bar: TaskID) -> str:
    while True:
        answer = (await http.get(path)).json()
        link = client.link(answer)
        if link is not None:
            return link
        bars.update(bar, completed=client.progress(answer), note="in the making")
        if "fail" in str(answer.get("status", "")):
            raise DemoFailed(f"{client.dialect}: {answer}")
        await asyncio.sleep(POLL_S)


def _next_steps(base_url: str, key: str, admin_key: str, task_id: str) -> str:
    """What can be done now. The id is a finished film's, so that every line works as it stands."""
    lines = [f"\nbase URL     {base_url}/v1", f"virtual key  {key}", f"metrics      {base_url}/metrics"]
    lines += [f"dashboard    {base_url}/dashboard", f"admin key    {admin_key}", "\nTry it:\n"]
    lines.append(
        f"curl {base_url}/v1/videos/generations -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' "
        """-d '{"model": "MiniMax-Hailuo-2.3", "prompt": "A sunset over the sea [Pull out]", "quality": "768p"}'"""
    )
    lines.append("\nAsk after the first film and fetch it (or yours, by the id that its create answered):\n")
    lines.append(f"curl {base_url}/v1/tasks/{task_id} -H 'Authorization: Bearer {key}'")
    lines.append(f"curl -o film.mp4 {base_url}/v1/videos/{task_id}/content -H 'Authorization: Bearer {key}'")
    return "\n".join(lines) + "\n"
