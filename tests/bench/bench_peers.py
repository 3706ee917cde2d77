"""The farm against what a user would pick instead: one table, one head, the same pixels.

    python tests/bench/bench_peers.py --blenderproc /tmp/blenderproc  # 10 min on a quiet machine
    python tests/bench/bench_peers.py --views 3 --size 64 --samples 8 --heads 1   # a smoke test

| | |
| --- | --- |
| a | one Blender process a view: opens the exported head, renders, ends; the first script of all |
| b | one process a head, all views in a loop, no persistent data |
| c | BlenderProc on the exported head, one process, persistent data |
| d | `render_dataset` with one worker: builds the heads, checks them, writes a shard |
| e | `render_dataset` with two workers and two shards |
| s | as a, with Blender's default of threads: all cores; to be held against e |
| A, B | as a and b, but the script builds the head with Headloom's builder |

All with the same cameras, samples, resolution and (but s) threads, in turn (a b c d e a b c d e).
The peers render the first head; of a, s and A a few views, the others are extrapolated, since their
processes are independent. a, b, c and s open a .blend that somebody must have made: their heads an
hour are told without and with its making, and the ratios count it. d renders a shard of `--heads`
heads, e two of them: one person in one look under different lights.

"Overhead" is the share of the wall time outside Blender's render calls, the light meter's counting
as outside; "sampling" the share between Cycles' first and last sample. The same handlers note both
in every process (`cycles_clock`). Starting Ray is told below the table, since a farm does it once;
the CPU seconds have it. "Memory" is the largest of all processes together, shared pages once.

The pictures of a, b, s, A and B must be those of d, bit for bit, from 8 samples on. With fewer,
Cycles keeps the sequence of the light meter's 8 samples in a worker, and noise differs. BlenderProc
denoises in its own way, and alpha not at all.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from process_tree import TreeUse, run_measured

from synth.config import canonical_json, load_config, save_yaml
from synth.quality import QualityConfig
from synth.record import ShardReader
from synth.sample_config import DatasetConfig, FactorConfig, ViewsConfig
from synth.sample_light import LightConfig

HERE = Path(__file__).parent
GOALS = {"a": 2.0, "c": 1.3}
"""(d) renders so many times their heads an hour."""
OVERHEAD_GOAL = 0.10
BLENDERPROC = (
    "blenderproc==2.8.0", "bpy==4.5.15", "numpy==1.26.4", "pyyaml==6.0.1", "imageio==2.34.1",
    "gitpython==3.1.43", "scikit-image==0.23.2", "pypng==0.20220715.0", "scipy==1.13.1",
    "matplotlib==3.9.0", "pytz==2024.1", "h5py==3.11.0", "Pillow==10.3.0",
    "opencv-contrib-python==4.10.0.82", "scikit-learn==1.5.0", "python-dateutil==2.9.0.post0",
    "rich==13.7.1", "trimesh==4.4.0",
)  # fmt: skip
"""What BlenderProc 2.8.0 installs into its Blender, and the Blender of Headloom."""


@dataclass(frozen=True)
class Run:
    """One run of one variant, per head.

    Attributes:
        wall_s, inside_s, sampling_s: seconds; `inside_s` of Blender's renders of views.
        cpu_s: CPU seconds of Blender, and of everything else by kind.
        peak_bytes: of all processes together.
        workers: Blender processes at a time.
        start_s: starting and leaving Ray, not part of `wall_s`.
    """

    wall_s: float
    inside_s: float
    sampling_s: float
    cpu_s: dict[str, float]
    peak_bytes: int
    workers: int = 1
    start_s: float = 0.0

    @property
    def overhead(self) -> float:
        return 1 - self.inside_s / (self.wall_s * self.workers)


@dataclass
class Bench:
    """What all variants share: arguments, the exported heads, where outputs go."""

    arguments: argparse.Namespace
    config: DatasetConfig
    folder: Path
    runs: dict[str, list[Run]] = field(default_factory=dict)
    export_s: float = 0.0

    @property
    def views(self) -> int:
        return self.arguments.views

    @property
    def scene(self) -> Path:
        return self.folder / "scene"

    def out(self, variant: str) -> Path:
        return self.folder / variant / "out"


def main() -> None:
    arguments = _arguments()
    if arguments.blenderproc is not None:
        install_blenderproc(arguments.blenderproc)
    with tempfile.TemporaryDirectory(prefix="peers-", dir=arguments.folder) as folder:
        bench = Bench(arguments, _config(arguments, heads=1), Path(folder))
        export = [HERE / "peer_export.py", canonical_json(bench.config), bench.scene]
        use = run_measured([sys.executable, *export, str(arguments.threads)])
        bench.export_s = use.wall_s
        for number in range(arguments.rounds):
            for variant in arguments.variants:
                run = RUNNERS[variant](bench, variant)
                bench.runs.setdefault(variant, []).append(run)
                print(f"round {number + 1}, {variant}: {run.wall_s:.1f} s a head", file=sys.stderr)
            print(
                f"\nafter round {number + 1} of {arguments.rounds}:\n\n{table(bench)}", flush=True
            )
        print("\n" + "\n".join(compare(bench)))
    versions = ", ".join(f"{n} {metadata.version(n)}" for n in ("headloom", "bpy", "ray"))
    print(
        f"\n{arguments.views} views, {arguments.size} px, {arguments.samples} samples, "
        f"{arguments.threads} thread, {versions}, load {os.getloadavg()[0]:.1f} on "
        f"{os.cpu_count()} cores ({_processor()})"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--views", type=int, default=32)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--heads", type=int, default=2, help="heads in a shard of d and e")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--views-of-a", type=int, default=6, help="views that a and A render")
    parser.add_argument("--variants", help="letters; default: abcde, without c if not installed")
    parser.add_argument("--blenderproc", type=Path, help="its environment; made if not there")
    parser.add_argument("--set", action="append", default=[], help="of the configuration: a.b=v")
    parser.add_argument("--folder", type=Path, help="for temporary files")
    arguments = parser.parse_args()
    arguments.variants = arguments.variants or ("abcde" if arguments.blenderproc else "abde")
    if "c" in arguments.variants and arguments.blenderproc is None:
        parser.error("variant c needs --blenderproc")
    return arguments


def _config(arguments: argparse.Namespace, heads: int) -> DatasetConfig:
    """One person in one look and expression under as many lights as there are heads."""
    views = arguments.views
    fixed = DatasetConfig(
        heads=heads,
        size=arguments.size,
        samples=arguments.samples,
        heads_per_shard=arguments.heads,
        factors=FactorConfig(lights=1000),
        light=LightConfig(kinds={"hdri": 1.0}),
        quality=QualityConfig(min_distance=0.0),  # the heads of a shard may be much alike
        views=ViewsConfig(random=views - 6) if views >= 6 else ViewsConfig(False, random=views),
    )
    if not arguments.set:
        return fixed
    with tempfile.TemporaryDirectory() as folder:
        save_yaml(fixed, Path(folder) / "config.yaml")
        return load_config(DatasetConfig, Path(folder) / "config.yaml", arguments.set)


def install_blenderproc(folder: Path) -> None:
    """Make an environment with BlenderProc, unless it is there."""
    if not folder.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", *BLENDERPROC], check=True)


# --------------------------------------------------------------------------------- the variants


def run_processes_a_view(bench: Bench, variant: str) -> Run:
    """a, A: a process for each view."""
    views = np.linspace(0, bench.views - 1, min(bench.views, bench.arguments.views_of_a))
    wanted = [[view] for view in sorted({round(view) for view in views})]
    return _scaled(bench, variant, wanted, bench.views / len(wanted))


def run_process_a_head(bench: Bench, variant: str) -> Run:
    """b, B, c: a process for all views."""
    return _scaled(bench, variant, [list(range(bench.views))], 1.0)


def _scaled(bench: Bench, variant: str, batches: list[list[int]], factor: float) -> Run:
    uses, files = [], []
    out = bench.out(variant)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for number, views in enumerate(batches):
        times = out / f"times-{number}.json"
        command, environment = _script(bench, variant, views, times)
        uses.append(run_measured(command, environment=environment))
        files.append(json.loads(times.read_text()))
    # A script that builds the head also measures its light: the first render of a process.
    skipped = len(batches[0]) + 1 if variant.isupper() else 0
    return _run(uses, files, factor, skipped, others={})


def _script(
    bench: Bench, variant: str, views: list[int], times: Path
) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of a peer."""
    arguments = bench.arguments
    scene = [bench.scene, bench.out(variant), times, ",".join(map(str, views))]
    environment = dict(os.environ)
    if variant == "c":
        python = arguments.blenderproc / "bin" / "python"
        extra = [arguments.threads, arguments.samples]
        environment.pop("PYTHONPATH", None)
        script = HERE / "peer_blenderproc.py"
    else:
        python, script = sys.executable, HERE / "peer_plain.py"
        extra = [0 if variant == "s" else arguments.threads]
        extra += ["--rebuild"] if variant.isupper() else []
    return [str(part) for part in (python, script, *scene, *extra)], environment


def run_farm(bench: Bench, variant: str) -> Run:
    """d, e: `render_dataset`."""
    workers = {"d": 1, "e": 2}[variant]
    heads = bench.arguments.heads * workers
    out, times = bench.out(variant), bench.folder / variant / "times"
    shutil.rmtree(bench.folder / variant, ignore_errors=True)
    config = canonical_json(_config(bench.arguments, heads))
    command = [sys.executable, HERE / "farm_run.py", config, out, times]
    use = run_measured([*command, str(workers), str(bench.arguments.threads)])
    told = json.loads(re.search(r"^RESULT (.*)$", use.output, re.MULTILINE)[1])
    if told["failed"]:
        raise SystemExit(f"{variant}: {told['failed']}")
    files = [json.loads(path.read_text()) for path in sorted(times.glob("*.json"))]
    timed = TreeUse(told["render_s"], use.cpu_s, use.peak_bytes, "")
    others = {kind: seconds / heads for kind, seconds in use.cpu_s.items() if kind != "blender"}
    run = _run([timed], files, 1 / heads, bench.views + 1, others)
    return replace(run, workers=workers, start_s=told["connect_s"] + told["leave_s"])


RUNNERS = {
    "a": run_processes_a_view, "A": run_processes_a_view, "s": run_processes_a_view,
    "b": run_process_a_head, "B": run_process_a_head, "c": run_process_a_head,
    "d": run_farm, "e": run_farm,
}  # fmt: skip


def _run(
    uses: list[TreeUse],
    files: list[dict],
    factor: float,
    skip_every: int,
    others: dict[str, float],
) -> Run:
    """Sums per head.

    Args:
        files: what the clocks wrote.
        factor: from these sums to one head.
        skip_every: of each so many renders the first is the light meter's; 0: there is none.
        others: CPU seconds a head beside Blender, by kind of process.
    """
    renders = [
        render
        for told in files
        for number, render in enumerate(told["renders"])
        if not skip_every or number % skip_every
    ]

    def seconds(begin: str, end: str) -> float:
        return sum(r[end]["wall_s"] - r[begin]["wall_s"] for r in renders) * factor

    # Blender's are exact, from its own file; those of the others are sampled.
    blender_s = sum(told["ended"]["cpu_s"] for told in files) * factor
    return Run(
        wall_s=sum(use.wall_s for use in uses) * factor,
        inside_s=seconds("begin", "end"),
        sampling_s=seconds("sampling", "sampled"),
        cpu_s={"blender": blender_s, **others},
        peak_bytes=max(use.peak_bytes for use in uses),
    )


# ------------------------------------------------------------------------------------ the table


def table(bench: Bench) -> str:
    """All variants so far, medians; heads an hour also with the making of the .blend."""
    head = ["heads/h", "with making the .blend", "(d) is faster by", "(e)", "overhead", "sampling",
            "CPU s a head", "not Blender", "memory, GB"]  # fmt: skip
    rows = ["| | " + " | ".join(head) + " |", "| --- |" + " --- |" * len(head)]
    full = {name: [_full_s(bench, name, run) for run in runs] for name, runs in bench.runs.items()}
    for name, runs in bench.runs.items():
        farm = name in "de"
        others = [sum(v for k, v in run.cpu_s.items() if k != "blender") for run in runs]
        ratios = [theirs / ours for theirs, ours in zip(full[name], full.get("d", []))]
        goal = f", goal {GOALS[name]:g}" if name in GOALS else ""
        against_e = [theirs / ours for theirs, ours in zip(full[name], full.get("e", []))]
        cells = [
            f"{3600 / _median(run.wall_s for run in runs):.0f}",
            f"{3600 / _median(full[name]):.0f}" if not farm else "builds",
            f"{_spread(ratios, 2)}{goal}" if ratios and name != "d" else "",
            f"{_spread(against_e, 2)}" if against_e and name != "e" else "",
            _percent([run.overhead for run in runs])
            + (f", goal {OVERHEAD_GOAL:.0%}" if name == "d" else ""),
            _percent([run.sampling_s / run.wall_s / run.workers for run in runs]),
            f"{_median(sum(run.cpu_s.values()) for run in runs):.1f}",
            f"{_median(others):.2f}" if farm else "",
            f"{max(run.peak_bytes for run in runs) / 1e9:.2f}",
        ]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    sampled = ", ".join(
        f"{name} {_median(run.sampling_s for run in runs):.1f}" for name, runs in bench.runs.items()
    )
    notes = [f"Making a .blend: {bench.export_s:.1f} s a head. Sampling, s a head: {sampled}."]
    for name in sorted(set(bench.runs) & set("de")):
        runs = bench.runs[name]
        kinds = {kind: _median(run.cpu_s.get(kind, 0) for run in runs) for kind in runs[0].cpu_s}
        named = ", ".join(f"{k} {v:.2f}" for k, v in sorted(kinds.items(), key=lambda kv: -kv[1]))
        start = _median(run.start_s for run in runs)
        notes.append(f"({name}) Ray's start and end: {start:.1f} s a run; CPU s a head: {named}.")
    return "\n".join(rows) + "\n\n" + "\n".join(notes)


def _full_s(bench: Bench, name: str, run: Run) -> float:
    """Seconds a head with the making of the scene that a peer opens."""
    return run.wall_s + (bench.export_s if name in "abcs" else 0.0)


def compare(bench: Bench) -> list[str]:
    """How far the pictures of each variant are from those of (d), head 0."""
    if "d" not in bench.runs:
        return []
    (shard,) = sorted((bench.out("d") / "shards").glob("*000000.tar"))
    ours = ShardReader(shard).heads()[0]
    columns = ["against d", "views", "opaque pixels: largest, mean", "all pixels: mean",
               "alpha: largest, mean"]  # fmt: skip
    lines = ["| " + " | ".join(columns) + " |", "| --- " * len(columns) + "|"]
    for name in sorted(set(bench.runs) - {"d", "e"}):
        opaque, everything, alpha, count = [], [], [], 0
        for path in sorted(bench.out(name).glob("*.png")):
            theirs = imageio.imread(path).astype(int)
            mine = ours.rgba(int(path.stem)).astype(int)
            solid = (theirs[..., 3] == 255) & (mine[..., 3] == 255)
            apart = np.abs(theirs - mine)
            seen = (theirs[..., 3] > 0) | (mine[..., 3] > 0)
            opaque.append(apart[solid][..., :3].ravel())
            everything.append(apart[seen][..., :3].ravel())
            alpha.append(apart[..., 3].ravel())
            count += 1
        o, e, a = (np.concatenate(values) for values in (opaque, everything, alpha))
        lines.append(
            f"| {name} | {count} | {o.max()}, {o.mean():.4f} | {e.mean():.4f} | "
            f"{a.max()}, {a.mean():.4f} |"
        )
    if "e" in bench.runs:
        (shard,) = sorted((bench.out("e") / "shards").glob("*000000.tar"))
        same = ShardReader(shard).heads()[0].meta["pixel_sha256"] == ours.meta["pixel_sha256"]
        lines.append(f"\n(e) has {'the same' if same else 'OTHER'} pixels as (d), bit for bit.")
    return lines


def _median(values) -> float:
    return statistics.median(values)


def _spread(values: list[float], digits: int) -> str:
    shown = f"{_median(values):.{digits}f}"
    return shown if len(values) < 2 else f"{shown} ({min(values):.2f}-{max(values):.2f})"


def _percent(values: list[float]) -> str:
    return f"{_median(values):.1%}"


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else "unknown processor"


if __name__ == "__main__":
    main()
