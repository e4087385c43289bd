"""Canaries: every secret is a word of its own, and so is what every caller wrote. Then we look where they turn up.

A secret may stand nowhere: not in logs at any level, metrics, answers or storage. A prompt, and an image link with
what its query gives away, stand in the database and nowhere else.
"""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import sandbox
from tests.life.process import ROOT, Process, environment, serve
from tests.world import PROMPT_S, SPEECHES, bearer, world

UPSTREAM_KEYS = [f"sk-canary-upstream-{number}" for number in range(6)]
VIRTUAL_KEY, OTHER_KEY, FILE_KEY = "sk-rg-canary-virtual", "sk-rg-canary-other", "sk-rg-canary-from-file"
ADMIN_KEY = "canary-admin-key"
SIGNING_SECRET = "whsec_Y2FuYXJ5LXNpZ25pbmctc2VjcmV0"
WRONG_KEY = "sk-canary-somebody-elses"
SECRETS = [*UPSTREAM_KEYS, VIRTUAL_KEY, OTHER_KEY, FILE_KEY, ADMIN_KEY, SIGNING_SECRET, WRONG_KEY]

PROMPT = "quokka-serenade"
IMAGE_TOKEN, IMAGE_PASSWORD, HOOK_TOKEN = "canary-image-token", "canary-image-password", "canary-hook-token"
IMAGE = f"https://user:{IMAGE_PASSWORD}@img.example.com/a.png?X-Amz-Signature={IMAGE_TOKEN}"
HOOK = f"https://127.0.0.1:9/done?token={HOOK_TOKEN}"  # nobody listens there
PRIVATE = [PROMPT, IMAGE_TOKEN, IMAGE_PASSWORD, HOOK_TOKEN]
# What opens a film without a key belongs to whoever asked for it, and into no log.
CAPABILITIES = ["signature=", "/films/task-unified"]

CONFIG = f"""
admin_key: {ADMIN_KEY}
callbacks: {{signing_secret: {SIGNING_SECRET}}}
upstreams:
  - name: sandbox
    provider: evolink
    base_url: ${{UPSTREAM}}/evolink
    keys: {json.dumps([{"id": f"k{number}", "value": key} for number, key in enumerate(UPSTREAM_KEYS)])}
virtual_keys:
  - {{id: alice, value: {VIRTUAL_KEY}}}
  - {{id: bob, value: {OTHER_KEY}}}
  - {{id: carol, value: {{file: "${{FOLDER}}/carol.key"}}}}
polling: {{min_interval_s: 0.02, max_interval_s: 30}}
preflight: {{images: "off", allow_private_networks: ["127.0.0.0/8"]}}  # nobody here has a network
"""

# After each of these some key rests; there is one more key than there are troubles that cost one.
TROUBLES = ["drop-after-accept", "drop", "hang", "500", "malformed", "malformed-json", "no-id", "400", "422"]
TROUBLES += ["poll-500", "fail-content", "expired-link", "429=1", "401=1", "402=1", "403=1"]


class Visitor:
    """A client who keeps all that it was ever told."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.told: list[str] = []

    async def ask(self, method: str, path: str, key: str | None = VIRTUAL_KEY, **said: Any) -> httpx.Response:
        headers = {**(bearer(key) if key else {}), **said.pop("headers", {})}
        answer = await self.http.request(method, path, headers=headers, **said)
        content = answer.content.decode("latin-1") if answer.headers.get("content-type") != "video/mp4" else ""
        self.told.append(f"{answer.status_code} {dict(answer.headers)} {content}")
        return answer

    async def order(self, dialect: str, **fields: Any) -> httpx.Response:
        body = {**SPEECHES[dialect].body, "prompt": f"a {PROMPT}", **fields}
        return await self.ask("POST", f"/{dialect}{SPEECHES[dialect].create}", json=body)

    async def do_everything(self) -> None:
        """Whatever a client may do, well and badly."""
        words = [(await self.order(dialect)).headers["x-reelgate-task-id"] for dialect in SPEECHES]
        pictured = {"model": "MiniMax-Hailuo-02", "image_urls": [IMAGE], "callback_url": HOOK}
        words.append((await self.order("evolink", **pictured)).headers["x-reelgate-task-id"])
        await self._refused()
        for trouble in TROUBLES:
            ordered = await self.order("evolink", prompt=f"a {PROMPT} #sandbox:{trouble}")
            words += [ordered.headers[name] for name in ("x-reelgate-task-id",) if name in ordered.headers]
        await asyncio.sleep(0.1)
        for word in words:
            await self.ask("GET", f"/v1/tasks/{word}")
            await asyncio.gather(
                *(self.ask("GET", f"/{name}{speech.read.format(id=word)}") for name, speech in SPEECHES.items()),
                self.ask("GET", f"/v1/videos/{word}/content"),
                self.ask("GET", f"/v1/tasks/{word}", key=OTHER_KEY),
                self.ask("GET", f"/v1/tasks/{word}", key=WRONG_KEY),
                self.ask("GET", f"/v1/tasks/{word}", key=None, params={"api_key": VIRTUAL_KEY}),
            )
        for path in ("/v1/credits", "/v1/balance", "/v1/models", "/healthz", "/readyz", "/metrics", f"/{WRONG_KEY}"):
            await self.ask("GET", path)
        await self.ask("GET", "/metrics", key=ADMIN_KEY)
        await self.ask("GET", "/v1/models", key=FILE_KEY)
        await self.ask("GET", "/v1/models", headers={"x-api-key": OTHER_KEY})

    async def _refused(self) -> None:
        create = SPEECHES["evolink"].create
        for content in (
            f'{{"prompt": "{PROMPT}"',
            f'{{"prompt": "{PROMPT}", "prompt": "{IMAGE}"}}',
            f'"{PROMPT}\\ud800"',
        ):
            await self.ask("POST", create, content=content)
        await self.ask("POST", create, content=f"{PROMPT}\xff".encode("latin-1"))
        await self.ask("POST", create, content=PROMPT, headers={"content-type": "text/plain"})
        for dialect in SPEECHES:
            await self.order(dialect, prompt=f"{PROMPT} " * 500)
            await self.order(dialect, model="MiniMax-Hailuo-9")
            await self.order(dialect, duration=PROMPT, seed=PROMPT)
        await self.order("evolink", image_urls=[f"ftp://user:{IMAGE_PASSWORD}@host/?{IMAGE_TOKEN}"])
        await self.order("evolink", callback_url=f"http://localhost/?token={HOOK_TOKEN}")
        await self.order("evolink", model="MiniMax-Hailuo-2.3-Fast", image_urls=[IMAGE] * 3)


@asynccontextmanager
async def visited(folder: Path, upstream: str, level: str) -> AsyncIterator[tuple[Visitor, Process]]:
    """A gateway to which everything was done, ended."""
    async with (
        serve(folder, upstream, CONFIG, "--log-level", level) as process,
        httpx.AsyncClient(base_url=process.base_url, trust_env=False, timeout=PROMPT_S) as http,
    ):
        visitor = Visitor(http)
        await visitor.do_everything()
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0
        yield visitor, process


def found(words: list[str], text: str) -> list[str]:
    return [f"{word}: {line[:300]}" for line in text.splitlines() for word in words if word in line]


def link_secrets(folder: Path) -> Iterator[str]:
    """What the gateway made up itself and keeps in its database, in every spelling it could leave in."""
    with closing(sqlite3.connect(f"file:{folder / 'reelgate.db'}?mode=ro", uri=True)) as database:
        for (value,) in database.execute("SELECT value FROM meta WHERE name LIKE 'secret:%'"):
            yield value
            yield repr(bytes.fromhex(value))[2:-1]


def stored(folder: Path) -> bytes:
    """Every byte of the database and its neighbours."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("reelgate.db*")) if path.is_file())


@pytest.mark.parametrize("level", ["debug", "info"])
def test_secrets_turn_up_nowhere_and_prompts_in_the_database_alone(level: str, tmp_path: Path) -> None:
    (tmp_path / "carol.key").write_text(FILE_KEY, "utf-8")

    async def scenario() -> None:
        async with sandbox.running(speed=1000) as upstream, visited(tmp_path, upstream, level) as (visitor, process):
            said, told = process.said(), "\n".join(visitor.told)
        statuses = {line[:3] for line in visitor.told}
        assert statuses >= {"200", "400", "401", "404", "410"}, "the visit missed something"
        assert "unconfirmed" in told
        assert said.count("reelgate.access") == len(visitor.told)  # the log was there to be looked at
        made_up = list(link_secrets(tmp_path))
        assert made_up
        assert found([*SECRETS, *PRIVATE, *CAPABILITIES, *made_up], said) == []
        assert found([*SECRETS, *PRIVATE, *made_up], told) == []
        kept = stored(tmp_path)
        assert [secret for secret in SECRETS if secret.encode() in kept] == []
        assert PROMPT.encode() in kept
        assert "Traceback" not in said

    asyncio.run(scenario())


def test_check_shows_no_secret(tmp_path: Path) -> None:
    (tmp_path / "carol.key").write_text(FILE_KEY, "utf-8")
    (tmp_path / "config.yaml").write_text(CONFIG, "utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "-c", str(tmp_path / "config.yaml")],
        env=environment(tmp_path, "http://127.0.0.1:9"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert found(SECRETS, ended.stdout + ended.stderr) == []


# The upstream's sentence of a 400 is the one that callers are shown.
ECHOED = ("sk-canary-echoed", "canaryEchoed0123456789", "eyJhbGciOi.canary.echoed")


@pytest.mark.parametrize("key", ECHOED)
def test_an_upstream_that_repeats_our_key_in_a_sentence_for_callers_is_not_repeated(key: str, tmp_path: Path) -> None:
    assert_not_repeated(key, [400], tmp_path)


@pytest.mark.parametrize("key", ECHOED)
def test_an_upstream_that_repeats_our_key_is_not_repeated(key: str, tmp_path: Path) -> None:
    assert_not_repeated(key, [401, 402, 403, 429, 500, 503], tmp_path)


def assert_not_repeated(key: str, statuses: list[int], folder: Path) -> None:
    async def scenario() -> None:
        for status in statuses:
            server = await asyncio.start_server(partial(echo, key, status), "127.0.0.1", 0)
            upstream = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            config = f"upstreams: [{{name: echo, provider: evolink, base_url: {upstream}, keys: [{{value: {key}}}]}}]"
            try:
                async with world(folder, config) as it:
                    for dialect in SPEECHES:
                        answer = await it.create(dialect)
                        assert key not in answer.text + str(answer.headers), status
                        if "x-reelgate-task-id" in answer.headers:
                            assert key not in (await it.read(answer.headers["x-reelgate-task-id"])).text
                    assert key not in (await it.http.get("/metrics")).text
            finally:
                server.close()
                await server.wait_closed()
        assert key.encode() not in stored(folder)

    asyncio.run(scenario())


async def echo(key: str, status: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An upstream that refuses everything and says our own key to us, wherever it can."""
    await reader.readuntil(b"\r\n\r\n")
    message = f"the key `{key}` ({key}) may not; Authorization: Bearer {key}"
    body = json.dumps({"error": {"message": message, "code": key, "param": key}})
    writer.write(f"HTTP/1.1 {status} No\r\ncontent-length: {len(body)}\r\nx-key: {key}\r\n\r\n{body}".encode())
    await writer.drain()
    writer.close()
