"""What dlib's identity network says about people, in one process and with one small view a head.

    python tests/bench/bench_identity.py --people 32              # are different people different?
    python tests/bench/bench_identity.py --people 0 --breakdown 6  # and the looks of one alike?
    python tests/bench/bench_identity.py --people 32 --set identity.shape_scale=1.2

`--people` draws heads as they come and compares all pairs. `--breakdown` takes a plain picture of
each person (neutral, straight, bare face, studio light) and changes one thing at a time, as the
sampler draws it for another look; "everything" is two heads as they come. Then it takes one thing
from somebody else of the same sex, "his ...": these ought to be far. Photographs of one real person
lie .34-.44 apart. About 5 CPU s a head.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as imageio
import numpy as np

from infer.judges_identity import ALIKE, DlibFaces, compare
from synth.blender_scenes import build, probe, render, session
from synth.config import load_config
from synth.sample import DatasetConfig, sample_head
from synth.spec import Accessories, Expression, Gaze, HeadPose, HeadSpec, Makeup, OrbitCamera

_CAMERA = OrbitCamera("front", -90.0, 0.0, fov_deg=30.0)
"""The head fills three quarters of the picture."""
_LOOKS = 12
_ALWAYS = (
    f"factors.looks={_LOOKS}", "accessories.glasses=1", "accessories.female_headwear=1",
    "accessories.male_headwear=1", "makeup.female=1", "makeup.male=1", "expression.turned_head=1",
    "expression.averted_gaze=1",
)  # fmt: skip


def main() -> None:
    arguments = _arguments()
    faces = Faces(arguments)
    if arguments.people:
        _different(faces, arguments)
    if arguments.breakdown:
        _breakdown(faces, arguments)
    if arguments.sheet and faces.pictures:
        imageio.imwrite(arguments.sheet, faces.sheet())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=32, help="random heads that are compared")
    parser.add_argument("--breakdown", type=int, default=0, help="people whose looks are changed")
    parser.add_argument("--first", type=int, default=0, help="index of the first person")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="PATH=YAML", help="config")
    parser.add_argument("--sheet", type=Path, help="picture of all that was rendered")
    parser.add_argument("--size", type=int, default=176)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


class Faces:
    """Renders front views and embeds their faces."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._dlib = DlibFaces()
        self._arguments = arguments
        self.pictures: list[np.ndarray] = []

    def config(self, overrides: Sequence[str] = ()) -> DatasetConfig:
        """The default dataset with the user's values, then `overrides`."""
        own = [f"{name}={getattr(self._arguments, name)}" for name in ("seed", "size", "samples")]
        return load_config(DatasetConfig, None, [*own, *self._arguments.set, *overrides])

    def embed(self, spec: HeadSpec) -> np.ndarray | None:
        """[128] of the front view, or None where dlib finds no face."""
        spec = dataclasses.replace(spec, cameras=(_CAMERA,))
        session.reset(spec, self._arguments.threads)
        built = build.build_head(spec)
        probe.set_exposure(spec, built)
        view = next(iter(render.render_views(spec, built)))
        alpha = view.rgba[..., 3:] / 255.0
        rgb = np.round(view.rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
        self.pictures.append(rgb)
        box = self._dlib.find(rgb)
        return None if box is None else self._dlib.embed(rgb, box)

    def sheet(self) -> np.ndarray:
        """All pictures in rows of eight."""
        blank = np.full_like(self.pictures[0], 255)
        count = math.ceil(len(self.pictures) / 8) * 8
        padded = self.pictures + [blank] * (count - len(self.pictures))
        rows = [np.concatenate(padded[i : i + 8], axis=1) for i in range(0, count, 8)]
        return np.concatenate(rows, axis=0)


def _different(faces: Faces, arguments: argparse.Namespace) -> None:
    config = faces.config()
    found: dict[str, np.ndarray] = {}
    for index in range(arguments.first, arguments.first + arguments.people):
        embedding = faces.embed(sample_head(config, index))
        if embedding is not None:
            found[str(index)] = embedding
    names = list(found)
    distances = compare(names, names, np.stack(list(found.values())), listed_pairs=10)
    low, median, high = np.quantile(distances.different, (0.05, 0.5, 0.95))
    print(
        f"{len(names)} of {arguments.people} faces found; {len(distances.different)} pairs: "
        f"median {median:.3f}, 5 % {low:.3f}, 95 % {high:.3f}, "
        f"under {ALIKE}: {100 * distances.alike_share:.1f} %"
    )
    pairs = (f"{pair.first}/{pair.second} {pair.distance:.2f}" for pair in distances.look_alikes)
    print("closest:", ", ".join(pairs), flush=True)


def _breakdown(faces: Faces, arguments: argparse.Namespace) -> None:
    distances: dict[str, list[float]] = {}
    for index in range(arguments.first, arguments.first + arguments.breakdown):
        plain, changed = _variants(faces, index)
        references = {id(spec): faces.embed(spec) for spec, _ in changed.values()}
        line = f"person {index} {plain.identity.sex}:"
        for name, (reference, spec) in changed.items():
            first, second = references[id(reference)], faces.embed(spec)
            if first is not None and second is not None:
                distance = float(np.linalg.norm(first - second))
                distances.setdefault(name, []).append(distance)
                line += f" {name} {distance:.2f},"
        print(line.rstrip(","), flush=True)
    for name, values in sorted(distances.items(), key=lambda item: np.median(item[1])):
        print(f"{name:12s} median {np.median(values):.3f}  mean {np.mean(values):.3f}  "
              f"most {max(values):.3f}  of {len(values)}")  # fmt: skip


def _variants(faces: Faces, person: int) -> tuple[HeadSpec, dict[str, tuple[HeadSpec, HeadSpec]]]:
    """The plain picture of a person, and by what differs the two pictures to compare."""
    usual = faces.config([f"factors.looks={_LOOKS}"])
    always = faces.config(_ALWAYS)
    studio = faces.config(
        [f"factors.looks={_LOOKS}", "light.kinds={studio: 1}", "light.side_lit=0"]
    )
    first = person * _LOOKS
    base, dressed = sample_head(usual, first), sample_head(always, first)
    others = [sample_head(usual, first + look) for look in range(1, _LOOKS)]
    plain = dataclasses.replace(
        base,
        expression=Expression(),
        gaze=Gaze(),
        pose=HeadPose(),
        skin=dataclasses.replace(base.skin, makeup=Makeup()),
        facial_hair=dataclasses.replace(base.facial_hair, beard="none"),
        accessories=Accessories(),
        light=sample_head(studio, person).light,
    )

    def other(attribute: str, *path: str) -> object:
        """What another look has, of the first that differs in the value at `path`."""

        def value(spec: HeadSpec) -> object:
            found = getattr(spec, attribute)
            for name in path:
                found = getattr(found, name)
            return found

        differing = (spec for spec in others if value(spec) != value(plain))
        return getattr(next(differing, others[0]), attribute)

    worn = dressed.accessories
    parts = {
        "noise": {"render": dataclasses.replace(plain.render, noise_seed=1)},
        "hair": {"hair": other("hair", "style")},
        "headwear": {"accessories": Accessories(headwear=worn.headwear)},
        "glasses": {"accessories": Accessories(glasses=worn.glasses)},
        "makeup": {"skin": dressed.skin},
        "beard": {"facial_hair": other("facial_hair", "beard")},
        "brow hair": {
            "facial_hair": dataclasses.replace(others[0].facial_hair, beard="none"),
        },
        "light": {"light": others[0].light},
        "expression": {"expression": other("expression", "name")},
        "turn, gaze": {"pose": dressed.pose, "gaze": dressed.gaze},
    }
    if base.identity.sex == "female":
        del parts["beard"]
    stranger = _of_same_sex(usual, base)
    own = base.identity
    parts |= {
        "his bones": {"identity": dataclasses.replace(stranger.identity, brows=own.brows)},
        "his brows": {"identity": dataclasses.replace(own, brows=stranger.identity.brows)},
        "his skin": {"skin": dataclasses.replace(stranger.skin, makeup=Makeup())},
        "his eyes": {"eyes": stranger.eyes},
    }
    changed = {name: (plain, dataclasses.replace(plain, **part)) for name, part in parts.items()}
    return plain, changed | {"everything": (base, others[1])}


def _of_same_sex(config: DatasetConfig, head: HeadSpec) -> HeadSpec:
    index = head.index + _LOOKS
    while (other := sample_head(config, index)).identity.sex != head.identity.sex:
        index += _LOOKS
    return other


if __name__ == "__main__":
    main()
