"""Two hosts with a network between them that fails: each a network namespace with its own Ray."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest

from synth.dataset import Dataset
from synth.dataset_report import verify

_spec = importlib.util.spec_from_file_location(
    "headloom_two_hosts", Path(__file__).with_name("two_hosts.py")
)  # tests are not a package
two_hosts = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(two_hosts)
reason = two_hosts.why_not()
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.skipif(bool(reason), reason=reason)]
STUB = Path(__file__).parents[1] / "synth" / "stub_worker.py"
HEADS = 40
DRIVER = """
import json, sys
from pathlib import Path
from ray_jobs.pools import ClusterConfig, WorkerPool
from ray_jobs.render import render_dataset
from synth.sample import DatasetConfig, ViewsConfig
out, address, heads, command = sys.argv[1:]
config = DatasetConfig(
    heads=int(heads), size=8, samples=1, heads_per_shard=1, views=ViewsConfig(random=0)
)
cluster = ClusterConfig(address, (WorkerPool(memory_gb=0.01),))
print(render_dataset(config, out, cluster=cluster, command=json.loads(command)))
"""


def wait_for(condition, hosts: two_hosts.TwoHosts, what: str, timeout_s: float = 60.0):
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        logs = {name: hosts.log(name) for name in ("driver.log", "ray-a.log", "ray-b.log")}
        assert time.monotonic() < deadline, f"no {what} after {timeout_s} s: {logs}"
        time.sleep(0.1)
    return value


def shards_of(root: Path) -> Counter:
    """How many heads each host rendered, by host name and start of the node's id."""
    heads = Dataset.open(root).heads()
    return Counter((h.meta["node"].split()[0], h.meta["node"][-9:-1]) for h in heads)


def processes_with(token: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if token.encode() in (entry / "cmdline").read_bytes():
                found.append(entry.name)
    return found


def test_a_cable_is_pulled_in_the_middle_and_put_back():
    with two_hosts.TwoHosts() as hosts:
        root, token = hosts.scratch / "heads", uuid.uuid4().hex
        quick = {"health_check_period_ms": 500, "health_check_failure_threshold": 3,
                 "health_check_timeout_ms": 1000}  # fmt: skip
        hosts.start_ray("a", **quick)
        wait_for(lambda: "Ray runtime started" in hosts.log("ray-a.log"), hosts, "head")
        lost = hosts.start_ray("b")
        wait_for(lambda: "Ray runtime started" in hosts.log("ray-b.log"), hosts, "second host")

        command = json.dumps([sys.executable, str(STUB), json.dumps(
            {"sleep_s": 0.5, "token": token})])  # fmt: skip
        arguments = [str(root), hosts.address, str(HEADS), command]
        driver = hosts.start("a", [sys.executable, "-c", DRIVER, *arguments], "driver.log")
        wait_for(lambda: len(list(root.glob("shards/*.tar"))) >= 4, hosts, "first shards")
        wait_for(
            lambda: "host-b" in {host for host, _ in shards_of(root)}, hosts, "shard of host b"
        )
        assert driver.poll() is None

        hosts.cut()
        wait_for(lambda: "marked dead" in hosts.log("driver.log"), hosts, "death of host b")
        hosts.mend()
        wait_for(lambda: lost.poll() is not None, hosts, "end of the Ray that was given up")
        hosts.start_ray("b")  # as systemd or SLURM would

        wait_for(lambda: driver.poll() is not None, hosts, "end of the driver", 120.0)
        assert driver.returncode == 0, hosts.log("driver.log")
        assert f"{HEADS} of {HEADS} heads" in hosts.log("driver.log")
        assert verify(Dataset.open(root)).ok
        assert [head.index for head in Dataset.open(root).heads()] == list(range(HEADS))
        assert len(list((root / "shards").iterdir())) == HEADS
        hosts_of = Counter(host for host, _ in shards_of(root))
        assert hosts_of == {"host-a": 1, "host-b": 2}, shards_of(root)  # b came back as another
        wait_for(lambda: not processes_with(token), hosts, "end of the workers", 10.0)
