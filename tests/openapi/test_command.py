"""`reelgate openapi`: the document without a running gateway."""

import asyncio
import json
from pathlib import Path

from gateway.dialects import DIALECTS
from gateway.web.openapi import of_dialect
from tests.cli import reelgate
from tests.openapi.test_document import WHOLE, told
from tests.test_command import ask
from tests.world import BASE, make_config, world


def test_without_a_configuration_it_is_of_all_there_can_be(tmp_path: Path) -> None:
    ended = ask("openapi", cwd=tmp_path)
    assert ended.exit_code == 0, ended.output
    of = json.loads(ended.stdout)
    assert of == json.loads(json.dumps({**WHOLE, "servers": [{"url": "http://127.0.0.1:8080"}]}))


def test_with_a_configuration_it_is_what_that_gateway_says(tmp_path: Path) -> None:
    async def said() -> str:
        async with world(tmp_path, "server: {public_url: 'https://films.example.com', answer_within_s: 60}") as opened:
            return json.dumps(told(await opened.http.get("/openapi.json")))

    running = asyncio.run(said())
    config = "server: {public_url: 'https://films.example.com', answer_within_s: 60}"
    make_config(tmp_path, "http://127.0.0.1:9", config, BASE.replace("${FOLDER}", str(tmp_path)))
    path = tmp_path / "config.yaml"
    path.write_text(path.read_text("utf-8").replace("${UPSTREAM}", "http://127.0.0.1:9"), "utf-8")
    ended = reelgate(tmp_path, "openapi")
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout) == json.loads(running)


def test_of_one_dialect_it_has_that_ones_paths_alone(tmp_path: Path) -> None:
    ended = ask("openapi", "--dialect", "minimax", cwd=tmp_path)
    of = json.loads(ended.stdout)
    assert of["servers"] == [{"url": "http://127.0.0.1:8080/minimax"}]
    assert of["paths"] == json.loads(json.dumps(of_dialect(WHOLE, "minimax")["paths"]))
    refused = ask("openapi", "--dialect", "klingon", cwd=tmp_path)
    assert refused.exit_code == 2
    assert refused.stderr == f"reelgate: --dialect: klingon is not a dialect; use one of {', '.join(DIALECTS)}\n"
