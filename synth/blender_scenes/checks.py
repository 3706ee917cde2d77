"""Is this a picture worth training on? Checks of one head before and after rendering.

A failure is `RenderInvalid` with the numbers that failed: the spec asks for something that does not
give a usable picture, and rendering it again would not help.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synth.blender_scenes.view import RenderedView
from synth.camera import Camera
from synth.color import LUMINANCE, float_from_rgba8, linear_from_srgb
from synth.errors import RenderInvalid
from synth.quality import is_frontal, measure_face
from synth.spec import HeadSpec

if TYPE_CHECKING:
    from synth.blender_scenes.build import BuiltHead

FRAME_MARGIN = 0.01
"""Landmarks of the head must keep this share of the frame as distance from its border."""
MAX_DISTANCE_FROM_ORIGIN = 0.95
"""Scene units; the head must fit into FaceLift's cube [-1, 1]^3."""
COVERAGE = (0.03, 0.90)
"""Share of the frame that is covered, in every view."""
MIN_LUMINANCE = 0.001
"""Mean linear display luminance of the covered pixels, below which a view counts as black. Black
hair over dark clothes, seen from behind under a studio's key light, reaches 0.008; an unlit scene
gives 0. Whether the light is right is judged on the face."""
MIN_FACE_LUMINANCE = 0.02
"""The same for the middle of a front view, where the face is."""
MAX_BURNT = 0.30
"""Share of covered pixels with a channel at 255, above which a view counts as burnt."""
MAX_SOFT_ALPHA = 0.60
"""Share of the covered pixels that may be neither clear nor opaque."""


def before(spec: HeadSpec, built: BuiltHead) -> None:
    """Check the scene before time is spent on rendering it.

    Args:
        spec: the head.
        built: its scene.

    Raises:
        RenderInvalid: geometry that is not finite, a head outside its cube, or a front camera that
            does not see the whole head.
    """
    for name, position in built.landmarks.items():
        if not np.isfinite(position).all():
            raise RenderInvalid(f"head {spec.spec_id}: landmark {name} is at {position}")
        if np.abs(position).max() > MAX_DISTANCE_FROM_ORIGIN:
            raise RenderInvalid(
                f"head {spec.spec_id}: landmark {name} at {np.round(position, 3).tolist()} lies "
                f"beyond {MAX_DISTANCE_FROM_ORIGIN} units from the origin"
            )
    if not built.landmarks:  # a user's head, of which nothing more is known
        return
    framed = built.landmarks | _tops(built)
    names, points = list(framed), np.stack(list(framed.values()))
    for camera in spec.resolved_cameras():
        if is_frontal(camera) and camera.name == "front":
            _check_framed(spec, camera, names, points)


def _tops(built: BuiltHead) -> dict[str, np.ndarray]:
    """The highest point [3] of every piece of headwear in scene units: a hat adds height."""
    tops = {}
    for item in built.objects.get("headwear", ()):
        corners = np.array(item.bound_box)  # its vertices are world positions
        tops[f"the top of {item.name}"] = np.r_[corners[:, :2].mean(axis=0), corners[:, 2].max()]
    return tops


def _check_framed(spec: HeadSpec, camera: Camera, names: list[str], points: np.ndarray) -> None:
    pixels, depth = camera.project(points)
    size = np.array([camera.width, camera.height])
    margin = FRAME_MARGIN * size
    outside = (depth <= 0) | (pixels < margin).any(axis=1) | (pixels > size - margin).any(axis=1)
    if outside.any():
        worst = int(np.argmax(outside))
        raise RenderInvalid(
            f"head {spec.spec_id}, view {camera.name!r}: {names[worst]} projects to "
            f"{np.round(pixels[worst], 1).tolist()} in a frame of {camera.width} x "
            f"{camera.height} px; move the camera back or widen its field of view"
        )


def after(spec: HeadSpec, views: Sequence[RenderedView]) -> dict[str, Any]:
    """Check the pictures and describe them.

    Args:
        spec: the head.
        views: one for each camera of the spec, in its order.

    Returns:
        Plain data for `meta.json`: coverage and luminance per view, seconds per view.

    Raises:
        RenderInvalid: a missing view, a black, burnt, empty or overfull one.
    """
    if len(views) != len(spec.cameras):
        raise RenderInvalid(
            f"head {spec.spec_id}: {len(views)} views for {len(spec.cameras)} cameras"
        )
    measures = [measure_view(view) for view in views]
    for view, measure in zip(views, measures):
        problem = _problem(view, measure)
        if problem:
            raise RenderInvalid(f"head {spec.spec_id}, view {view.camera.name!r}: {problem}")
    return {
        "coverage": [measure["coverage"] for measure in measures],
        "luminance": [measure["luminance"] for measure in measures],
        "view_seconds": [round(view.seconds, 4) for view in views],
    }


def measure_view(view: RenderedView) -> dict[str, float | None]:
    """Numbers about one picture, rounded.

    Returns:
        coverage: mean alpha; luminance: linear luminance of the covered pixels; burnt: share of
        them with a channel at 255; soft: share of them with partial alpha; face_luminance: the
        luminance in the middle of a front view, None for the other views.
    """
    rgba = float_from_rgba8(view.rgba)
    alpha = rgba[..., 3]
    covered = alpha > 0.02
    weight = max(float(alpha.sum()), 1e-6)
    luminance = linear_from_srgb(rgba[..., :3]) @ LUMINANCE
    count = max(int(covered.sum()), 1)
    face = None
    if is_frontal(view.camera):
        face = measure_face(view.camera, view.rgba)["face_luminance"]
    return {
        "coverage": round(float(alpha.mean()), 5),
        "luminance": round(float((luminance * alpha).sum() / weight), 5),
        "burnt": round(float((view.rgba[..., :3].max(-1)[covered] == 255).sum() / count), 5),
        "soft": round(float((alpha[covered] < 0.98).sum() / count), 5),
        "face_luminance": face,
    }


def _problem(view: RenderedView, measure: dict[str, float | None]) -> str | None:
    """What is wrong with a view, or None."""
    low, high = COVERAGE
    if not low <= measure["coverage"] <= high:
        return f"covers {measure['coverage']:.3f} of the frame, expected {low} to {high}"
    if measure["luminance"] < MIN_LUMINANCE:
        return f"mean luminance {measure['luminance']:.4f} is below {MIN_LUMINANCE}: too dark"
    face = measure["face_luminance"]
    if face is not None and face < MIN_FACE_LUMINANCE:
        return f"luminance of the face {face:.4f} is below {MIN_FACE_LUMINANCE}: black face"
    if measure["burnt"] > MAX_BURNT:
        return f"{measure['burnt']:.2f} of the covered pixels are burnt, at most {MAX_BURNT}"
    if measure["soft"] > MAX_SOFT_ALPHA:
        return f"{measure['soft']:.2f} of the covered pixels are half transparent"
    return None
