"""Two hosts on one machine: network namespaces with an address, a loopback and a cable each.

Used by `test_two_hosts.py` and `tests/bench/bench_two_hosts.py`. Needs root and `ip` (iproute2).
Everything that is started is in one of the namespaces, and `TwoHosts` ends what is in them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PORT = 6379
"""Free in a namespace of its own."""


def why_not() -> str:
    """Why this machine cannot make namespaces; "" if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "no `ip` (iproute2) on this machine"
    name = f"hlprobe{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode != 0:
        return f"`ip netns add` is refused: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return ""


class TwoHosts:
    """Hosts "a" and "b", joined by a cable that can be cut; a context manager.

    Attributes:
        scratch: a folder that both see, as an NFS share would be.
        address: where the Ray head on host "a" answers.
    """

    def __init__(self) -> None:
        self._names = {host: f"hl{os.getpid()}{host}" for host in "ab"}
        self._ips = {"a": "10.231.7.1", "b": "10.231.7.2"}
        self._secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex}
        self._started: list[subprocess.Popen] = []
        self.scratch = Path(tempfile.mkdtemp(prefix="hl2-", dir="/tmp"))  # sockets want short names
        self.address = f"{self._ips['a']}:{PORT}"

    def __enter__(self) -> TwoHosts:
        _remove_leftovers()
        try:
            for name in self._names.values():
                _ip("netns", "add", name)
            ends = [
                part
                for host, name in self._names.items()
                for part in ("name", f"cable{host}", "netns", name)
            ]
            _ip("link", "add", *ends[:4], "type", "veth", "peer", *ends[4:])
            for host, name in self._names.items():
                cable = f"cable{host}"
                _ip("-n", name, "address", "add", f"{self._ips[host]}/24", "dev", cable)
                _ip("-n", name, "link", "set", "lo", "up")
                _ip("-n", name, "link", "set", cable, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.terminate()
        for name in self._names.values():
            _remove(name)
        for process in self._started:
            process.wait(10)
        shutil.rmtree(self.scratch, ignore_errors=True)

    def start(self, host: str, command: Sequence[str], log: str) -> subprocess.Popen:
        """Start a program on a host; its output goes to a file in `scratch`."""
        with (self.scratch / log).open("ab") as file:
            process = subprocess.Popen(
                # a host name of its own, as every machine has
                ["ip", "netns", "exec", self._names[host], "unshare", "--uts", "sh", "-c",
                 f'hostname host-{host}; exec "$0" "$@"', *command],
                stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self._secret},
            )  # fmt: skip
        self._started.append(process)
        return process

    def start_ray(self, host: str, cpus: int = 1, **system_config: int) -> subprocess.Popen:
        """Start Ray on a host, the head on "a", in the foreground of a process of its own."""
        where = (
            ["--head", f"--port={PORT}", "--include-dashboard=false"]
            if host == "a"
            else [f"--address={self.address}"]
        )
        if system_config:
            text = ",".join(f'"{key}": {value}' for key, value in system_config.items())
            where.append(f"--system-config={{{text}}}")
        command = [
            sys.executable, "-m", "ray.scripts.scripts", "start", *where, "--block",
            f"--node-ip-address={self._ips[host]}", f"--num-cpus={cpus}",
            f"--object-store-memory={80 * 2**20}", "--disable-usage-stats",
        ]  # fmt: skip
        if host == "a":
            command.append(f"--temp-dir={self.scratch / 'ray'}")
        return self.start(host, command, f"ray-{host}.log")

    def cut(self) -> None:
        """Pull the cable out of host "b"."""
        _ip("-n", self._names["b"], "link", "set", "cableb", "down")

    def mend(self) -> None:
        """Put it back."""
        _ip("-n", self._names["b"], "link", "set", "cableb", "up")

    def pids(self, host: str) -> list[int]:
        """Processes that live on a host."""
        out = subprocess.run(
            ["ip", "netns", "pids", self._names[host]], capture_output=True, text=True, check=True
        )
        return [int(pid) for pid in out.stdout.split()]

    def log(self, name: str) -> str:
        """The end of an output."""
        path = self.scratch / name
        return path.read_text(errors="replace")[-3000:] if path.exists() else "(no output)"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def _remove(name: str) -> None:
    """End what lives in a namespace of ours, and the namespace."""
    for _ in range(50):  # what dies late may still start something
        listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
        pids = listed.stdout.split()
        if not pids:
            break
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.1)
    subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def _remove_leftovers() -> None:
    """Namespaces of earlier runs that were killed before they could tidy up."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    for name, pid in re.findall(r"^(hl(\d+)[ab])\b", listed, re.MULTILINE):
        if not Path("/proc", pid).exists():
            _remove(name)
