"""Two hosts, one dataset, real heads: `headloom render --address` over a cable that is pulled.

    python tests/bench/bench_two_hosts.py --heads 8 --size 64

Host "a" holds the Ray head and the driver, host "b" one worker; both are network namespaces of this
machine (`tests/ray_jobs/two_hosts.py`: needs root and `ip`). After the first shard the cable of "b"
is out for `--cut-s` seconds, its Ray is started again if it gave up, and at the end the dataset is
verified and compared, picture by picture, with one that was rendered here in peace.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import signal
import sys
import time
from collections import Counter
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location(
    "headloom_two_hosts", ROOT / "tests" / "ray_jobs" / "two_hosts.py"
)
two_hosts = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(two_hosts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--cut-s", type=float, default=60.0, help="how long the cable is out")
    arguments = parser.parse_args()
    if reason := two_hosts.why_not():
        sys.exit(reason)

    from synth.dataset import Dataset
    from synth.dataset_report import verify

    flags = ["--heads", str(arguments.heads), "--size", str(arguments.size), "--set", "samples=4",
             "--set", "heads_per_shard=1", "--set", "views.random=2"]  # fmt: skip
    headloom = [sys.executable, "-m", "ray_jobs.cli", "render", *flags]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the namespaces go with it
    with two_hosts.TwoHosts() as hosts:
        root, peace = hosts.scratch / "heads", hosts.scratch / "peace"
        hosts.start_ray("a")
        until(lambda: "Ray runtime started" in hosts.log("ray-a.log"))
        ray_b = hosts.start_ray("b")
        until(lambda: "Ray runtime started" in hosts.log("ray-b.log"))
        started = time.monotonic()
        driver = hosts.start(
            "a", [*headloom, "--out", str(root), "--address", hosts.address], "driver.log"
        )
        until(lambda: list(root.glob("shards/shard-*.tar")) or driver.poll() is not None)
        hosts.cut()
        time.sleep(arguments.cut_s)
        hosts.mend()
        time.sleep(5.0)
        if gave_up := ray_b.poll() is not None:
            hosts.start_ray("b")
        code = driver.wait()
        wall_s = time.monotonic() - started
        print(hosts.log("driver.log"))
        hosts.start("a", [*headloom, "--out", str(peace)], "peace.log").wait()
        dataset, reference = Dataset.open(root), Dataset.open(peace)
        equal = [h.meta["pixel_sha256"] for h in dataset.heads()] == [
            h.meta["pixel_sha256"] for h in reference.heads()
        ]
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("ray", "bpy"))
        by_host = Counter(head.meta["node"].split()[0] for head in dataset.heads())
        print(f"{platform.processor() or platform.machine()}, {versions}")
        print(f"exit code {code}, {wall_s:.0f} s, cable out for {arguments.cut_s:g} s, Ray of b "
              f"{'gave up and was started again' if gave_up else 'stayed'}")  # fmt: skip
        print(
            f"heads by host: {dict(by_host)}; verify: {verify(dataset).ok}; pixels equal: {equal}"
        )
        sys.exit(0 if code == 0 and equal and verify(dataset).ok else 1)


def until(condition, timeout_s: float = 300.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing after {timeout_s:.0f} s")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
