"""What each hair style and beard costs: strands, points and CPU seconds to grow them.

    python tests/bench/bench_hair.py [--size 512] [--repeats 3]

Numpy only, no Blender: copying the arrays into curves adds about 20 ms a million points. Prints
the fastest of the repeats, since a shared machine only ever adds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

from synth.blender_scenes.facial_hair import BEARDS, beard_strands
from synth.blender_scenes.hair_field import HeadSurface
from synth.blender_scenes.hair_groom import groom
from synth.blender_scenes.hair_strands import StrandSet
from synth.blender_scenes.hair_style_table import STYLES
from synth.blender_scenes.hair_styles import strand_scale
from synth.headmodel import HeadModel
from synth.spec import FacialHair, Hair, HairColour, Identity

BROWN = HairColour("brown", 0.72, 0.55, (0.055, 0.03, 0.016))
PERSON = Identity("bench", {"gender": 0.5, "age": 0.7, "caucasian": 1.0}, {}, 30.0, "female")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="pixels a side of the picture")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    model = HeadModel.load()
    shape = model.shape(PERSON)

    head, seconds = _fastest(partial(HeadSurface.create, model, shape), arguments.repeats)
    print(f"{'':14}{'strands':>9}{'points':>11}{'CPU s':>8}")
    print(f"{'surface':14}{'':9}{'':11}{seconds:8.2f}")
    for name in STYLES:
        hair = Hair(name, BROWN, groom_seed=1, parting=0.02)
        parts, seconds = _fastest(partial(groom, hair, head, arguments.size), arguments.repeats)
        _print(name, parts, seconds)
    for name in BEARDS:
        grow = partial(beard_strands, FacialHair(name, 1, BROWN), head)
        beard, seconds = _fastest(partial(grow, *strand_scale(arguments.size)), arguments.repeats)
        _print(f"beard {name}", [beard], seconds)


def _fastest(work: Callable, repeats: int) -> tuple:
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return result, best


def _print(name: str, parts: list[StrandSet], seconds: float) -> None:
    strands = sum(len(part) for part in parts)
    points = sum(part.radii.size for part in parts)
    print(f"{name:14}{strands:9}{points:11}{seconds:8.2f}")


if __name__ == "__main__":
    main()
