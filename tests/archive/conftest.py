"""Archives to keep films in: a directory, and a bucket of a real S3 server."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.archive import Archive

KEY, SECRET = "films-key", "films-secret"
STARTS_WITHIN_S = 60.0


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of an S3 server, and the folder in which it keeps its buckets."""
    rclone = Path(sys.executable).with_name("rclone")
    program = str(rclone) if rclone.exists() else shutil.which("rclone")
    assert program, "rclone comes with the development requirements"
    folder = tmp_path_factory.mktemp("s3")
    (folder / "films").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [program, "serve", "s3", "--addr", address, "--auth-key", f"{KEY},{SECRET}", "--config", "", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(address)
            yield f"http://{address}", folder
        finally:
            server.terminate()
            server.wait(30)


def _wait_for(address: str) -> None:
    host, port = address.split(":")
    until = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < until:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the S3 server did not start")


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """What `results.archive` says, and the folder where its films can be seen from outside."""
    if request.param == "directory":
        return str(tmp_path / "films"), tmp_path / "films"
    address, folder = request.getfixturevalue("s3")
    for name, value in (
        ("AWS_ENDPOINT", address),
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ALLOW_HTTP", "true"),
    ):
        monkeypatch.setenv(name, value)
    prefix = tmp_path.name
    return f"s3://films/{prefix}", folder / "films" / prefix


@pytest.fixture
def archive(place: tuple[str, Path]) -> Archive:
    return Archive.open(place[0])
