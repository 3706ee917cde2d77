"""A real S3 server (rclone's) over a directory, started and stopped by a test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

BUCKET = "heads-bucket"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "headloom",
    "AWS_SECRET_ACCESS_KEY": "headloom-secret",
    # rclone, as other stores that are not Amazon's, does not take checksums behind the body
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class S3Server:
    """A running server; it keeps its objects below `directory`."""

    directory: Path
    port: int
    log: IO[bytes]
    process: subprocess.Popen[bytes] | None = None

    @property
    def query(self) -> str:
        """How a URL names the server."""
        return f"?endpoint_override=127.0.0.1:{self.port}&scheme=http&region=us-east-1"

    def url(self, key: str) -> str:
        return f"s3://{BUCKET}/{key}{self.query}"

    def start(self) -> None:
        command = [_rclone(), "serve", "s3", "--addr", f"127.0.0.1:{self.port}"]
        key = f"{CREDENTIALS['AWS_ACCESS_KEY_ID']},{CREDENTIALS['AWS_SECRET_ACCESS_KEY']}"
        command += ["--auth-key", key, "--vfs-cache-mode", "off"]
        command += ["--config", str(self.directory / "none.conf"), str(self.directory)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.process.poll() is None, "the S3 server ended"
            time.sleep(0.05)
        raise TimeoutError("the S3 server does not answer")

    def restart(self) -> None:
        """It forgets what it had in memory. Of an object that became shorter rclone may go on to
        look for the old end, and after the object that Arrow makes for a directory, when it has
        deleted from it, rclone finds nothing there any more."""
        self.stop()
        self.start()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def serve(directory: Path) -> Iterator[S3Server]:
    """A server with an empty bucket; its credentials are in the environment meanwhile."""
    (directory / BUCKET).mkdir(parents=True)
    before = {name: os.environ.get(name) for name in CREDENTIALS}
    os.environ.update(CREDENTIALS)
    with (directory / "server.log").open("wb") as log:
        server = S3Server(directory, _free_port(), log)
        try:
            server.start()
            yield server
        finally:
            if server.process is not None:
                server.stop()
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _rclone() -> str:
    beside = Path(sys.executable).with_name("rclone")
    found = str(beside) if beside.exists() else shutil.which("rclone")
    assert found, "no rclone; pip install -e .[test]"
    return found
