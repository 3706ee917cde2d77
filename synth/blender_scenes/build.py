"""From a spec to a scene: every part of one head, in the order in which they need each other."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from synth import assets
from synth.asset_store import StoredAsset
from synth.blender_scenes.accessories import build_earrings, build_glasses
from synth.blender_scenes.clothes import build_clothes, hung_shape
from synth.blender_scenes.eyes import build_eyes
from synth.blender_scenes.hair import build_beard, build_brows, build_hair, build_lashes
from synth.blender_scenes.hair_field import HeadSurface
from synth.blender_scenes.headwear import build_headwear, pressed_shape
from synth.blender_scenes.lights import add_lights
from synth.blender_scenes.mouth import build_mouth
from synth.blender_scenes.passes import add_outputs
from synth.blender_scenes.passes_labels import label_parts
from synth.blender_scenes.skin import build_head_skin
from synth.blender_scenes.user_head import build_user_head, user_landmarks
from synth.blender_scenes.user_skin import with_texture
from synth.blender_scenes.user_wear import build_user_garment, build_user_hair
from synth.headmodel import HeadModel, HeadShape
from synth.landmarks import Landmarks, locate
from synth.spec import HeadSpec


@dataclass(frozen=True, eq=False)
class BuiltHead:
    """One head in the current scene.

    Attributes:
        objects: the Blender objects by part, for example "skin"; see `passes_labels`.
        model: the static head model; None where a user's own head stands.
        shape: the evaluated head; likewise.
        points: its landmarks, of a user's head those that its asset gives.
        timings_s: seconds of wall time by part.
    """

    objects: dict[str, tuple[bpy.types.Object, ...]]
    model: HeadModel | None
    shape: HeadShape | None
    points: Landmarks
    timings_s: dict[str, float]

    @property
    def landmarks(self) -> dict[str, np.ndarray]:
        """[3] world position in scene units of every named landmark there is."""
        found = self.points.named()
        if self.shape is not None:
            return found
        return {name: point for name, point in found.items() if np.isfinite(point).all()}


def build_head(spec: HeadSpec, store: Path | None = None) -> BuiltHead:
    """Build every part of `spec` and its light in the current (empty) scene.

    Nothing is added later: a change of materials or nodes between two renders has Blender hand the
    whole scene to Cycles again.

    Args:
        spec: the head; `session.reset` was called with it.
        store: where the user's assets lie that it names.

    Raises:
        SpecError: a value that no builder knows.
        AssetError: an asset is missing, or differs from the one the spec was made with.
        RenderError: a material whose albedo cannot be told, where the spec asks for that pass.
    """
    clock = _Clock()
    with clock("assets"):
        for reference in spec.assets:
            assets.check(reference, store)
        wanted = spec.user_parts.by_kind().items()
        users = {kind: assets.stored(name, store) for kind, name in wanted if name}
    if "head" in users:
        return _build_users(spec, users["head"], store, clock)
    with clock("shape"):
        model = HeadModel.load()
        shape = model.shape(spec.identity, spec.expression, spec.pose)
        shape = hung_shape(spec, model, pressed_shape(spec, model, shape))
    parts: dict[str, tuple[bpy.types.Object, ...]] = {}
    with clock("clothes"):
        if "garment" in users:
            clothing = build_user_garment(users["garment"], model, shape)
        else:
            clothing = build_clothes(spec, model, shape)
        parts["clothes"] = clothing.objects
    with clock("skin"):
        repaint = None
        if "skin" in users:
            repaint = functools.partial(with_texture, asset=users["skin"], spec=spec, model=model)
        visible = clothing.visible_skin
        parts["skin"] = tuple(build_head_skin(spec, model, shape, visible, repaint=repaint))
    with clock("eyes"):
        parts["eyes"] = tuple(build_eyes(spec, model, shape))
    with clock("mouth"):
        parts["mouth"] = tuple(build_mouth(spec, model, shape))
    with clock("surface"):
        surface = HeadSurface.create(model, shape, clothing.obstacles)
    with clock("headwear"):
        worn = build_headwear(spec, shape, surface)
        parts["headwear"] = worn.objects
    with clock("hair"):
        if "hair" in users:
            parts |= build_user_hair(users["hair"], model, shape)
        else:
            parts["hair"] = tuple(build_hair(spec, shape, surface, worn.cover))
        parts["brows"] = tuple(build_brows(spec, shape, surface))
        parts["lashes"] = tuple(build_lashes(spec, model, shape))
        parts["beard"] = tuple(build_beard(spec, shape, surface))
    with clock("accessories"):
        parts["glasses"] = tuple(build_glasses(spec, model, shape))
        parts["earrings"] = tuple(build_earrings(spec, model, shape, surface))
    with clock("lights"):
        add_lights(spec, store)
    label_parts(parts)
    add_outputs(spec)
    return BuiltHead(parts, model, shape, locate(spec, model, shape), clock.seconds)


def _build_users(
    spec: HeadSpec, asset: StoredAsset, store: Path | None, clock: _Clock
) -> BuiltHead:
    """A user's head as it was given, under the light of the spec."""
    with clock("head"):
        parts = build_user_head(asset)
    with clock("lights"):
        add_lights(spec, store)
    label_parts(parts)
    add_outputs(spec)
    return BuiltHead(parts, None, None, user_landmarks(asset), clock.seconds)


class _Clock:
    """Wall time by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[part] = round(time.perf_counter() - start, 4)
