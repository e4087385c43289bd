"""Does with MiniMax's own `minimax-mcp` what a line of stdin asks. Runs in that package's own environment."""

import importlib
import os
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from answering import Deed, answer_each_line
from minimax_mcp import server

WAIT_S = 0.05  # it looks every 20 s


def generate(**fields: Any) -> str:
    return str(server.generate_video(**fields).text)


def query(**fields: Any) -> str:
    return str(server.query_video_generation(**fields).text)


def raw_get(path: str) -> Any:
    """The client below the tools, which says by exceptions what they say by sentences."""
    return server.api_client.get(path)


def raw_post(path: str, body: Mapping[str, Any]) -> Any:
    return server.api_client.post(path, json=body)


def begin(asked: Mapping[str, Any]) -> Mapping[str, Deed]:
    os.environ["MINIMAX_API_HOST"] = asked["base_url"]
    os.environ["MINIMAX_API_KEY"] = asked["key"]
    os.environ["MINIMAX_API_RESOURCE_MODE"] = asked["settings"].get("resource_mode", "url")
    importlib.reload(server)  # it reads them once, when it is imported
    server.time = SimpleNamespace(sleep=lambda seconds: time.sleep(WAIT_S))
    return {"generate": generate, "query": query, "raw_get": raw_get, "raw_post": raw_post}


answer_each_line(begin, lambda error: {})
