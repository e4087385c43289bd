"""The proxies that usually stand before a gateway, Debian's, each on loopback with connections that it keeps."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

NGINX = """
daemon off;
master_process off;
error_log stderr crit;
pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  underscores_in_headers on;
  ignore_invalid_headers off;
  upstream gateway {{ server {upstream}; keepalive 1; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://gateway;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_request_buffering off;
      proxy_next_upstream off;
    }}
  }}
}}
"""
HAPROXY = """
global
  maxconn 64
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 60s
  http-reuse always
frontend clients
  bind 127.0.0.1:{port}
  default_backend gateway
backend gateway
  server gateway {upstream}
"""
_START_S = 30.0


def _nginx(program: str, folder: Path, config: Path) -> list[str]:
    return [program, "-e", "stderr", "-p", str(folder), "-c", str(config)]


def _haproxy(program: str, folder: Path, config: Path) -> list[str]:
    return [program, "-db", "-f", str(config)]


PROXIES: dict[str, tuple[str, Callable[[str, Path, Path], list[str]]]] = {
    "nginx": (NGINX, _nginx),
    "haproxy": (HAPROXY, _haproxy),
}


@asynccontextmanager
async def proxy(name: str, upstream_url: str, folder: Path) -> AsyncIterator[str]:
    """One before `upstream_url`, until the block ends; gives its own base URL."""
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if program is None:
        pytest.skip(f"{name} is not installed; run `make servers`")
    text, command = PROXIES[name]
    port = _free_port()
    config = folder / f"{name}.conf"
    config.write_text(
        text.format(folder=folder, port=port, upstream=upstream_url.removeprefix("http://")), encoding="utf-8"
    )
    said = folder / f"{name}.said"
    with said.open("wb") as out:
        started = await asyncio.create_subprocess_exec(*command(program, folder, config), stdout=out, stderr=out)
    try:
        await _listens(started, port, said)
        yield f"http://127.0.0.1:{port}"
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def _listens(started: asyncio.subprocess.Process, port: int, said: Path) -> None:
    async with asyncio.timeout(_START_S):
        while True:
            assert started.returncode is None, f"see {said}"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
