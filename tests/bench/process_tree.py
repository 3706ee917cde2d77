"""What a command costs with everything it starts: CPU seconds by kind of process, memory in all.

Linux only: it reads /proc twice a second, which costs half a percent of a core. The CPU seconds of
a process are those of its last sample, so each may lack half a second; a process that must be exact
(Blender) reports its own, see `cycles_clock`.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

INTERVAL_S = 0.5
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")

_RAY_KINDS = {
    "synth.blender_scenes.worker": "blender",
    "timed_worker.py": "blender",
    "raylet/raylet": "raylet",
    "gcs_server": "gcs",
    "dashboard/dashboard.py": "dashboard",
    "dashboard/agent.py": "dashboard agent",
    "runtime_env_agent": "runtime env agent",
    "log_monitor.py": "log monitor",
    "autoscaler/_private/monitor.py": "autoscaler",
    "default_worker.py": "ray worker",
    "ray::": "ray worker",
}


def farm_kind(command_line: str) -> str:
    """What a process of a render on Ray is; "driver" where nothing else is known."""
    return next((kind for part, kind in _RAY_KINDS.items() if part in command_line), "driver")


@dataclass(frozen=True)
class TreeUse:
    """What a command and everything below it used.

    Attributes:
        wall_s: from its start to its end.
        cpu_s: CPU seconds by kind of process.
        peak_bytes: largest memory of all together at one time; pages that several share count once.
        output: stdout.
    """

    wall_s: float
    cpu_s: dict[str, float]
    peak_bytes: int
    output: str


def run_measured(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    kind_of: Callable[[str], str] = farm_kind,
) -> TreeUse:
    """Run a command to its end.

    Args:
        command: what to run; its stderr goes where ours goes unless it fails.
        environment: of the command; None for ours.
        kind_of: command line of a process -> the name under which its CPU seconds are counted.

    Raises:
        SystemExit: it failed; shows the end of its output.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=None if environment is None else dict(environment),
    )
    sampler = _Sampler(process.pid, kind_of)
    sampler.start()
    try:
        output, errors = process.communicate()
    finally:
        if process.poll() is None:
            process.kill()
        sampler.stop()
    wall_s = time.perf_counter() - started
    if process.returncode != 0:
        shown = "\n".join((output + errors).splitlines()[-40:])
        named = " ".join(str(part)[:80] for part in command)
        raise SystemExit(f"{named} ended with {process.returncode}:\n{shown}")
    return TreeUse(wall_s, sampler.cpu_s(), sampler.peak_bytes, output)


class _Sampler(threading.Thread):
    """Follows a process and its descendants, also those whose parent has ended meanwhile."""

    def __init__(self, root: int, kind_of: Callable[[str], str]):
        super().__init__(daemon=True)
        self.peak_bytes = 0
        self._root = root
        self._kind_of = kind_of
        self._kinds: dict[tuple[int, int], str] = {}
        self._seconds: dict[tuple[int, int], float] = {}
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(INTERVAL_S):
            self._sample()

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds by kind."""
        total: dict[str, float] = defaultdict(float)
        for key, seconds in self._seconds.items():
            total[self._kinds[key]] += seconds
        return dict(total)

    def _sample(self) -> None:
        stats = {pid: stat for pid in _pids() if (stat := _stat(pid)) is not None}
        memory = 0
        for pid, (_, start, seconds) in stats.items():
            key = (pid, start)
            if key not in self._kinds and not self._descends(pid, stats):
                continue
            # A Ray worker is named after its task only while that runs.
            if self._kinds.get(key, "driver") == "driver":
                self._kinds[key] = self._kind_of(_command_line(pid))
            self._seconds[key] = seconds
            memory += _proportional_bytes(pid)
        self.peak_bytes = max(self.peak_bytes, memory)

    def _descends(self, pid: int, stats: Mapping[int, tuple[int, int, float]]) -> bool:
        while pid in stats:
            if pid == self._root or (pid, stats[pid][1]) in self._kinds:
                return True
            pid = stats[pid][0]
        return False


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _stat(pid: int) -> tuple[int, int, float] | None:
    """(parent, start in ticks since boot, CPU seconds), or None of a process that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[19]), (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def _proportional_bytes(pid: int) -> int:
    """Resident memory, of shared pages the share of this process; 0 of a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
