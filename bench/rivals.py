"""What people would put before the same upstream instead: nginx, which only forwards, and LiteLLM's proxy.

nginx comes from Debian's archive where it is missing, LiteLLM from the package index, pinned, into an environment of
its own; where one cannot be had, its rows say so and the others are measured.
"""

import json
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from bench.laboratory import Laboratory
from bench.load import Order
from bench.processes import Server, free_port, running

_ROOT = Path(__file__).parent.parent
_LITELLM = _ROOT / ".venv" / "rivals" / "litellm"
_START_WITHIN_S = 120.0  # it takes a quarter of a minute where it has a core to itself
_PINS = _ROOT / "bench" / "litellm.txt"

# Its defaults, with one worker: a connection of its own for each request, as the gateway's paid calls have.
_NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log {folder}/nginx-access.log;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  server {{
    listen 127.0.0.1:{port};
    location /v1/events/ {{ proxy_pass http://127.0.0.1:{upstream}; proxy_buffering off; }}
    location / {{ proxy_pass http://127.0.0.1:{upstream}; }}
  }}
}}
"""

_LITELLM_CONFIG = """\
model_list:
  - model_name: sora-2
    litellm_params: {{model: openai/sora-2, api_base: "{upstream}/v1", api_key: upstream-secret}}
general_settings: {{master_key: {key}}}
"""


class RivalMissing(OSError):
    """It cannot be had on this machine."""


def nginx(lab: Laboratory) -> AbstractContextManager[Server]:
    """nginx as a reverse proxy of the fixed upstream. Raises RivalMissing."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        raise RivalMissing("nginx is missing; `make servers` installs it where it can")
    port, config = free_port(), lab.folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=lab.folder, upstream=lab.upstream.port, port=port), "utf-8")
    command = [found, "-c", str(config), "-p", str(lab.folder)]
    log = lab.folder / "nginx.log"
    return running("nginx", command, port, cores={lab.cores.subject}, ready="/v1/tasks/any", log=log)


def litellm(lab: Laboratory) -> AbstractContextManager[Server]:
    """LiteLLM's proxy with its defaults, one worker, and OpenAI's videos of the fixed upstream. Raises RivalMissing."""
    command = [*_litellm_command(), "--config", str(lab.folder / "litellm.yaml"), "--host", "127.0.0.1"]
    port = free_port()
    text = _LITELLM_CONFIG.format(upstream=lab.upstream.base_url, key=lab.key)
    (lab.folder / "litellm.yaml").write_text(text, "utf-8")
    log = lab.folder / "litellm.log"
    return running(
        "LiteLLM",
        [*command, "--port", str(port)],
        port,
        cores={lab.cores.subject},
        ready="/health/liveliness",
        log=log,
        within_s=_START_WITHIN_S,
    )


def openai_order(lab: Laboratory, model: str) -> Order:
    """A create in OpenAI's dialect, as both can be asked for one."""
    body = {"model": model, "prompt": "A lighthouse at dusk, waves breaking on the rocks below it", "seconds": "6"}
    return Order("POST", "/v1/videos", {**lab.headers, "Content-Type": "application/json"}, json.dumps(body))


def _litellm_command() -> list[str]:
    python = _LITELLM / "bin" / "python"
    if not python.is_file():
        print("bench: LiteLLM is missing; installing it", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(_LITELLM)], check=False)  # noqa: S603
    install = ["pip", "--python", str(python), "--disable-pip-version-check", "-q", "install", "--require-hashes"]
    base = [getattr(sys, "_base_executable", sys.executable), "-m"]
    done = subprocess.run([*base, *install, "-r", str(_PINS)], check=False)  # noqa: S603 - our own pins
    if done.returncode != 0:
        raise RivalMissing("LiteLLM could not be installed")
    return [str(python), "-m", "litellm.proxy.proxy_cli"]
