"""What third-party networks say about random heads: the judges' table, as Markdown.

    python tests/bench/bench_judges.py heads/                         # datasets that are there
    python tests/bench/bench_judges.py --render out/ --heads 24       # heads of the default config
    python tests/bench/bench_judges.py --render out/ --heads 100 --identities 20 --looks 3

`--render` adds to what is in `out/`: `random/` with one look each, `looks/` with several looks of
some identities, front and +-45 degree views, nothing hand-picked. Observations are kept in
`out/judges/` (or beside the first dataset), so a second run is quick. Two real portraits are the
yardstick: they pass through the same judges.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import textwrap
import time
from itertools import chain
from pathlib import Path

import imageio.v3 as iio
import matplotlib
import numpy as np
from PIL import Image, ImageDraw

from infer.datasheet_pictures import columns_of, mosaic, portrait, tile, write_jpeg
from infer.faces import FaceFinder
from infer.judges import JUDGES, judge, parse_judges
from infer.judges_identity import DlibFaces, why_not_installed
from infer.judges_verdicts import Judgement
from synth.color import float_from_rgba8, rgba8_from_float
from synth.dataset import Dataset
from synth.errors import RenderError
from synth.launch import render_shard
from synth.sample import DatasetConfig, FactorConfig, ViewsConfig
from synth.spec import HeadSpec

VIEWS = ("front", "front_left", "front_right")


def main() -> None:
    arguments = _arguments()
    roots = list(arguments.datasets)
    if arguments.render is not None:
        roots += _render(arguments)
    if not roots:
        raise SystemExit("no dataset: give one, or --render DIR")
    heads = chain.from_iterable(Dataset.open(root).heads() for root in roots)
    start = time.perf_counter()
    folder = (arguments.render or roots[0].parent) / "judges"
    judgement = judge(heads, parse_judges(arguments.judges), cache=folder, threads=1)
    print(markdown(judgement))
    print(f"{judgement.heads} heads judged in {time.perf_counter() - start:.1f} s")
    if arguments.sheets is not None:
        _write_sheets(judgement, Dataset.open(roots[0]), arguments.sheets)
    if arguments.yardstick:
        print(_yardstick())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path, nargs="*", metavar="DATASET")
    parser.add_argument("--judges", default="all", help=f"all, or of {', '.join(JUDGES)}")
    parser.add_argument("--render", type=Path, metavar="DIR", help="render heads into DIR first")
    parser.add_argument("--heads", type=int, default=24, help="random heads, one look each")
    parser.add_argument("--identities", type=int, default=6, help="identities with several looks")
    parser.add_argument("--looks", type=int, default=3, help="looks of each of these")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--samples", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--yardstick", action="store_true", help="judge two real portraits too")
    parser.add_argument(
        "--sheets", type=Path, metavar="DIR", help="heads.jpg and failures.jpg of the first dataset"
    )
    return parser.parse_args()


def _render(arguments: argparse.Namespace) -> list[Path]:
    """Render what is missing of both datasets; specs are the sampler's but for the cameras."""
    parts = {
        "random": (arguments.heads, 1, arguments.seed),
        "looks": (arguments.identities * arguments.looks, arguments.looks, arguments.seed + 1000),
    }
    roots = []
    for name, (heads, looks, seed) in parts.items():
        if not heads:
            continue
        config = DatasetConfig(
            heads=heads, factors=FactorConfig(looks=looks), seed=seed, size=arguments.size,
            samples=arguments.samples, heads_per_shard=5, views=ViewsConfig(random=0),
        )  # fmt: skip
        dataset = Dataset.create(arguments.render / name, config)
        for plan in dataset.plan():
            specs = [_few_views(spec) for spec in plan.specs(config)]
            start = time.perf_counter()
            try:
                render_shard(
                    specs, plan.path, threads=arguments.threads, dataset_id=dataset.dataset_id
                )
            except RenderError as error:  # belongs to the result, and the other heads do too
                print(f"FAILED {error}", flush=True)
                continue
            print(f"{name}/{plan.path.name}: {time.perf_counter() - start:.0f} s", flush=True)
        roots.append(dataset.root)
    return roots


def _few_views(spec: HeadSpec) -> HeadSpec:
    cameras = tuple(camera for camera in spec.cameras if camera.name in VIEWS)
    return dataclasses.replace(spec, cameras=cameras)


def markdown(judgement: Judgement) -> str:
    """The verdicts, the landmark groups and the failures."""
    lines = ["| judge | goal | reached | of | |", "| --- | --- | --- | --- | --- |"]
    for verdict in judgement.verdicts:
        value = verdict.note if verdict.value is None else verdict.goal.show(verdict.value)
        mark = {True: "yes", False: "NO", None: ""}[verdict.passed]
        lines.append(
            f"| {verdict.goal.title} | {verdict.goal} | {value} | {verdict.count} | {mark} |"
        )
    lines += ["", "| landmarks | views | median | 95 % | right | down |",
              "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for views, rows in judgement.landmarks.items():
        lines += [
            f"| {row.group} | {views} | {row.median:.3f} | {row.percentile_95:.3f} | "
            f"{row.right:+.3f} | {row.down:+.3f} |"
            for row in rows
            if row.is_group
        ]
    if judgement.identity is not None:
        closest = ", ".join(
            f"{p.first}/{p.second} {p.distance:.2f}" for p in judgement.identity.look_alikes[:6]
        )
        lines += ["", f"closest of two identities: {closest}"]
        if judgement.identity.changes:
            lines += ["", "| one identity, differs in | pairs | median | else | effect alone |",
                      "| --- | --- | --- | --- | --- |"]  # fmt: skip
        lines += [
            f"| {change.what} | {change.pairs} | {_number(change.median)} | "
            f"{_number(change.other_median)} | {_number(change.effect, '+.3f')} |"
            for change in judgement.identity.changes
        ]
    if judgement.skin_medians:
        quantiles = np.quantile(judgement.skin_medians, (0, 0.05, 0.5, 0.95, 1))
        numbers = ", ".join(f"{q:.3f}" for q in quantiles)
        lines += ["", f"skin luminance, least, 5 %, median, 95 %, most: {numbers}"]
    lines += [""] + [f"- head {f.index} ({f.spec_id}): {f.reason}" for f in judgement.failures]
    return "\n".join(lines)


def _write_sheets(judgement: Judgement, dataset: Dataset, folder: Path) -> None:
    """All front views, and the views that a judge objects to with the reason in red."""
    heads = {head.spec_id: head for head in dataset.heads()}
    fronts = [portrait(head, 128) for head in heads.values()]
    write_jpeg(folder / "heads.jpg", mosaic(fronts, columns_of(len(fronts), 14)))
    tiles = []
    for failure in judgement.failures:
        if failure.spec_id not in heads:
            continue
        picture = Image.fromarray(rgba8_from_float(tile(heads[failure.spec_id], failure.view, 256)))
        text = textwrap.fill(f"{failure.index}: {failure.reason}", 40)
        ImageDraw.Draw(picture).text((4, 2), text, fill=(200, 0, 0))
        tiles.append(float_from_rgba8(np.asarray(picture)))
    if tiles:
        write_jpeg(folder / "failures.jpg", mosaic(tiles, columns_of(len(tiles), 6)))


def _number(value: float | None, form: str = ".2f") -> str:
    return "-" if value is None else f"{value:{form}}"


def _yardstick() -> str:
    """The same networks on two real portraits that packages bring."""
    skimage = Path(importlib.util.find_spec("skimage").submodule_search_locations[0])
    portraits = [
        skimage / "data" / "astronaut.png",
        Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
    ]
    finder = FaceFinder(max_faces=1)
    dlib = DlibFaces() if why_not_installed() is None else None
    lines, embeddings = [], []
    for path in portraits:
        rgb = np.ascontiguousarray(iio.imread(path)[..., :3])
        found = bool(finder.find(rgb, search_tiles=False))
        box = dlib.find(rgb) if dlib else None
        if box is not None:
            embeddings.append(dlib.embed(rgb, box))
        lines.append(f"{path.name}: mediapipe {found}, dlib {box is not None}")
    if len(embeddings) == 2:
        lines.append(f"their distance: {np.linalg.norm(embeddings[0] - embeddings[1]):.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
