"""Two workers against one: heads a minute through the real farm, and what the rest goes to.

    python tests/bench/bench_workers.py                                    # 12 min, quiet machine
    python tests/bench/bench_workers.py --heads 2 --views 2 --size 48 --rounds 1  # a smoke test

`render_dataset` renders the same heads of the default configuration with one worker of one thread,
two of them, and one of two threads, in turn. Two rates are told: that of the whole run, Ray's start
left out, and that of the time in which every worker had work ("busy"), which is what a long run
sees: at the end of a short one somebody is always idle. The ratio of CPU seconds a head says
whether two processes are in each other's way (memory, caches); what the control plane took from
them is in the columns of CPU seconds beside Blender.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from process_tree import run_measured

from synth.config import canonical_json
from synth.sample_config import DatasetConfig, ViewsConfig

GOAL = 1.85
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Setup:
    """How many Blender processes of how many threads."""

    workers: int
    threads: int

    def __str__(self) -> str:
        return f"{self.workers} x {self.threads} thread{'s' if self.threads > 1 else ''}"


ONE, TWO, WIDE = Setup(1, 1), Setup(2, 1), Setup(1, 2)


@dataclass(frozen=True)
class Run:
    """One run of the farm.

    Attributes:
        heads_per_min: of the whole run without Ray's start.
        busy_per_min: while every worker had a shard.
        blender_cpu_s: CPU seconds a head of Blender's processes.
        around_cpu_s: CPU seconds a head of everything else, by kind of process.
        idle: share of the time of the cores it had that nobody used.
        ray_s: starting and leaving Ray.
    """

    heads_per_min: float
    busy_per_min: float
    blender_cpu_s: float
    around_cpu_s: dict[str, float]
    idle: float
    ray_s: float


def main() -> None:
    arguments = _arguments()
    config = _config(arguments)
    runs: dict[Setup, list[Run]] = {}
    setups = [ONE, TWO] if arguments.no_wide else [ONE, TWO, WIDE]
    for number in range(arguments.rounds):
        for setup in setups:
            run = _measure(config, setup, arguments.folder)
            runs.setdefault(setup, []).append(run)
            print(f"round {number + 1}, {setup}: {run.heads_per_min:.2f} heads/min", flush=True)
        print(f"\nafter {number + 1} of {arguments.rounds} rounds:\n\n{table(runs)}\n", flush=True)
    versions = ", ".join(f"{n} {metadata.version(n)}" for n in ("headloom", "bpy", "ray"))
    print(
        f"{arguments.heads} heads of {arguments.views} views, {arguments.size} px, "
        f"{arguments.samples} samples, {arguments.heads_per_shard} a shard, {versions}, "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--heads-per-shard", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-wide", action="store_true", help="leave out one worker of 2 threads")
    parser.add_argument("--folder", type=Path, help="for temporary files")
    return parser.parse_args()


def _config(arguments: argparse.Namespace) -> DatasetConfig:
    views = arguments.views
    return DatasetConfig(
        heads=arguments.heads,
        size=arguments.size,
        samples=arguments.samples,
        heads_per_shard=arguments.heads_per_shard,
        views=ViewsConfig(random=views - 6) if views >= 6 else ViewsConfig(False, random=views),
    )


def _measure(config: DatasetConfig, setup: Setup, folder: Path | None) -> Run:
    with tempfile.TemporaryDirectory(prefix="workers-", dir=folder) as name:
        out, times = Path(name) / "heads", Path(name) / "times"
        command = [sys.executable, HERE / "farm_run.py", canonical_json(config), out, times]
        use = run_measured([*command, str(setup.workers), str(setup.threads)])
        told = json.loads(re.search(r"^RESULT (.*)$", use.output, re.MULTILINE)[1])
        files = [json.loads(path.read_text()) for path in times.glob("*.json")]
    if told["failed"]:
        raise SystemExit(f"{setup}: {told['failed']}")
    blender_s = sum(told["ended"]["cpu_s"] for told in files)
    around = {kind: s / config.heads for kind, s in use.cpu_s.items() if kind != "blender"}
    cores_s = told["render_s"] * setup.workers * setup.threads
    return Run(
        heads_per_min=60 * config.heads / told["render_s"],
        busy_per_min=_busy_rate(files, config, told["rendered_from"], setup.workers),
        blender_cpu_s=blender_s / config.heads,
        around_cpu_s=around,
        idle=1 - blender_s / cores_s,
        ray_s=told["connect_s"] + told["leave_s"],
    )


def _busy_rate(files: list[dict], config: DatasetConfig, began_s: float, workers: int) -> float:
    """Heads a minute until the first worker found nothing left to do.

    A shard that was in work at that time counts by the share of its time that had passed.
    """
    ends = sorted(told["ended"]["wall_s"] for told in files)
    until_s = ends[-workers]  # after this end no shard was left to begin
    heads = 0.0
    for told in files:
        start_s, end_s = told["process_started_s"], told["ended"]["wall_s"]
        share = min(1.0, max(0.0, until_s - start_s) / (end_s - start_s))
        heads += share * config.heads / len(files)
    return 60 * heads / (until_s - began_s)


# ------------------------------------------------------------------------------------ the table


def table(runs: dict[Setup, list[Run]]) -> str:
    """All runs so far: medians, ratios of the runs of one round, CPU seconds a head."""
    columns = ["heads/min", "of one worker", "busy", "of one worker", "Blender CPU s a head",
               "beside Blender", "idle", "Ray's start and end"]  # fmt: skip
    rows = ["| | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
    notes = []
    for setup, mine in runs.items():
        pairs = list(zip(mine, runs[ONE]))
        goal = f", goal {GOAL}" if setup == TWO else ""
        cells = [
            f"{_median(run.heads_per_min for run in mine):.2f}",
            _ratio([a.heads_per_min / b.heads_per_min for a, b in pairs]) + goal,
            f"{_median(run.busy_per_min for run in mine):.2f}",
            _ratio([a.busy_per_min / b.busy_per_min for a, b in pairs]) + goal,
            f"{_median(run.blender_cpu_s for run in mine):.2f}",
            f"{_median(sum(run.around_cpu_s.values()) for run in mine):.2f}",
            f"{_median(run.idle for run in mine):.1%}",
            f"{_median(run.ray_s for run in mine):.1f} s",
        ]
        rows.append(f"| {setup} | " + " | ".join(cells) + " |")
        kinds = {kind: _median(run.around_cpu_s.get(kind, 0.0) for run in mine)
                 for run in mine for kind in run.around_cpu_s}  # fmt: skip
        named = sorted(kinds.items(), key=lambda item: -item[1])
        notes.append(f"{setup}, CPU s a head: " + ", ".join(f"{k} {v:.2f}" for k, v in named))
    return "\n".join([*rows, "", *notes])


def _median(values) -> float:
    return statistics.median(values)


def _ratio(values: list[float]) -> str:
    shown = f"{_median(values):.2f}"
    return shown if len(values) < 2 else f"{shown} ({min(values):.2f}-{max(values):.2f})"


if __name__ == "__main__":
    main()
