"""`reelgate generate` and `fetch`: processes before a gateway with its sandbox, or before one that behaves badly."""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.images.files import png_header as png
from tests.test_command import ask
from tests.world import ALICE, FAST, SLOW, World, world

WITHIN_S = 60.0
FILM = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 400
TASK = "video_0b2nwchr8qfnk"
Poll = tuple[int, Mapping[str, object]]


@dataclass(frozen=True)
class Ended:
    """A command that ended."""

    status: int
    stdout: str
    stderr: str


class Command:
    """`reelgate` in a process of its own, before a gateway."""

    def __init__(self, started: asyncio.subprocess.Process) -> None:
        self._started = started
        self._said = b""

    @classmethod
    async def start(cls, base_url: str, folder: Path, *arguments: str, key: str = ALICE) -> "Command":
        environ = {**os.environ, "REELGATE_BASE_URL": base_url, "REELGATE_API_KEY": key, "COLUMNS": "120"}
        return cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=folder,
                env={**environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            )
        )

    async def says(self, word: str) -> None:
        """Wait until it has said this on standard error."""
        assert self._started.stderr is not None
        async with asyncio.timeout(WITHIN_S):
            while word.encode() not in self._said:
                line = await self._started.stderr.readline()
                assert line, self._said
                self._said += line

    def interrupt(self) -> None:
        self._started.send_signal(signal.SIGINT)

    async def ended(self) -> Ended:
        async with asyncio.timeout(WITHIN_S):
            stdout, stderr = await self._started.communicate()
        assert self._started.returncode is not None
        return Ended(self._started.returncode, stdout.decode(), (self._said + stderr).decode())


async def reelgate(here: World, folder: Path, *arguments: str, key: str = ALICE) -> Ended:
    command = await Command.start(here.base_url, folder, *arguments, key=key)
    return await command.ended()


@dataclass
class Fake:
    """A gateway that remembers what it was asked and answers a create, polls and the film as the test says."""

    create: Callable[[BaseHTTPRequestHandler], None]
    film: Callable[[BaseHTTPRequestHandler, int], None]
    polls: list[Poll] = field(default_factory=list)
    asked: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)
    base_url: str = ""

    def films(self) -> list[Mapping[str, str]]:
        return [headers for method, path, headers in self.asked if path.endswith("/content")]

    def creates(self) -> list[Mapping[str, str]]:
        return [headers for method, _, headers in self.asked if method == "POST"]


def accepted(handler: BaseHTTPRequestHandler) -> None:
    answer(handler, 200, {"id": TASK, "status": "queued", "model": "M"}, **{"x-reelgate-price": "0.28 USD"})


def whole(handler: BaseHTTPRequestHandler, nth: int) -> None:
    answer(handler, 200, FILM)


def answer(handler: BaseHTTPRequestHandler, status: int, body: object, **headers: str) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    if "content-length" not in headers:
        handler.send_header("content-length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


@contextmanager
def fake(
    create: Callable[[BaseHTTPRequestHandler], None] = accepted,
    film: Callable[[BaseHTTPRequestHandler, int], None] = whole,
    polls: tuple[Poll, ...] = ((200, {"status": "completed"}),),
) -> Iterator[Fake]:
    """It on a socket. Of the polls, the last is answered for ever."""
    played = Fake(create, film, list(polls))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.remember()
            played.create(self)

        def do_GET(self) -> None:
            self.remember()
            if self.path.endswith("/content"):
                played.film(self, len(played.films()))
            else:
                status, told = played.polls.pop(0) if len(played.polls) > 1 else played.polls[0]
                answer(self, status, told, **{"preference-applied": "wait=5"})

        def remember(self) -> None:
            played.asked.append(
                (self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
            )

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    played.base_url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield played
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two tries at a film, of the commands in this process."""
    monkeypatch.setattr("gateway.cli.download.PAUSE_S", 0.0)


def test_a_video_is_ordered_watched_and_saved(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, on_socket=True) as here:
            ended = await reelgate(here, tmp_path, "generate", "a ship at dawn", "-o", "ship.mp4")
            assert (ended.status, ended.stdout) == (0, "ship.mp4\n"), ended.stderr
            assert (tmp_path / "ship.mp4").read_bytes()[4:8] == b"ftyp"
            assert "0.28 USD" in ended.stderr
            assert "completed" in ended.stderr
            assert len(here.videos()) == 1

    asyncio.run(story())
    assert list(tmp_path.glob("*.part")) == []


def test_programs_are_told_all_in_one_object_and_get_the_file_under_the_tasks_name(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, on_socket=True) as here:
            ended = await reelgate(
                here, tmp_path, "generate", "a ship [Push out]", "-d", "10", "-r", "768p", "-m", "hailuo-2.3", "--json"
            )
            assert (ended.status, ended.stderr) == (0, "")
            told = json.loads(ended.stdout)
            assert (told["state"], told["price"], told["file"]) == ("completed", "0.56 USD", f"{told['id']}.mp4")
            assert (tmp_path / told["file"]).stat().st_size == told["bytes"]
            assert "Push out" in told["warnings"][0]
            again = await reelgate(
                here, tmp_path, "generate", "a ship [Push out]", "-d", "10", "-r", "768p", "-m", "hailuo-2.3", "--json",
                "--idempotency-key", told["idempotency_key"], "--force",
            )  # fmt: skip
            replayed = json.loads(again.stdout)
            assert (replayed["id"], replayed["replayed"], again.status) == (told["id"], True, 0)
            assert len(here.videos()) == 1

    asyncio.run(story())


def test_files_become_the_first_and_the_last_frame(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(png(640, 480))  # its name is wrong, its bytes are not
    (tmp_path / "two.png").write_bytes(png(640, 480))

    async def story() -> None:
        async with world(tmp_path, "preflight: {images: strict}", on_socket=True) as here:
            said = ("--image", "one.jpg", "--last-frame", "two.png", "--model", "MiniMax-Hailuo-02", "--dry-run")
            ended = await reelgate(here, tmp_path, "generate", "she turns", *said)
            assert ended.status == 0, ended.stderr
            assert "flf" in ended.stdout
            assert "nothing was" in ended.stdout
            quoted = json.loads((await reelgate(here, tmp_path, "generate", "she turns", *said, "--json")).stdout)
            assert len(quoted["upstream_request"]["body"]["image_urls"]) == 2
            assert here.videos() == []

    asyncio.run(story())


def test_a_refused_request_is_told_by_its_options_and_ends_with_status_2(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, on_socket=True) as here:
            for arguments, option, word in (
                (("-m", "betamax"), "--model", "MiniMax-Hailuo-2.3"),
                (("-d", "7"), "--duration", "6, 10"),
                (("--max-price", "nan"), "--max-price", "amount"),
                (("-r", "512P"), "--resolution", "768P"),
                (("--max-price", "0.01"), "--max-price", "0.28 USD"),
                (("--idempotency-key", "ü"), "--idempotency-key", "ASCII"),
                (("--idempotency-key", "x" * 256), "--idempotency-key", "255"),
            ):
                ended = await reelgate(here, tmp_path, "generate", "a ship", *arguments)
                assert (ended.status, ended.stdout) == (2, ""), ended.stderr
                assert ended.stderr.startswith(f"reelgate: {option}: "), ended.stderr
                assert word in ended.stderr
            told = json.loads((await reelgate(here, tmp_path, "generate", "a ship", "-d", "7", "--json")).stdout)
            assert (told["state"], told["error"]["problems"][0]["option"]) == ("refused", "--duration")
            assert here.videos() == []

    asyncio.run(story())


def test_a_wrong_key_and_refused_content_end_with_status_1(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, on_socket=True) as here:
            ended = await reelgate(here, tmp_path, "generate", "a ship", key="sk-rg-wrong")
            assert (ended.status, "--api-key" in ended.stderr, "sk-rg-wrong" in ended.stderr) == (1, True, False)
            ended = await reelgate(here, tmp_path, "generate", "a ship #sandbox:422")
            assert (ended.status, ended.stdout) == (1, ""), ended.stderr
            ended = await reelgate(here, tmp_path, "generate", "a ship #sandbox:fail-generation", "--json")
            told = json.loads(ended.stdout)
            assert (ended.status, told["state"]) == (1, "failed")
            assert told["error"]["message"] in ended.stderr

    asyncio.run(story())
    assert list(tmp_path.glob("*.mp4")) == []


def test_ctrl_c_says_that_it_is_paid_for_and_how_to_fetch_it_later(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, speed=SLOW, on_socket=True) as here:
            command = await Command.start(here.base_url, tmp_path, "generate", "a ship", "-o", "ship.mp4")
            await command.says("pending")
            command.interrupt()
            ended = await command.ended()
            assert (ended.status, ended.stdout) == (1, "")
            assert len(here.videos()) == 1
            last = ended.stderr.splitlines()[-1]
            assert "paid for" in last
            assert "reelgate fetch video_" in last
            assert last.endswith("-o ship.mp4")
            assert "Traceback" not in ended.stderr

    asyncio.run(story())


def test_what_is_in_doubt_and_what_waits_is_told_in_words(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, on_socket=True) as here:
            command = await Command.start(here.base_url, tmp_path, "generate", "#sandbox:drop-after-accept a ship")
            await command.says("may have been bought")
            command.interrupt()
            assert (await command.ended()).status == 1
            assert len(here.videos()) == 1
        one_place = """
            upstreams: [{name: s, provider: evolink, base_url: '${UPSTREAM}/evolink',
                         keys: [{id: main, value: sk-up, max_tasks: 1}]}]
            queue: {max_tasks: 5}
        """
        (tmp_path / "other").mkdir()
        async with world(tmp_path / "other", one_place, speed=SLOW, on_socket=True) as here:
            await here.create()
            command = await Command.start(here.base_url, tmp_path, "generate", "a ship")
            await command.says("nothing is spent until it is sent")
            command.interrupt()
            assert (await command.ended()).status == 1
            assert len(here.videos()) == 1

    asyncio.run(story())


def test_a_finished_film_is_fetched_later_and_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, speed=FAST, on_socket=True) as here:
            task_id = await here.finished_film()
            first = await reelgate(here, tmp_path, "fetch", task_id)
            assert (first.status, first.stdout) == (0, f"{task_id}.mp4\n"), first.stderr
            again = await reelgate(here, tmp_path, "fetch", task_id)
            assert (again.status, "--force" in again.stderr) == (2, True)
            assert (await reelgate(here, tmp_path, "fetch", task_id, "--force")).status == 0
            nobodys = await reelgate(here, tmp_path, "fetch", TASK)
            assert (nobodys.status, len(nobodys.stderr.splitlines())) == (1, 1)

    asyncio.run(story())


def test_nothing_is_ordered_where_the_film_could_not_be_kept(tmp_path: Path) -> None:
    (tmp_path / "ship.mp4").write_bytes(b"somebody's film")
    with fake() as gateway:
        for out, word in (("ship.mp4", "--force"), ("nowhere/ship.mp4", "not a folder")):
            ended = ask("generate", "a ship", "-o", out, "--base-url", gateway.base_url, cwd=tmp_path)
            assert (ended.exit_code, word in ended.stderr) == (2, True)
        assert gateway.asked == []
    assert (tmp_path / "ship.mp4").read_bytes() == b"somebody's film"


def test_pictures_that_no_gateway_would_take_are_not_sent(tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("this is no picture")
    (tmp_path / "small.png").write_bytes(png(200, 200))
    with (tmp_path / "huge.png").open("wb") as file:
        file.write(png(640, 480))
        file.truncate(20 * 1024 * 1024)
    with fake() as gateway:
        for name, word in (
            ("note.png", "not an image"),
            ("small.png", "301 pixels"),
            ("huge.png", "fewer than 20971520"),
            ("nowhere.png", "No such file"),
        ):
            ended = ask("generate", "a ship", "--image", name, "--base-url", gateway.base_url, cwd=tmp_path)
            assert (ended.exit_code, word in ended.stderr) == (2, True), ended.stderr
            assert ended.stderr.startswith(f"reelgate: --image: {name}: ")
        assert gateway.asked == []


def test_a_download_that_breaks_off_goes_on_where_it_was(tmp_path: Path) -> None:
    half = len(FILM) // 2

    def breaking(handler: BaseHTTPRequestHandler, nth: int) -> None:
        if nth == 1:
            answer(handler, 200, FILM[:half], **{"content-length": str(len(FILM))})
            handler.close_connection = True
            return
        answer(handler, 206, FILM[half:], **{"content-range": f"bytes {half}-{len(FILM) - 1}/{len(FILM)}"})

    with fake(film=breaking) as gateway:
        ended = ask("generate", "a ship", "-o", "ship.mp4", "--base-url", gateway.base_url, cwd=tmp_path)
        assert ended.exit_code == 0, ended.output
        assert (tmp_path / "ship.mp4").read_bytes() == FILM
        assert [headers.get("range") for headers in gateway.films()] == [None, f"bytes={half}-"]
        assert len(gateway.creates()) == 1


def test_a_film_that_never_comes_whole_is_not_put_in_its_place_and_goes_on_later(tmp_path: Path) -> None:
    half = len(FILM) // 2

    def never(handler: BaseHTTPRequestHandler, nth: int) -> None:
        answer(handler, 200, FILM[:half], **{"content-length": str(len(FILM))})

    with fake(film=never) as gateway:
        ended = ask("generate", "a ship", "-o", "ship.mp4", "--base-url", gateway.base_url, cwd=tmp_path)
        assert ended.exit_code == 1
        assert f"reelgate fetch {TASK} -o ship.mp4" in ended.stderr
        assert not (tmp_path / "ship.mp4").exists()
        assert (tmp_path / f"ship.mp4.{TASK}.part").stat().st_size == half
        assert len(gateway.films()) == 4

    def rest(handler: BaseHTTPRequestHandler, nth: int) -> None:
        answer(handler, 206, FILM[half:], **{"content-range": f"bytes {half}-{len(FILM) - 1}/{len(FILM)}"})

    with fake(film=rest) as gateway:
        ended = ask("fetch", TASK, "-o", "ship.mp4", "--base-url", gateway.base_url, cwd=tmp_path)
        assert (ended.exit_code, (tmp_path / "ship.mp4").read_bytes()) == (0, FILM)
        assert gateway.films()[0]["range"] == f"bytes={half}-"


def test_a_part_of_another_film_is_thrown_away(tmp_path: Path) -> None:
    (tmp_path / f"ship.mp4.{TASK}.part").write_bytes(FILM + b"more than there is")

    def judged(handler: BaseHTTPRequestHandler, nth: int) -> None:
        if nth == 1:
            answer(handler, 416, b"", **{"content-range": f"bytes */{len(FILM)}"})
        else:
            answer(handler, 200, FILM)

    with fake(film=judged) as gateway:
        ended = ask("fetch", TASK, "-o", "ship.mp4", "--base-url", gateway.base_url, cwd=tmp_path)
        assert (ended.exit_code, (tmp_path / "ship.mp4").read_bytes()) == (0, FILM), ended.output


def test_a_gateway_that_is_not_there_has_bought_nothing(tmp_path: Path) -> None:
    with fake() as gateway:
        gone = gateway.base_url
    ended = ask("generate", "a ship", "--base-url", gone, cwd=tmp_path)
    assert (ended.exit_code, len(ended.stderr.splitlines())) == (1, 1)
    assert "Nothing was ordered" in ended.stderr
    # A socket takes 99999 for 34463, where somebody may listen.
    for address in ("nonsense", "ftp://127.0.0.1", "", *(f"http://127.0.0.1:{port}" for port in (99999, -1, 0, "x"))):
        ended = ask("generate", "a ship", "--base-url", address, cwd=tmp_path)
        assert (ended.exit_code, "--base-url" in ended.stderr) == (2, True), ended.output


def test_an_order_that_may_have_arrived_is_sent_once_and_its_key_is_said(tmp_path: Path) -> None:
    def leaves(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True

    def strange(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, 504, b"<html>gateway time-out</html>")

    for create in (leaves, strange):
        with fake(create=create) as gateway:
            ended = ask("generate", "a ship", "--base-url", gateway.base_url, "--json", cwd=tmp_path)
            assert ended.exit_code == 1
            (headers,) = gateway.creates()
            assert f"--idempotency-key {headers['idempotency-key']}" in ended.stderr
            told = json.loads(ended.stdout)
            assert (told["id"], told["idempotency_key"]) == (None, headers["idempotency-key"])


def test_what_an_order_before_has_bought_is_not_said_of_its_repeat(tmp_path: Path) -> None:
    def crowded(handler: BaseHTTPRequestHandler) -> None:
        error = {"error": {"message": "too many creates", "code": 503}}
        answer(handler, 503, error, **{"x-should-retry": "true", "retry-after": "2"})

    with fake(create=crowded) as gateway:
        said = ("generate", "a ship", "--base-url", gateway.base_url)
        first = ask(*said, cwd=tmp_path)
        assert "nothing was bought, try again in 2 s" in first.stderr
        repeat = ask(*said, "--idempotency-key", "k", cwd=tmp_path)
        assert "nothing was bought" not in repeat.stderr
        assert "try again in 2 s with the same key" in repeat.stderr
    away = ask(*said, "--idempotency-key", "k", cwd=tmp_path)
    assert "Nothing was ordered" not in away.stderr
    assert "--idempotency-key k" in away.stderr
    assert {first.exit_code, repeat.exit_code, away.exit_code} == {1}


def test_a_gateway_that_is_away_for_a_moment_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.following.PAUSE_S", 0.0)
    away = (503, {"error": {"message": "the gateway is shutting down", "code": 503}})
    polls = (away, (200, {"status": "processing", "progress": 40}), away, (200, {"status": "completed"}))
    with fake(polls=polls) as gateway:
        ended = ask("fetch", TASK, "-o", "ship.mp4", "--base-url", gateway.base_url, cwd=tmp_path)
        assert ended.exit_code == 0, ended.output
        assert "processing" in ended.stderr
        assert len(gateway.asked) == len(polls) + 1


def test_whoever_waits_for_a_gateway_that_does_not_answer_is_told_once_of_each_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.cli.following.PAUSE_S", 0.0)
    away = (503, {"error": {"message": "the gateway is shutting down", "code": 503}})
    polls = (away, away, away, (200, {"status": "processing", "progress": 40}), away, (200, {"status": "completed"}))
    with fake(polls=polls) as gateway:
        ended = ask("fetch", TASK, "--base-url", gateway.base_url, cwd=tmp_path)
        assert ended.exit_code == 0, ended.output
        assert ended.stderr.count("the gateway is shutting down; it is asked again for 5 minutes") == 2
    monkeypatch.setattr("gateway.cli.following.GIVE_UP_S", 2.0)
    monkeypatch.setattr("gateway.cli.following.PAUSE_S", 0.1)
    silent = ask("fetch", TASK, "--force", "--base-url", "http://127.0.0.1:1", cwd=tmp_path)
    told, *_, end = silent.stderr.splitlines()
    assert "http://127.0.0.1:1 does not answer" in told
    assert "asked again for" in told
    assert end.startswith("reelgate: http://127.0.0.1:1 does not answer")
    assert silent.stderr.count("asked again for") == 1
