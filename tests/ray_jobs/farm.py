"""A render farm to break: a dataset, the drivers that render it, and all that they start.

Shared by the tests of faults and the chaos bench. Every worker process, stub or real Blender, is
known by its job directory, which lies below `Farm.temporary` and stands in its command line.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from synth.config import save_yaml
from synth.dataset import Dataset
from synth.dataset_report import verify
from synth.sample import DatasetConfig

STUB = Path(__file__).parents[1] / "synth" / "stub_worker.py"
JOB_NAMES = ".headloom-render.*"
_PR_SET_CHILD_SUBREAPER = 36
MEMORY_BYTES = 10_000_000
"""What a stub worker reserves in Ray."""

# `headloom render` with a stand-in for Blender, which no flag of the command can ask for.
_DRIVER = """
import functools, json, sys
from ray_jobs import cli, render
options = json.loads(sys.argv[1])
options["command"] = tuple(options["command"])
render.render_dataset = functools.partial(render.render_dataset, **options)
sys.exit(cli.main(sys.argv[2:]))
"""


def stub(**behaviour) -> tuple[str, ...]:
    """Command of a worker without Blender; `stub_worker.py` says what it can do."""
    return (sys.executable, str(STUB), json.dumps(behaviour))


class Farm:
    """One dataset below a directory, and everything that runs for it.

    Args:
        directory: an empty one; the job directories of all workers lie in `directory/tmp`.
        config: of the dataset.
    """

    def __init__(self, directory: Path, config: DatasetConfig):
        self.out = directory / "heads"
        self.temporary = directory / "tmp"
        self.temporary.mkdir(parents=True)
        self.config_file = directory / "config.yaml"
        self.log = directory / "drivers.log"
        save_yaml(config, self.config_file)
        self._drivers: list[subprocess.Popen] = []

    @property
    def environment(self) -> dict[str, str]:
        """Of every process of the farm; Ray's sockets need a short path."""
        return {**os.environ, "TMPDIR": str(self.temporary), "RAY_TMPDIR": "/tmp"}

    def start(self, *flags: str, command: Sequence[str] | None = None) -> subprocess.Popen:
        """Start `headloom render`.

        Args:
            flags: further flags of the command.
            command: starts a worker; None for Blender.
        """
        arguments = ["render", "--config", str(self.config_file), "--out", str(self.out), *flags]
        program = [sys.executable, "-m", "ray_jobs.cli"]
        if command is not None:
            options = {"command": list(command), "memory_bytes": MEMORY_BYTES}
            program = [sys.executable, "-c", _DRIVER, json.dumps(options)]
        # a shell has what it starts with `&` ignore SIGINT, and that is inherited
        heed = ["env", "--default-signal=INT"]
        with self.log.open("ab") as log:
            driver = subprocess.Popen(
                [*heed, *program, *arguments], stdout=log, stderr=log, env=self.environment
            )
        self._drivers.append(driver)
        return driver

    def finish(self, driver: subprocess.Popen, timeout_s: float = 120.0) -> None:
        """Wait for a driver, which must succeed."""
        assert driver.wait(timeout_s) == 0, self.log.read_text()

    def dataset_command(self, verb: str) -> subprocess.CompletedProcess:
        """`headloom dataset VERB` on the dataset, to its end."""
        command = [sys.executable, "-m", "ray_jobs.cli", "dataset", verb, str(self.out)]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True)

    def workers(self) -> list[int]:
        """Pids of the living worker processes, stub or Blender."""
        return processes_with(f"{self.temporary}/.headloom-render")

    def status(self) -> dict:
        """What `status.json` says."""
        return json.loads((self.out / "status.json").read_text())

    def shards(self) -> dict[str, int]:
        """Time of modification (ns) by name of the shards that are in place."""
        return {p.name: p.stat().st_mtime_ns for p in (self.out / "shards").glob("shard-*.tar")}

    def check(self, peace: dict[int, Pixels]) -> None:
        """The dataset is the one rendered in peace, and nothing else is left.

        Args:
            peace: `pixels` of that one.
        """
        report = verify(Dataset.open(self.out))
        assert report.ok, str(report)
        assert pixels(self.out) == peace
        wait_for(lambda: not self.workers(), timeout_s=20.0)
        assert self.unfinished() == []

    def unfinished(self) -> list[Path]:
        """Temporary files of the dataset and job directories: none when nothing runs."""
        return [*self.out.glob(".*.tmp"), *self.out.glob("*/.*"), *self.temporary.glob(JOB_NAMES)]

    def stop(self) -> None:
        """End whatever still runs."""
        for driver in self._drivers:
            driver.kill()
            driver.wait()
        for pid in self.workers():
            kill(pid)


Pixels = tuple[str, tuple[str, ...]]
"""Spec id of a head and the SHA-256 of the pixels of each view."""


def pixels(out: Path) -> dict[int, Pixels]:
    """What is in a dataset, by the index of the head; a head that is there twice is an error."""
    found: dict[int, Pixels] = {}
    for head in Dataset.open(out).heads():
        assert head.index not in found, f"head {head.index} is there twice"
        found[head.index] = (head.spec_id, tuple(head.meta["pixel_sha256"]))
    return found


# --------------------------------------------------------------------------------------- processes


def kill(pid: int) -> bool:
    """Kill -9; False if the process had ended."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def processes_with(token: str) -> list[int]:
    """Pids of living processes with an argument that begins with the token."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            if any(word.startswith(token.encode()) for word in arguments):
                found.append(int(entry.name))
    return [pid for pid in found if alive(pid)]


@contextlib.contextmanager
def adopted_orphans() -> Iterator[None]:
    """While the block runs, orphans among our descendants become our children, and are seen."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def reap(but: Collection[int] = ()) -> None:
    """Take leave of our children that ended, as init does; Ray takes a zombie for alive.

    Args:
        but: not these, whose exit code someone will ask for.
    """
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        with contextlib.suppress(OSError, ChildProcessError):
            if pid not in but and not alive(pid) and parent_of(pid) == os.getpid():
                os.waitpid(pid, os.WNOHANG)


def descendants(but: Collection[int] = ()) -> list[int]:
    """Pids of the living processes that this one started, or adopted, at any depth.

    Args:
        but: not these, and not what they started.
    """
    return [pid for pid in _tree(but) if alive(pid)]


def _tree(but: Collection[int] = ()) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            children.setdefault(parent_of(int(entry.name)), []).append(int(entry.name))
    found, parents = [], [os.getpid()]
    while parents:
        parents = [
            child for parent in parents for child in children.get(parent, []) if child not in but
        ]
        found += parents
    return found


def none_left(but: Collection[int]) -> bool:
    """Whether every descendant but these, and what they started, has ended."""
    reap(but)
    return not descendants(but)


def wait_for(condition: Callable, timeout_s: float = 60.0):
    """The first true value of the condition.

    Raises:
        TimeoutError: there was none in time.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise TimeoutError(f"nothing after {timeout_s} s")


@contextlib.contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """Run something in a thread beside the block; its error is raised at the end of the block."""
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act)
        yield
        acting.result(timeout=60)


def zombies() -> list[int]:
    """Pids of our descendants that ended and that nobody has asked about yet."""
    return [pid for pid in _tree() if not alive(pid)]


def command_of(pid: int) -> str:
    """Name and arguments of a process, or nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def memory_bytes(pid: int) -> int:
    """Memory that only this process uses (what it shares is not its own), or 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


def entries(pid: int, kind: Literal["fd", "task"]) -> int:
    """Open files ("fd") or threads ("task") of a process, or 0 if it has ended."""
    try:
        return len(list(Path(f"/proc/{pid}/{kind}").iterdir()))
    except OSError:
        return 0


def directory_bytes(directory: Path) -> int:
    """Size of all files below a directory that others may be changing."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(folder, name).lstat().st_size
    return total


# ------------------------------------------------------------------------------------------- disks


@contextlib.contextmanager
def small_disk(path: Path, size_bytes: int) -> Iterator[None]:
    """Mount a tmpfs of this size at a directory for the length of the block; for root only."""
    path.mkdir(exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={size_bytes}", "headloom-test", str(path)]
    subprocess.run(["mount", *options], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@contextlib.contextmanager
def filled(directory: Path, leave_bytes: int = 0) -> Iterator[None]:
    """Fill the disk of a directory but for some bytes while the block runs."""
    ballast = directory / "ballast"
    with ballast.open("wb") as file:
        free = os.statvfs(directory)
        file.truncate(0)
        os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - leave_bytes))
    try:
        yield
    finally:
        ballast.unlink()
