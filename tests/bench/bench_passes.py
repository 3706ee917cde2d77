"""What each ground truth costs: CPU seconds a view, and bytes.

    python tests/bench/bench_passes.py                       # 256 px, 16 samples
    python tests/bench/bench_passes.py --size 512 --samples 32 --views 6

One head in one process. The pictures are rendered in turn without and with the outputs that albedo
and coverage add to the materials, so that the load of the machine falls on both alike; CPU seconds
are counted, not wall time.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import imageio.v3 as imageio
import numpy as np

from synth.blender_scenes import build, passes, passes_views, render, session
from synth.ground_truth import PASSES, decode, encode
from synth.record_files import encode_png
from synth.sample import DatasetConfig, sample_head
from synth.spec import HeadSpec

Clock = dict[str, list[float]]


def main() -> None:
    arguments = _arguments()
    spec = _spec(arguments)
    plain = dataclasses.replace(spec, render=dataclasses.replace(spec.render, passes=()))
    session.reset(plain, threads=1)
    built = build.build_head(plain)
    clock: Clock = defaultdict(list)
    _pictures(plain, defaultdict(list), "warm")
    _pictures(plain, clock, "picture")
    with _timed(clock, "outputs, once a head"):
        passes.add_outputs(spec)
    _pictures(spec, defaultdict(list), "warm")
    files = _pictures(spec, clock, "picture with outputs")
    with _timed(clock, "surfaces of all views"):
        truths = passes_views.render_truth(spec, spec.resolved_cameras(), built.points)
    views = len(spec.cameras)
    picture = statistics.median(clock["picture"])
    print("| CPU s | a view | of the picture |\n| --- | --- | --- |")
    for name, seconds in clock.items():
        a_view = sum(seconds) / views if "all" in name or "once" in name else np.median(seconds)
        print(f"| {name} | {a_view:.4f} | {a_view / picture:.1%} |")
    print(
        "\n| file | KB a view | of rgba | zlib of float16 | zlib of float32 |\n"
        + "| --- " * 5
        + "|"
    )
    for number, truth in enumerate(truths):
        files[number].update(truth.files)
    whole = statistics.mean(len(view["rgba"]) for view in files)
    for name in files[0]:
        size = statistics.mean(len(view[name]) for view in files)
        others = _other_encodings(name, files, spec)
        print(f"| {name} | {size / 1e3:.1f} | {size / whole:.0%} | {others} |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--views", type=int, default=6)
    parser.add_argument("--head", type=int, default=0)
    parser.add_argument("--hair", default="long_curly")
    return parser.parse_args()


def _spec(arguments: argparse.Namespace) -> HeadSpec:
    config = DatasetConfig(size=arguments.size, samples=arguments.samples, passes=tuple(PASSES))
    spec = sample_head(config, arguments.head)
    return dataclasses.replace(
        spec,
        hair=dataclasses.replace(spec.hair, style=arguments.hair),
        cameras=spec.cameras[: arguments.views],
        accessories=dataclasses.replace(spec.accessories, headwear=None),
    )


def _pictures(spec: HeadSpec, clock: Clock, name: str) -> list[dict[str, bytes]]:
    """Render all views; their files, and the CPU time of each step."""
    files = []
    with render.Renderer(spec.render) as renderer:
        for camera in spec.resolved_cameras():
            with _timed(clock, name):
                linear, averaged = renderer.render(camera)
            found = {"rgba": encode_png(renderer.display(linear))}
            for kind, values in averaged.items():
                with _timed(clock, f"encode {kind}"):
                    found[kind] = encode_png(encode(kind, values, camera))
            files.append(found)
    return files


def _other_encodings(name: str, files: list[dict[str, bytes]], spec: HeadSpec) -> str:
    """KB a view of the decoded values as compressed floats, for comparison."""
    if name not in PASSES or "segmentation" in name:
        return " | "
    cells = []
    for dtype in (np.float16, np.float32):
        sizes = []
        for view, camera in zip(files, spec.resolved_cameras()):
            values = decode(name, imageio.imread(view[name], extension=".png"), camera)
            sizes.append(len(zlib.compress(values.astype(dtype).tobytes(), 6)))
        cells.append(f"{statistics.mean(sizes) / 1e3:.1f}")
    return " | ".join(cells)


@contextmanager
def _timed(clock: Clock, name: str) -> Iterator[None]:
    start = time.process_time()
    yield
    clock[name].append(time.process_time() - start)


if __name__ == "__main__":
    main()
