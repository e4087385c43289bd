"""`reelgate check-request`: the dry run of a file, without a gateway and without a network."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import build
from tests.egress.recorder import RECORDER
from tests.preflight.hosts import OPENED
from tests.preflight.orders import CALLBACK_PLACES, IMAGE_PLACES, PATHS, SELLERS, try_out
from tests.preflight.test_images import GOOD
from tests.world import world

PLAIN = {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship [dolly in] at dawn"}
CONFIG = SELLERS.replace("${UPSTREAM}", "https://up.example")


def check(folder: Path, body: Any, *arguments: str, config: str = CONFIG) -> Result:
    """The command on a file; whatever it does, it connects nowhere and writes nothing."""
    (folder / "config.yaml").write_text(config, "utf-8")
    file = folder / "order.json"
    file.write_text(body if isinstance(body, str) else json.dumps(body), "utf-8")
    before = sorted(folder.iterdir())
    with RECORDER.only() as heard:
        words = ["check-request", str(file), "-c", str(folder / "config.yaml"), *arguments]
        answer = CliRunner().invoke(build(["check-request", "version"]), words, env={"COLUMNS": "200"})
    assert heard.forbidden == []
    assert sorted(folder.iterdir()) == before, "no database was made"
    return answer


@pytest.mark.parametrize("dialect", PATHS)
def test_it_says_what_the_dry_run_says(dialect: str, tmp_path: Path) -> None:
    async def dry_run() -> Any:
        async with world(tmp_path, SELLERS) as it:
            answer = await try_out(it, dialect, PLAIN)
            return answer.json(), answer.headers["x-reelgate-upstream-reason"], it.sandbox_url

    told, why, url = asyncio.run(dry_run())
    folder = tmp_path / "offline"
    folder.mkdir()
    offline = check(folder, PLAIN, "--dialect", dialect, "--json", config=SELLERS.replace("${UPSTREAM}", url))
    assert offline.exit_code == 0, offline.output
    assert json.loads(offline.stdout) == {"dialect": dialect, **told, "why": why}


def test_a_person_reads_price_upstream_reason_warnings_and_the_very_call(tmp_path: Path) -> None:
    answer = check(tmp_path, PLAIN)
    assert answer.exit_code == 0
    for said in (
        "0.28 USD",
        "minimax",
        "a usable key",
        "`[dolly in]` is sent as `[Push in]`",
        '"a ship [Push in] at dawn"',
    ):
        assert said in answer.stdout, said


@pytest.mark.parametrize("place", [*IMAGE_PLACES, *CALLBACK_PLACES], ids=str)
def test_addresses_are_read_and_not_asked(place: Any, tmp_path: Path) -> None:
    fine = check(tmp_path, place.order("https://cdn.example/a", "https://cdn.example/b"), "--dialect", place.dialect)
    assert fine.exit_code == 0, fine.output
    assert ("was not looked at" in fine.stdout) is (place in IMAGE_PLACES)
    for address in ("https://127.0.0.1/a", "https://user:word@cdn.example/a", "https://cdn.example:22/a"):
        refused = check(tmp_path, place.order(address, "https://cdn.example/b"), "--dialect", place.dialect, "--json")
        assert refused.exit_code == 1
        assert [problem["param"] for problem in json.loads(refused.stdout)["problems"]] == [place.field]


@pytest.mark.parametrize(
    ("body", "dialect"),
    [
        ({**PLAIN, "quality": "768p"}, "evolink"),
        ({**PLAIN, "resolution": "768P"}, "toapis"),
        (PLAIN, "minimax"),
    ],
)
def test_the_dialect_is_found_by_its_marks_or_is_the_default(body: Any, dialect: str, tmp_path: Path) -> None:
    config = f"server: {{default_dialect: minimax}}\n{CONFIG}"
    answer = check(tmp_path, body, "--json", config=config)
    assert json.loads(answer.stdout)["dialect"] == dialect


def test_a_refusal_names_fields_rules_and_what_is_allowed(tmp_path: Path) -> None:
    answer = check(tmp_path, {**PLAIN, "quality": "512p", "duration": 7, "seed": 1})
    assert answer.exit_code == 1
    for said in ("quality", "768p, 1080p", "duration", "6, 10", "seed"):
        assert said in answer.stdout, said


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        ("not json", ()),
        ("[]", ()),
        ('{"model": 1, "model": 2}', ()),
        (PLAIN, ("--dialect", "klingon")),
        ({**PLAIN, "quality": "768p", "resolution": "768P"}, ()),
    ],
)
def test_what_is_no_order_is_a_mistake_in_usage(body: Any, arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert check(tmp_path, body, *arguments).exit_code == 2


def test_a_file_that_is_not_there_is_a_mistake_in_usage(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG, "utf-8")
    words = ["check-request", str(tmp_path / "nowhere.json"), "-c", str(tmp_path / "config.yaml")]
    assert CliRunner().invoke(build(["check-request", "version"]), words).exit_code == 2


class _Pictures(BaseHTTPRequestHandler):
    """A host in a thread of its own, because the command has an event loop of its own."""

    def do_GET(self) -> None:
        data = GOOD if self.path == "/good" else b"GIF89a" + bytes(64)
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


def test_with_probe_the_images_are_looked_at(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), _Pictures) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        (tmp_path / "config.yaml").write_text(f"{OPENED}{CONFIG}", "utf-8")
        file = tmp_path / "order.json"
        words = ["check-request", str(file), "-c", str(tmp_path / "config.yaml"), "--probe", "--json"]
        for name, status, told in (("good", 0, '"valid": true'), ("gif", 1, "its content is GIF")):
            order = IMAGE_PLACES[0].order(f"http://127.0.0.1:{host.server_port}/{name}")
            file.write_text(json.dumps(order), "utf-8")
            answer = CliRunner().invoke(build(["check-request", "version"]), words)
            assert (answer.exit_code, told in answer.stdout) == (status, True), answer.output
        host.shutdown()
