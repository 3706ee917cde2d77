"""Hats by their kind; numpy only."""

from __future__ import annotations

from synth.blender_scenes.accessory_mesh import MeshPart
from synth.blender_scenes.hair_field import HeadSurface
from synth.blender_scenes.headwear_beanie import beanie
from synth.blender_scenes.headwear_bucket import bucket_hat
from synth.blender_scenes.headwear_cap import cap
from synth.blender_scenes.headwear_fit import HairCover
from synth.spec import Headwear

_HATS = {"beanie": beanie, "cap": cap, "bucket_hat": bucket_hat}


def hat(
    headwear: Headwear, surface: HeadSurface, hair_style: str
) -> tuple[list[MeshPart], HairCover]:
    """A beanie, a cap or a bucket hat and how it presses hair.

    Args:
        headwear: kind, tilt, turn, looseness and the seed of its folds.
        surface: the head; hair_style: decides how much hair is under the hat.
    """
    return _HATS[headwear.kind](headwear, surface, hair_style)
