"""Look at heads while working on them: sample, change values by hand, render a sheet.

    python tests/bench/look.py out.png --heads 0-11                           # as they come
    python tests/bench/look.py out.png --heads 3 --set hair.style=bob --views front,left,back
    python tests/bench/look.py out.png --heads 0,1 --each "hair.style=[bob, long, bun]" --zoom face
    python tests/bench/look.py out.png --each "config.expression.families=[{smile: 1}, {sad: 1}]"

`--set` and `--each` change the sampled spec, or what it is sampled from where the path begins with
`config.`. One process, one row per head and value, one column per view; several heads with one view
are laid out as a grid. Every head's line on stdout names what it wears and what it cost. A head
that fails a check is shown all the same, and its line says so.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import yaml

from synth.blender_scenes.start import import_blender
from synth.config import from_dict, load_config
from synth.errors import HeadloomError
from synth.sample import DatasetConfig, sample_head
from synth.spec import HeadSpec, OrbitCamera

VIEWS = {
    "front": (-90.0, 0.0), "front_left": (-45.0, 0.0), "front_right": (-135.0, 0.0),
    "left": (0.0, 0.0), "right": (180.0, 0.0), "back": (90.0, 0.0), "above": (-120.0, 50.0),
    "below": (-60.0, -25.0), "back_left": (45.0, 15.0),
}  # fmt: skip
_CONFIG = "config."
ZOOMS = {"": 50.0, "head": 34.0, "face": 20.0}


def main() -> None:
    arguments = _arguments()
    views = [_camera(name, arguments.zoom) for name in arguments.views.split(",")]
    key, values = _each(arguments.each)
    rows = []
    for index in _numbers(arguments.heads):
        for value in values:
            changes = [*arguments.set, *([f"{key}={json.dumps(value)}"] if key else [])]
            data = sample_head(_config(arguments, changes), index).to_json_dict()
            for change in changes:
                path, _, text = change.partition("=")
                if not path.startswith(_CONFIG):
                    _assign(data, path, yaml.safe_load(text))
            data["cameras"] = views
            spec = from_dict(HeadSpec, data, "spec")
            rows.append(np.concatenate(_render(spec, str(value or ""), arguments.threads), axis=1))
            imageio.imwrite(arguments.out, _grid(rows, len(views), arguments.columns))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--heads", default="0", help="0-5 or 0,3,7")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="PATH=YAML")
    parser.add_argument("--each", metavar="PATH=[YAML, ...]", help="one row per value")
    parser.add_argument("--views", default="front", help=f"of {', '.join(VIEWS)}")
    parser.add_argument("--zoom", default="", choices=list(ZOOMS))
    parser.add_argument("--columns", type=int, help="of a grid; default: a little wider than high")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--samples", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _config(arguments: argparse.Namespace, changes: list[str]) -> DatasetConfig:
    own = [f"{name}={getattr(arguments, name)}" for name in ("seed", "size", "samples")]
    theirs = [change.removeprefix(_CONFIG) for change in changes if change.startswith(_CONFIG)]
    return load_config(DatasetConfig, overrides=[*own, *theirs])


def _camera(name: str, zoom: str) -> dict:
    azimuth, elevation = VIEWS[name]
    camera = OrbitCamera(name, azimuth, elevation, fov_deg=ZOOMS[zoom])
    return {**camera.__dict__}


def _numbers(text: str) -> list[int]:
    first, dash, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if dash else [int(n) for n in text.split(",")]


def _each(text: str | None) -> tuple[str, list]:
    if not text:
        return "", [None]
    path, _, values = text.partition("=")
    return path, yaml.safe_load(values)


def _assign(data: dict, path: str, value: object) -> None:
    *parents, last = path.split(".")
    for name in parents:
        data = data[name]
    data[last] = value


def _render(spec: HeadSpec, label: str, threads: int) -> list[np.ndarray]:
    import_blender(threads)
    from synth.blender_scenes import build, checks, probe, render, session

    start = time.process_time()
    session.reset(spec, threads)
    built = build.build_head(spec)
    built_s = time.process_time() - start
    exposure = probe.set_exposure(spec, built)
    views = list(render.render_views(spec, built))
    problem = ""
    try:
        checks.before(spec, built)
        checks.after(spec, views)
    except HeadloomError as error:
        problem = f" PROBLEM {error}"
    print(
        f"{spec.index:4d} {label} {spec.identity.sex} {spec.identity.age_years:.0f} "
        f"{spec.hair.style}/{spec.hair.colour.name} {spec.facial_hair.beard} "
        f"{spec.expression.name} {spec.clothes.garment}/{spec.clothes.pattern} {spec.light.kind} "
        f"{exposure.stops:+.2f} EV, build {built_s:.1f} CPU s, "
        f"all {time.process_time() - start:.1f}{problem}",
        flush=True,
    )
    return [_on_white(view.rgba) for view in views]


def _on_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:] / 255.0
    return np.round(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _grid(rows: list[np.ndarray], view_count: int, columns: int | None) -> np.ndarray:
    columns = columns or (1 if view_count > 1 else math.ceil(math.sqrt(len(rows) * 1.5)))
    blank = np.full_like(rows[0], 255)
    padded = rows + [blank] * (-len(rows) % columns)
    lines = [
        np.concatenate(padded[i : i + columns], axis=1) for i in range(0, len(padded), columns)
    ]
    return np.concatenate(lines, axis=0)


if __name__ == "__main__":
    main()
