"""The command: what it prints, and the status it ends with (0 done, 1 failed, 2 usage or configuration error).

Commands that serve run as a person runs them; the others in this process, which saves them a second of imports each.
"""

import asyncio
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from gateway import __version__, sandbox, serving
from gateway.cli import COMMANDS, build

ROOT = Path(__file__).parents[1]
REELGATE = Path(sys.executable).with_name("reelgate")
EXAMPLE = ROOT / "config.example.yaml"
BROKEN = """
server: {port: eighty, hots: 127.0.0.1}
upstreams:
  - {name: a, provider: evolink, base_url: "api.evolink.ai", keys: [{value: "${NOT_SET_ANYWHERE}"}]}
  - {name: a, provider: betamax, base_url: "https://example.com", keys: []}
virtual_keys: [{id: alice}]
"""
# Of all that is wrong above, the path of each.
MISTAKES = [
    "server.port",
    "server.hots",
    "upstreams[0].base_url",
    "upstreams[0].keys[0].value",
    "upstreams[1].name",
    "upstreams[1].provider",
    "upstreams[1].keys",
    "virtual_keys[0]",
]


def run(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, command: tuple[str, ...] = (str(REELGATE),)
) -> subprocess.CompletedProcess[str]:
    """The command, run to its end without anything of this process's environment that concerns it."""
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    clean = {name: value for name, value in clean.items() if not name.startswith("REELGATE_")}
    return subprocess.run(
        [*command, *arguments],
        cwd=cwd,
        env={**clean, "NO_COLOR": "1", "COLUMNS": "120", **(env or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def ask(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Result:
    """The same for a command that sets nothing up, in this process."""
    unset = [name for name in os.environ if name.endswith("_API_KEY") or name.startswith("REELGATE_")]
    before = Path.cwd()
    os.chdir(cwd)
    try:
        return CliRunner().invoke(
            build(COMMANDS), arguments, env={**dict.fromkeys(unset), "COLUMNS": "120", **(env or {})}
        )
    finally:
        os.chdir(before)


def write_config(folder: Path, port: int) -> Path:
    path = folder / "config.yaml"
    path.write_text(
        f"server: {{port: {port}}}\n"
        f"storage: {{url: 'sqlite:///{folder}/reelgate.db'}}\n"
        "upstreams: [{name: s, provider: evolink, base_url: 'http://127.0.0.1:9', keys: [{value: sk-up}]}]\n",
        "utf-8",
    )
    return path


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def answering(status: int) -> Iterator[str]:
    """The address of something that answers every GET with a status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_version_is_said_by_the_command_and_by_the_module(tmp_path: Path) -> None:
    assert run("version", cwd=tmp_path).stdout == f"{__version__}\n"
    module = run("version", cwd=ROOT, command=(sys.executable, "-m", "gateway"))
    assert (module.returncode, module.stdout) == (0, f"{__version__}\n")


def test_a_command_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    for arguments in (("sreve",), ("serve", "--prot", "1"), ("serve", "--port", "x"), ("demo", "--log-level", "debug")):
        assert ask(*arguments, cwd=tmp_path).exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sreve",), "Did you mean 'serve'? (see reelgate --help)"),
        (("keys", "creat", "x"), "Did you mean 'create'? (see reelgate keys --help)"),
        (("--version",), "No such option: --version (see reelgate --help)"),
        (("serve", "--prot", "1"), "--port) (see reelgate serve --help)"),
        (("serve", "--port"), "'--port' requires an argument"),
        (("serve", "--log-level", "loud"), "'debug', 'info', 'warning', 'error' (see reelgate serve --help)"),
        (("generate",), "Missing argument 'PROMPT' (see reelgate generate --help)"),
        (("tasks", "release", "x"), "Missing option '--reason' (see reelgate tasks release --help)"),
    ],
)
def test_what_the_parser_refuses_is_one_line(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    ended = ask(*arguments, cwd=tmp_path, env={"COLUMNS": "40"})
    assert (ended.exit_code, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("reelgate: ")
    assert line.endswith(words)


def test_a_command_without_its_arguments_shows_its_help_and_no_complaint(tmp_path: Path) -> None:
    for arguments in ((), ("keys",)):
        ended = ask(*arguments, cwd=tmp_path)
        assert (ended.exit_code, ended.stderr) == (2, "")
        assert "Usage: reelgate" in ended.stdout


@pytest.mark.parametrize("command", [("serve",), ("demo", "--once"), ("sandbox",)])
@pytest.mark.parametrize(("port", "rule"), [("99999", "65535"), ("65536", "65535"), ("-1", " 0 "), ("x", "integer")])
def test_a_port_that_cannot_be_is_a_usage_error(command: tuple[str, ...], port: str, rule: str, tmp_path: Path) -> None:
    config = write_config(tmp_path, 0)
    ended = ask(*command, "--port", port, cwd=tmp_path)
    assert (ended.exit_code, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert "'--port'" in line
    assert rule in line
    assert list(tmp_path.iterdir()) == [config]


@pytest.mark.parametrize("command", ["serve", "sandbox"])
def test_an_empty_host_does_not_mean_every_address(command: str, tmp_path: Path) -> None:
    config = write_config(tmp_path, 0)
    config.write_text(f"{config.read_text('utf-8')}admin_key: x\n", "utf-8")  # which may listen to the network
    with taken_port() as port:  # so that a host which is let through ends, too
        ended = ask(command, "--host", "", "--port", str(port), cwd=tmp_path)
    assert (ended.exit_code, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert "'--host'" in line
    assert "127.0.0.1" in line


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_ipv6_may_be_written_as_in_an_address(host: str) -> None:
    async def story() -> None:
        with serving.bind(host, 0) as listener:
            assert serving.address_of(listener).startswith("http://[::1]:")
        async with sandbox.running(host) as address:
            assert address.startswith("http://[::1]:")

    asyncio.run(story())


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "inf", "-inf", "1e400", "x"])
def test_a_speed_that_cannot_be_is_a_usage_error(speed: str, tmp_path: Path) -> None:
    with taken_port() as port:  # so that a speed which is let through ends, too
        ended = ask("sandbox", "--port", str(port), "--speed", speed, cwd=tmp_path)
    assert (ended.exit_code, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert "'--speed'" in line
    assert "number" in line


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("serve", "--workers", "0"), "--workers"),
        (("serve", "--workers", "-1"), "--workers"),
        (("generate", "a ship", "--duration", "0"), "--duration"),
        (("generate", "a ship", "--duration", "-1"), "--duration"),
        (("tasks", "list", "--limit", "-1"), "limit"),
        (("tasks", "list", "--limit", "9" * 30), "limit"),
        (("tasks", "list", "--since", "-1d"), "--since"),
        (("usage", "--until", "9" * 30 + "d"), "--until"),
        (("keys", "create", "x", "--rpm", "0"), "rpm"),
        (("keys", "create", "x", "--max-tasks", "9" * 30), "max-tasks"),
        (("keys", "create", "x", "--budget", "nan"), "budget"),
        (("teams", "create", "x", "--budget", "-1/30d"), "budget"),
    ],
)
def test_other_numbers_that_cannot_be_are_usage_errors(arguments: tuple[str, ...], name: str, tmp_path: Path) -> None:
    write_config(tmp_path, 0)
    ended = ask(*arguments, cwd=tmp_path)
    assert (ended.exit_code, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert name in line


def test_check_finds_the_example_sound(tmp_path: Path) -> None:
    env = {"EVOLINK_API_KEY": "sk-example-upstream", "ALICE_KEY": "sk-example-alice"}
    ended = ask("check", "-c", str(EXAMPLE), cwd=tmp_path, env=env)
    assert ended.exit_code == 0, ended.output
    assert "MiniMax-Hailuo-2.3" in ended.stdout
    assert "the configuration is sound" in ended.stdout
    assert not any(secret in ended.output for secret in env.values())
    assert list(tmp_path.iterdir()) == []  # it only looks


def test_an_output_that_knows_no_dash_gets_a_question_mark(tmp_path: Path) -> None:
    config = write_config(tmp_path, 0)
    ended = run("check", "-c", str(config), cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert " ? " in ended.stdout


def test_a_broken_file_is_a_line_for_every_mistake(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(BROKEN, "utf-8")
    checked, served = ask("check", cwd=tmp_path), run("serve", cwd=tmp_path)
    assert (checked.exit_code, served.returncode) == (2, 2)
    assert checked.stderr == served.stderr
    lines = served.stderr.splitlines()
    assert all(line.startswith("config.yaml") for line in lines)
    for place in MISTAKES:
        assert any(place in line for line in lines), place
    assert len(lines) == len(MISTAKES)


def test_without_any_configuration_it_says_what_to_do(tmp_path: Path) -> None:
    checked, served = ask("check", cwd=tmp_path), run("serve", cwd=tmp_path)
    assert (checked.exit_code, served.returncode) == (2, 2)
    assert checked.stderr == served.stderr
    (line,) = served.stderr.splitlines()
    for way_out in ("EVOLINK_API_KEY", "config.example.yaml", "config.yaml"):
        assert way_out in line


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for arguments, env in ((("-c", "nowhere.yaml"), {}), ((), {"REELGATE_CONFIG": "nowhere.yaml"})):
        ended = ask("check", *arguments, cwd=tmp_path, env=env)
        assert ended.exit_code == 2
        (line,) = ended.stderr.splitlines()
        assert "nowhere.yaml" in line


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with taken_port() as port:
        ended = run("serve", "-c", str(write_config(tmp_path, port)), cwd=tmp_path)
        assert ended.returncode == 1
        (line,) = [line for line in ended.stderr.splitlines() if "virtual_keys" not in line]
        assert str(port) in line


@pytest.mark.parametrize("command", [("demo", "--once"), ("sandbox",)])
def test_a_port_that_is_taken_is_one_line_for_the_others_too(command: tuple[str, ...], tmp_path: Path) -> None:
    with taken_port() as port:
        ended = run(*command, "--port", str(port), cwd=tmp_path)
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert line.startswith("reelgate: cannot listen on ")
        assert str(port) in line


def test_storage_that_is_not_ours_is_one_line_and_left_as_it_is(tmp_path: Path) -> None:
    stranger = tmp_path / "reelgate.db"
    stranger.write_bytes(b"this is somebody's diary, and no database at all\n" * 100)
    before = stranger.read_bytes()
    ended = run("serve", "-c", str(write_config(tmp_path, 0)), cwd=tmp_path)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "storage" in line
    assert stranger.read_bytes() == before


def test_an_archive_that_cannot_be_is_one_line_for_check_and_for_serve(tmp_path: Path) -> None:
    path = write_config(tmp_path, 0)
    sound = path.read_text("utf-8")
    (tmp_path / "films").write_text("a file", "utf-8")
    path.write_text(f"{sound}results: {{archive: {tmp_path}/films}}\n", "utf-8")
    for command in ("check", "serve"):
        ended = ask(command, "-c", str(path), cwd=tmp_path)
        assert ended.exit_code == 2
        (line,) = ended.stderr.splitlines()
        assert "results.archive: is not a directory" in line
    path.write_text(f"{sound}results: {{archive: /proc/films}}\n", "utf-8")  # where nobody may make a directory
    served = run("serve", "-c", str(path), cwd=tmp_path)
    assert served.returncode == 1
    *_, line = served.stderr.splitlines()
    assert line.startswith("reelgate: results.archive: /proc/films: ")
    assert "Traceback" not in served.stderr


def test_healthcheck_ends_by_what_the_gateway_answers(tmp_path: Path) -> None:
    with answering(200) as well:
        assert ask("healthcheck", "--url", well, cwd=tmp_path).exit_code == 0
        assert ask("healthcheck", cwd=tmp_path, env={"REELGATE_BASE_URL": f"{well}/"}).exit_code == 0
    with answering(503) as ill:
        ended = ask("healthcheck", "--url", ill, cwd=tmp_path)
        assert (ended.exit_code, len(ended.stderr.splitlines())) == (1, 1)
    ended = ask("healthcheck", "--url", well, cwd=tmp_path)
    assert (ended.exit_code, len(ended.stderr.splitlines())) == (1, 1)


@pytest.mark.parametrize("command", [("healthcheck", "--url"), ("fetch", "video_1", "--base-url")])
def test_what_is_no_address_of_a_gateway_is_asked_nothing(command: tuple[str, ...], tmp_path: Path) -> None:
    *arguments, option = command
    with answering(200) as well:
        port = int(well.rpartition(":")[2])
        # A socket takes a port modulo 65536; a path put behind `?` or `#` never gets anywhere.
        other = f"http://127.0.0.1:{port + 65536}"
        for wrong in ("notaurl", "not an address", other, f"{well}?a=1", f"{well}#a", "http://a b", "ftp://a"):
            for said, env in ((option, {}), ("REELGATE_BASE_URL", {"REELGATE_BASE_URL": wrong})):
                given = () if env else (option, wrong)
                ended = ask(*arguments, *given, cwd=tmp_path, env=env)
                (line,) = ended.stderr.splitlines()
                assert (ended.exit_code, ended.stdout) == (2, "")
                assert line.startswith(f"reelgate: {said if arguments == ['healthcheck'] else option}: ")
        assert ask("healthcheck", "--url", f" {well}/v1/ ", cwd=tmp_path).exit_code == 0


def test_the_demo_makes_a_film_in_every_dialect(tmp_path: Path) -> None:
    ended = run("demo", "--once", "--port", "0", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    films = sorted((tmp_path / "reelgate-demo").iterdir())
    assert [film.name for film in films] == ["evolink.mp4", "minimax.mp4", "newapi.mp4", "openai.mp4", "toapis.mp4"]
    for film in films:
        assert film.read_bytes()[4:8] == b"ftyp"
    for promised in (
        "base URL",
        "virtual key  sk-rg-",
        "/dashboard\n",
        "admin key    sk-rg-",
        "curl http://127.0.0.1:",
    ):
        assert promised in ended.stdout
    assert "Traceback" not in ended.stderr


def test_the_demo_says_why_a_folder_does_not_suit_before_it_makes_a_film(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "reelgate-demo").write_text("a diary", "utf-8")
    (tmp_path / "folder" / "reelgate-demo" / "toapis.mp4").mkdir(parents=True)
    for folder, why in (
        (tmp_path / "file", "it is there and no folder"),
        (tmp_path / "folder", "toapis.mp4 is a folder there"),
        (Path("/proc"), "No such file or directory"),  # where nobody may make a folder
    ):
        ended = run("demo", "--once", "--port", "0", cwd=folder)
        assert (ended.returncode, ended.stdout) == (1, "")
        (line,) = ended.stderr.splitlines()
        assert line.startswith(f"reelgate: the films cannot be kept in {folder / 'reelgate-demo'}: {why}; run ")


def test_the_lines_that_the_demo_prints_work_as_they_stand(tmp_path: Path) -> None:
    printed = ""
    with subprocess.Popen(
        [str(REELGATE), "demo", "--port", "0"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                printed += line
                if "serving until" in line:
                    break
            ordered, polled, film = (curl(line) for line in re.findall("^curl .*$", printed, re.MULTILINE))
            assert ordered.json()["status"] == "pending", printed
            assert polled.json()["status"] == "completed", printed
            assert film.content[4:8] == b"ftyp", printed
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()
            watchdog.cancel()
    assert process.returncode == 0


def curl(line: str) -> httpx.Response:
    """What a printed command asks for, where there may be no curl; it follows no redirection."""
    words = iter(shlex.split(line)[1:])
    address, headers, body = "", {}, None
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words)
        elif word == "-o":
            next(words)
        else:
            address = word
    method = "GET" if body is None else "POST"
    return httpx.request(method, address, headers=headers, content=body, trust_env=False, timeout=30)
