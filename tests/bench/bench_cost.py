"""What a head costs beside Cycles: shares, building, passes, worker start, memory.

    python tests/bench/bench_cost.py                       # the table of docs, on a quiet machine
    python tests/bench/bench_cost.py --views 4 --repeats 1 # a smoke test

One process per hair style, as in a worker: it starts, renders one head of the default
configuration again and again, without and with all passes in turn, and writes each into a shard.
Cycles is what happens inside Blender's renders (`cycles_clock`): sampling, denoising and the
scene's transfer. Everything else of a head is "around it": reset, build, checks, the light
meter, reading, display, encoding, writing. Ratios of interleaved runs are robust against the load
of the machine, absolute seconds are not.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cycles_clock import CyclesClock

from synth.sample import DatasetConfig, sample_head
from synth.spec import HeadSpec
from synth.worker_process import worker_environment

SHARE_GOAL, PASSES_GOAL, START_GOAL_S, MEMORY_GOAL_GB = 0.12, 0.15, 4.0, 1.6
BUILD_GOAL = "<= 3 short, 5 long hair"


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        _child(arguments)
        return
    rows = ["| | goal | " + " | ".join(arguments.hair) + " |",
            "| --- | --- |" + " --- |" * len(arguments.hair)]  # fmt: skip
    results = [_run(arguments, style) for style in arguments.hair]
    cells = [_cells(result) for result in results]
    for name in cells[0]:
        goal = cells[0][name][0]
        rows.append(f"| {name} | {goal} | " + " | ".join(cell[name][1] for cell in cells) + " |")
    print("\n".join(rows))
    print(
        f"\n{arguments.views} views, {arguments.size} px, {arguments.samples} samples, "
        f"{arguments.threads} thread, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hair", type=lambda text: text.split(","), default=["crop", "long_curly"])
    parser.add_argument("--views", type=int, default=32)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3, help="of each: without, with passes")
    parser.add_argument("--head", type=int, default=0, help="index of the head")
    parser.add_argument("--passes", default="all", help="all, or names with commas")
    parser.add_argument("--child", type=float, default=0.0, help=argparse.SUPPRESS)
    return parser.parse_args()


def _run(arguments: argparse.Namespace, style: str) -> dict:
    """Measure one style in a process of its own, with the environment of a worker."""
    command = [sys.executable, __file__, "--hair", style, "--child", str(time.time())]
    for name in ("views", "size", "samples", "threads", "repeats", "head", "passes"):
        command += [f"--{name}", str(getattr(arguments, name))]
    with tempfile.TemporaryDirectory() as folder:
        environment = worker_environment(Path(folder), arguments.threads)
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    found = re.search(r"^RESULT (.*)$", done.stdout, re.MULTILINE)
    if found is None:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return json.loads(found[1])


# ------------------------------------------------------------------------- inside the process


def _child(arguments: argparse.Namespace) -> None:
    from synth.blender_scenes.start import import_blender

    import_blender(arguments.threads)
    from synth.blender_scenes import build, checks, probe, render, session  # noqa: F401

    start_s = time.time() - arguments.child
    passes = _pass_names(arguments.passes)
    spec = _spec(arguments, arguments.hair[0])
    meter = _Meter()
    with tempfile.TemporaryDirectory() as folder:
        first = meter.head(spec, arguments.threads, Path(folder))
        without, with_passes, memory = [], [], 0
        for _ in range(arguments.repeats):
            without.append(meter.head(spec, arguments.threads, Path(folder)))
            memory = memory or _peak_bytes()
            with_passes.append(
                meter.head(_with_passes(spec, passes), arguments.threads, Path(folder))
            )
    result = {
        "start_s": start_s,
        "first": first,
        "without": without,
        "with": with_passes,
        "memory_bytes": memory,
        "memory_with_passes_bytes": _peak_bytes(),
        "passes": passes,
    }
    print("\nRESULT " + json.dumps(result), flush=True)
    os._exit(0)  # Blender may crash at interpreter shutdown


def _spec(arguments: argparse.Namespace, style: str) -> HeadSpec:
    config = DatasetConfig(size=arguments.size, samples=arguments.samples)
    spec = sample_head(config, arguments.head)
    return dataclasses.replace(
        spec,
        hair=dataclasses.replace(spec.hair, style=style),
        cameras=spec.cameras[: arguments.views],
        accessories=dataclasses.replace(spec.accessories, headwear=None),
    )


def _with_passes(spec: HeadSpec, passes: list[str]) -> HeadSpec:
    return dataclasses.replace(spec, render=dataclasses.replace(spec.render, passes=tuple(passes)))


def _pass_names(text: str) -> list[str]:
    if text != "all":
        return text.split(",")
    from synth.ground_truth import PASSES

    return sorted(PASSES)


class _Meter:
    """Times heads; Blender tells when each of its renders begins and ends."""

    def __init__(self) -> None:
        self._clock = CyclesClock()

    def head(self, spec: HeadSpec, threads: int, folder: Path) -> dict:
        """Render one head into a shard; seconds of wall time, and of CPU before its first view."""
        from synth.blender_scenes.worker_job import render_with_blender
        from synth.launch import RenderJob
        from synth.record import ShardWriter

        self._clock.renders.clear()
        path = folder / "shard.tar"
        begin, begin_cpu = time.perf_counter(), time.process_time()
        head = render_with_blender(spec, RenderJob(path, threads))
        rendered = time.perf_counter()
        with ShardWriter(path) as writer:
            writer.add_head(spec, spec.resolved_cameras(), head.rgba, head.passes, {**head.meta})
        end = time.perf_counter()
        renders = self._clock.renders
        views = len(spec.cameras)
        if not spec.render.passes and len(renders) != views + 1:
            raise SystemExit(f"{len(renders)} renders for {views} views and the light meter")
        durations = [render.end.wall_s - render.begin.wall_s for render in renders]
        return {
            "wall_s": end - begin,
            "write_s": end - rendered,
            "cycles_s": sum(durations[1:]),
            "view_s": statistics.median(durations[1:]),
            "first_view_extra_s": durations[1] - statistics.median(durations[1:]),
            "before_cpu_s": renders[1].begin.cpu_s - begin_cpu,
            "bytes": path.stat().st_size,
            "laps_s": dict(head.timings_s),
        }


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)[1]) * 1024


# ----------------------------------------------------------------------------------- the table


def _cells(result: dict) -> dict[str, tuple[str, str]]:
    """(goal, value) by name of the row."""
    without, first = result["without"], result["first"]

    def median(key: str, runs: list[dict] | None = None) -> float:
        return statistics.median(run[key] for run in runs or without)

    def lap(name: str) -> float:
        return statistics.median(run["laps_s"].get(name, 0.0) for run in without)

    around = [1 - run["cycles_s"] / run["wall_s"] for run in without]
    ratios = [b["wall_s"] / a["wall_s"] - 1 for a, b in zip(without, result["with"])]
    build_cpu = median("before_cpu_s") + max(0.0, median("first_view_extra_s"))
    static_s = first["laps_s"]["build_s"] - lap("build_s")
    parts = {
        name.removesuffix("_s"): lap(name) for name in ("reset_s", "build_s", "check_s", "probe_s")
    }
    parts["read, display"] = lap("render_s") - median("cycles_s")
    parts["encode, write"] = median("write_s")
    named = ", ".join(f"{name} {seconds:.2f}" for name, seconds in parts.items())
    build_parts = sorted(
        ((key, lap(key)) for key in without[0]["laps_s"] if key.startswith("build.")),
        key=lambda item: -item[1],
    )
    built = ", ".join(
        f"{key.removeprefix('build.').removesuffix('_s')} {seconds:.2f}"
        for key, seconds in build_parts[:6]
    )
    return {
        "head, wall s": ("", f"{median('wall_s'):.1f}"),
        "around Cycles / wall": (f"<= {SHARE_GOAL:.0%}", _ratios(around)),
        "... s": ("", named),
        "CPU s before the first sample": (BUILD_GOAL, f"{build_cpu:.2f}"),
        "... wall s of building": ("", built),
        "all passes / none": (f"<= +{PASSES_GOAL:.0%}", _ratios(ratios)),
        "MB a head, without and with passes": (
            "", f"{median('bytes') / 1e6:.1f}, {median('bytes', result['with']) / 1e6:.1f}"
        ),
        "worker start, wall s": (f"<= {START_GOAL_S:g}", f"{result['start_s'] + static_s:.1f}"),
        "... import and load": ("", f"{result['start_s']:.1f} + {static_s:.1f}"),
        "peak memory, GB": (f"<= {MEMORY_GOAL_GB}", f"{result['memory_bytes'] / 1e9:.2f}"),
        "... with passes": ("", f"{result['memory_with_passes_bytes'] / 1e9:.2f}"),
    }  # fmt: skip


def _ratios(values: list[float]) -> str:
    return f"{statistics.median(values):.1%} (" + ", ".join(f"{v:.1%}" for v in values) + ")"


if __name__ == "__main__":
    main()
