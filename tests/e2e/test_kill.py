"""Kill -9 whatever runs: a re-run finishes, nothing is lost, doubled, halved or orphaned."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from synth.dataset import Dataset
from synth.dataset_report import verify

STUB = Path(__file__).parents[1] / "synth" / "stub_worker.py"
DRIVER = """
import json, sys
from ray_jobs.render import render_dataset
from synth.sample import DatasetConfig, ViewsConfig
config = DatasetConfig(
    heads=8, size=16, samples=1, heads_per_shard=1, views=ViewsConfig(random=0))
command = (sys.executable, sys.argv[2], sys.argv[3])
summary = render_dataset(
    config, sys.argv[1], workers=2, command=command, memory_bytes=10_000_000)
print(json.dumps({"rendered": summary.rendered, "failed": len(summary.failed)}))
"""
HEADS = 8

pytestmark = [pytest.mark.ray, pytest.mark.slow]


class Farm:
    """A dataset, drivers that render it, and the processes that they start."""

    def __init__(self, directory: Path):
        self.out = directory / "heads"
        self.token = uuid.uuid4().hex
        (directory / "tmp").mkdir()
        self.temporary = directory / "tmp"
        self._drivers: list[subprocess.Popen] = []

    def start(self, sleep_s: float, **more) -> subprocess.Popen:
        behaviour = json.dumps({"sleep_s": sleep_s, "token": self.token, **more})
        driver = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(self.out), str(STUB), behaviour],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(self.temporary), "RAY_TMPDIR": "/tmp"},
        )
        self._drivers.append(driver)
        return driver

    def finish(self, driver: subprocess.Popen) -> dict:
        out, err = driver.communicate(timeout=120)
        assert driver.returncode == 0, err
        return json.loads(out)

    def blenders(self) -> list[int]:
        """The render processes alive now; a Ray worker or a driver is not one of them."""
        return [
            int(entry.name)
            for entry in Path("/proc").glob("[0-9]*")
            if self._is_blender(entry) and alive(int(entry.name))
        ]

    def _is_blender(self, entry: Path) -> bool:
        with contextlib.suppress(OSError):
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            return arguments[1:2] == [str(STUB).encode()] and self.token.encode() in arguments[2]
        return False

    def shards(self) -> dict[str, int]:
        return {p.name: p.stat().st_mtime_ns for p in (self.out / "shards").glob("shard-*.tar")}

    def check(self) -> None:
        """Everything is there once and whole, and nothing else is left."""
        report = verify(Dataset.open(self.out))
        assert report.ok, str(report)
        assert (report.heads, report.notes) == (HEADS, ())
        assert self.blenders() == []
        assert not list(self.temporary.glob(".headloom-render*"))

    def stop(self) -> None:
        for driver in self._drivers:
            driver.kill()
            driver.communicate()
        for pid in self.blenders():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def farm(tmp_path):
    farm = Farm(tmp_path)
    yield farm
    farm.stop()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_for(condition: Callable, timeout_s: float = 60.0):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise TimeoutError(f"nothing after {timeout_s} s")


def test_killed_blender_and_killed_ray_worker(farm):
    """Both are retried by the running driver, which notices no more than a delay."""
    # The first two hang for ten minutes: only a kill can end them.
    driver = farm.start(sleep_s=0.2, hang=[0, 1], once=str(farm.temporary.parent))
    wait_for(lambda: len(list(farm.temporary.parent.glob("hang-*"))) == 2)
    blender, second = farm.blenders()
    os.kill(blender, signal.SIGKILL)

    ray_worker = parent_of(second)
    assert b"ray::" in Path(f"/proc/{ray_worker}/cmdline").read_bytes()
    os.kill(ray_worker, signal.SIGKILL)
    wait_for(lambda: not alive(second), timeout_s=30.0)  # by its death signal

    assert farm.finish(driver) == {"rendered": HEADS, "failed": 0}
    farm.check()


def test_killed_driver(farm):
    """The next run renders what is missing, and nothing that is there."""
    driver = farm.start(sleep_s=1.5)
    wait_for(lambda: len(farm.shards()) >= 2 and farm.blenders())
    driver.kill()
    driver.communicate()
    wait_for(lambda: not farm.blenders(), timeout_s=30.0)
    time.sleep(2.0)  # a Ray that lived on would start the next task
    assert farm.blenders() == []
    before = farm.shards()
    assert 2 <= len(before) < HEADS

    result = farm.finish(farm.start(sleep_s=0.0))
    assert result == {"rendered": HEADS - len(before), "failed": 0}
    after = farm.shards()
    assert {name: after[name] for name in before} == before
    farm.check()
