"""Judges without a network: is every picture there, whole in its frame, and the skin well lit?

All numbers are display-referred: what the file holds is what a model trains on. Luminance is
linear light of the display (sRGB decoded, Rec. 709 weights), 1 is white.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infer.judges_views import HeadViews
from synth.color import LUMINANCE, linear_from_srgb
from synth.headmodel import HeadModel

MIN_COVERAGE, MAX_COVERAGE = 0.03, 0.90
"""Mean alpha of a view that shows a head and shoulders; beyond it is empty or overfull."""
MIN_LUMINANCE = 0.001
"""Mean over the covered pixels, below which a view is black (black hair from behind has 0.008)."""
MAX_EDGE_ALPHA = 0.05
"""Alpha at the frame's upper edge, above which the head is taken to touch it."""
SKIN_RANGE = (0.03, 0.75)
"""Usable median luminance of the skin: 8-bit sRGB 49 to 225. Darker, the features of a face drown
in the quantisation of eight bits; lighter, they burn out in the shoulder of the view transform. The
cheeks and foreheads of two studio portraits (light skin) lie at 0.17 to 0.72."""
SKIN_LIT = 0.05
"""Luminance that the better lit quarter of the skin must reach: one side may be in shadow."""
MAX_SKIN_BURNT = 0.10
"""Share of the skin with a channel at 254 or more, above which the face is burnt."""

_LINEAR = linear_from_srgb(np.arange(256) / 255).astype(np.float32)
"""Linear light of each value of eight bits."""
_CLEAR_MASK = 0.5
"""Cheeks and forehead: where the masks of the head model exceed this."""
_FACING = 0.3
"""Cosine between normal and direction to the camera from which on skin is looked at."""


@dataclass(frozen=True)
class PicturesSeen:
    """All views of a head, one number per view.

    Attributes:
        coverage: mean alpha.
        luminance: mean over the covered pixels, of every fourth row and column.
        top_alpha: largest alpha in the first row.
        side_alpha: largest alpha in the first and last column, above the height of the origin
            (about the nostrils), below which shoulders may leave the frame.
    """

    coverage: tuple[float, ...]
    luminance: tuple[float, ...]
    top_alpha: tuple[float, ...]
    side_alpha: tuple[float, ...]


@dataclass(frozen=True)
class SkinSeen:
    """Cheeks and forehead in the front view.

    Attributes:
        pixels: how many surface points were looked at.
        dark, median, light: quartiles of their luminance.
        burnt: share with a channel at 254 or more.
    """

    pixels: int
    dark: float
    median: float
    light: float
    burnt: float

    @property
    def problem(self) -> str | None:
        """Why the skin cannot be used, or None."""
        low, high = SKIN_RANGE
        if not low <= self.median <= high:
            return f"skin luminance {self.median:.3f} is not within {low} ... {high}"
        if self.light < SKIN_LIT:
            return f"the better lit quarter of the skin reaches {self.light:.3f} of {SKIN_LIT}"
        if self.burnt > MAX_SKIN_BURNT:
            return f"{self.burnt:.0%} of the skin is burnt, at most {MAX_SKIN_BURNT:.0%}"
        return None


def look_at_pictures(views: HeadViews) -> PicturesSeen:
    """Measure every view of a head."""
    rows: list[tuple[float, ...]] = []
    for camera, rgba in zip(views.cameras, views.rgba):
        alpha = rgba[..., 3]
        few, weight = rgba[::4, ::4, :3], alpha[::4, ::4].astype(np.float32)
        luminance = _LINEAR[few] @ LUMINANCE
        ((_, nostrils),) = camera.project(np.zeros((1, 3)))[0]
        above = alpha[: int(np.clip(nostrils, 1, len(alpha)))]
        rows.append(
            (
                float(alpha.mean()) / 255,
                float((luminance * weight).sum() / max(weight.sum(), 1e-6)),
                float(alpha[0].max()) / 255,
                float(above[:, [0, -1]].max()) / 255,
            )
        )
    return PicturesSeen(*(tuple(round(v, 5) for v in column) for column in zip(*rows)))


def problems_of(seen: PicturesSeen) -> list[tuple[int, str]]:
    """(view, sentence) for every picture that is empty, overfull or black."""
    found = []
    for view, (coverage, luminance) in enumerate(zip(seen.coverage, seen.luminance)):
        if not MIN_COVERAGE <= coverage <= MAX_COVERAGE:
            found.append((view, f"covers {coverage:.3f} of the frame"))
        elif luminance < MIN_LUMINANCE:
            found.append((view, f"mean luminance {luminance:.4f}: black"))
    return found


def cut_off_views(seen: PicturesSeen) -> list[tuple[int, str]]:
    """(view, sentence) for every view whose head touches the top or, above the nose, a side."""
    found = []
    for view, (top, side) in enumerate(zip(seen.top_alpha, seen.side_alpha)):
        if top > MAX_EDGE_ALPHA:
            found.append((view, f"touches the top of the frame (alpha {top:.2f})"))
        elif side > MAX_EDGE_ALPHA:
            found.append((view, f"touches the side of the frame (alpha {side:.2f})"))
    return found


def look_at_skin(views: HeadViews, model: HeadModel) -> SkinSeen | None:
    """Measure the skin of the front view where the head model says cheeks and forehead are.

    Returns:
        None without a front view, or when no such skin faces the camera (a mask of hair).
    """
    if "front" not in views.judged:
        return None
    camera, rgba = (part[views.judged["front"]] for part in (views.cameras, views.rgba))
    spec = views.spec
    shape = model.shape(spec.identity, spec.expression, spec.pose)
    mask = np.maximum(model.masks["cheek"], model.masks["forehead"]) > _CLEAR_MASK
    points = shape.to_world(shape.vertices[mask])
    towards = camera.position - points
    cosine = (shape.normals[mask] * towards).sum(1) / np.linalg.norm(towards, axis=1)
    pixels, _ = camera.project(points[cosine > _FACING])
    column, row = np.floor(pixels).astype(int).T
    inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    colours = rgba[row[inside], column[inside]]
    colours = colours[colours[:, 3] > 250]
    if len(colours) == 0:
        return None
    luminance = _LINEAR[colours[:, :3]] @ LUMINANCE
    dark, median, light = (float(q) for q in np.quantile(luminance, (0.25, 0.5, 0.75)))
    burnt = float((colours[:, :3].max(axis=1) >= 254).mean())
    return SkinSeen(len(colours), *(round(v, 5) for v in (dark, median, light, burnt)))
