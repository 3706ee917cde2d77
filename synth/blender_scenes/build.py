"""From a spec to a scene: every part of one head, in the order in which they need each other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import bpy
import numpy as np

from synth import assets
from synth.blender_scenes.accessories import build_earrings, build_glasses
from synth.blender_scenes.clothes import build_clothes
from synth.blender_scenes.eyes import build_eyes
from synth.blender_scenes.hair import (
    build_beard,
    build_brows,
    build_hair,
    build_lashes,
    head_surface,
)
from synth.blender_scenes.headwear import build_headwear
from synth.blender_scenes.lights import add_lights
from synth.blender_scenes.mouth import build_mouth
from synth.blender_scenes.passes_labels import label_parts
from synth.blender_scenes.skin import build_head_skin
from synth.headmodel import HeadModel, HeadShape
from synth.landmarks import Landmarks, locate
from synth.spec import HeadSpec


@dataclass(frozen=True, eq=False)
class BuiltHead:
    """One head in the current scene.

    Attributes:
        objects: the Blender objects by part, for example "skin"; see `passes_labels`.
        model: the static head model.
        shape: the evaluated head.
        points: its landmarks.
        timings_s: seconds of wall time by part.
    """

    objects: dict[str, tuple[bpy.types.Object, ...]]
    model: HeadModel
    shape: HeadShape
    points: Landmarks
    timings_s: dict[str, float]

    @property
    def landmarks(self) -> dict[str, np.ndarray]:
        """[3] world position in scene units of every named landmark."""
        return self.points.named()


def build_head(spec: HeadSpec) -> BuiltHead:
    """Build every part of `spec` and its light in the current (empty) scene.

    Args:
        spec: the head; `session.reset` was called with it.

    Raises:
        SpecError: a value that no builder knows.
        AssetError: an asset is missing, or differs from the one the spec was made with.
    """
    clock = _Clock()
    with clock("assets"):
        for reference in spec.assets:
            assets.check(reference)
    with clock("shape"):
        model = HeadModel.load()
        shape = model.shape(spec.identity, spec.expression, spec.pose)
    parts: dict[str, tuple[bpy.types.Object, ...]] = {}
    with clock("clothes"):
        clothing = build_clothes(spec, model, shape)
        parts["clothes"] = clothing.objects
    with clock("skin"):
        parts["skin"] = tuple(build_head_skin(spec, model, shape, clothing.visible_skin))
    with clock("eyes"):
        parts["eyes"] = tuple(build_eyes(spec, model, shape))
    with clock("mouth"):
        parts["mouth"] = tuple(build_mouth(spec, model, shape))
    with clock("surface"):
        surface = head_surface(model, shape, clothing.obstacles)
    with clock("headwear"):
        worn = build_headwear(spec, shape, surface)
        parts["headwear"] = worn.objects
    with clock("hair"):
        parts["hair"] = tuple(build_hair(spec, model, shape, surface=surface, cover=worn.cover))
        parts["brows"] = tuple(build_brows(spec, model, shape, surface=surface))
        parts["lashes"] = tuple(build_lashes(spec, model, shape))
        parts["beard"] = tuple(build_beard(spec, model, shape, surface=surface))
    with clock("accessories"):
        parts["glasses"] = tuple(build_glasses(spec, model, shape))
        parts["earrings"] = tuple(build_earrings(spec, model, shape, surface))
    with clock("lights"):
        add_lights(spec)
    label_parts(parts)
    return BuiltHead(parts, model, shape, locate(spec, model, shape), clock.seconds)


class _Clock:
    """Wall time by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[part] = round(time.perf_counter() - start, 4)
