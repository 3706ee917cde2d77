"""Per view, the passes of `passes_surface` as files, and the visibility of the landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from synth.blender_scenes.passes_strands import StrandMass
from synth.blender_scenes.passes_surface import Surface, SurfaceRenderer
from synth.camera import Camera
from synth.ground_truth import COVERING_LABELS, LABELS, SURFACE_PASSES, encode, stored_passes
from synth.landmarks import Landmarks, visibility
from synth.record_files import encode_png
from synth.spec import HeadSpec

_DARK_TINT = 0.5
"""Glasses of more tint hide the eyes."""
_AT_THE_CAMERA = np.float32(1e-3)
_COVERING = [LABELS[name] for name in COVERING_LABELS]
_THIN = [LABELS[name] for name in ("brows", "lashes")]
"""Landmarks of brows and lids lie below these and are seen nevertheless."""


@dataclass(eq=False)
class ViewTruth:
    """Ground truth of one view.

    Attributes:
        files: PNG bytes by name of the pass.
        landmarks: [S + D] uint8, a `landmarks.Visibility` for each sparse and dense landmark.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    landmarks: np.ndarray | None = None


def render_truth(
    spec: HeadSpec, cameras: Sequence[Camera], landmarks: Landmarks
) -> list[ViewTruth]:
    """The surface passes of `spec.render.passes`, one entry a camera; changes the scene for good.

    Args:
        spec: the head in the current scene.
        cameras: its views.
        landmarks: its landmarks, in case their visibility is wanted.

    Raises:
        RenderError: Cycles reported an error.
    """
    wanted = stored_passes(spec.render.passes)
    locate = "landmarks" in wanted
    names = [name for name in SURFACE_PASSES if name in wanted]
    truths = [ViewTruth() for _ in cameras]
    if not (names or locate):
        return truths
    mass = StrandMass.of_scene() if {"normal_world", "normal_camera"} & set(names) else None
    seen: list[Surface] = []
    with SurfaceRenderer() as renderer:
        for camera, truth in zip(cameras, truths):
            surface = renderer.render(camera)
            if mass is not None:
                surface = mass.applied(surface, camera)
            truth.files.update(_files(names, "", surface, camera))
            if locate:
                seen.append(surface)
        below = [name for name in names if name.endswith("_under")]
        if below or locate:
            renderer.uncover()
        for number, camera in enumerate(cameras if below or locate else ()):
            surface = renderer.render(camera)
            truths[number].files.update(_files(below, "_under", surface, camera))
            if locate:
                truths[number].landmarks = _visibility(
                    spec, landmarks, camera, seen[number], surface
                )
    return truths


def _files(names: Sequence[str], suffix: str, surface: Surface, camera: Camera) -> dict[str, bytes]:
    """The passes of `names` that `surface` shows, as files."""
    rotation = camera.cam_from_world[:3, :3].astype(np.float32)
    values = {
        f"depth{suffix}": lambda: surface.depth,
        f"segmentation{suffix}": lambda: surface.seen,
        f"normal_world{suffix}": lambda: surface.normal,
        f"normal_camera{suffix}": lambda: surface.normal @ rotation.T,
    }
    return {
        name: encode_png(encode(name, make(), camera))
        for name, make in values.items()
        if name in names
    }


def _visibility(
    spec: HeadSpec, landmarks: Landmarks, camera: Camera, seen: Surface, below: Surface
) -> np.ndarray:
    glasses = spec.accessories.glasses
    covers = np.isin(seen.label, _COVERING)
    cover = np.where(covers, seen.depth, np.float32(0))
    if glasses is not None and glasses.tint > _DARK_TINT:
        cover = np.where(seen.behind_lens, _AT_THE_CAMERA, cover)
    thin = np.isin(below.label, _THIN)
    return visibility(
        np.concatenate([landmarks.sparse, landmarks.dense]),
        np.concatenate([landmarks.sparse_normals, landmarks.dense_normals]),
        camera,
        depth=np.where(thin, np.float32(0), below.depth),
        cover=cover,
    )
