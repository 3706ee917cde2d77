"""A headscarf; numpy only."""

from __future__ import annotations

from synth.blender_scenes.accessory_mesh import MeshPart
from synth.blender_scenes.hair_field import HeadSurface
from synth.blender_scenes.headwear_fit import HairCover
from synth.spec import Headwear


def headscarf(headwear: Headwear, surface: HeadSurface) -> tuple[list[MeshPart], HairCover]:
    """A wrap."""
    return [], HairCover(hides_all=True)
