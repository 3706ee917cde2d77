"""Pictures of the datasheet: sheets of heads, every view of a few, ground truth in colours.

Tiles lie on one light grey, on which white hair and black hair both stand out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from infer.judges_views import choose_views
from synth.color import float_from_rgba8, rgba8_from_float, srgb_from_linear
from synth.config import atomic_write
from synth.ground_truth import LABELS
from synth.record import HeadRecord
from synth.resample import area_average

GREY = 0.90
JPEG_QUALITY = 90
_GAP = 4
_PORTRAIT, _PORTRAIT_TOP = 0.74, 0.09
"""Share of the frame that a portrait shows, and where it begins, in the default rig."""


@dataclass(frozen=True)
class Figure:
    """A picture beside the page: its relative path and what to say below it."""

    file: str
    caption: str = ""


@dataclass(frozen=True)
class Pictures:
    """All pictures of the page; an empty part leaves its place out.

    Attributes:
        fronts: the sheet of front views.
        shown: how many heads are on it.
        views: every view of a few heads, one figure each.
        looks: one identity each.
        passes, landmarks: ground truth of a few heads.
        failures: heads that a judge objects to.
        look_alikes, strangers: pairs of heads, see `judges_identity.IdentityDistances`.
    """

    fronts: Figure
    shown: int
    views: tuple[Figure, ...] = ()
    looks: tuple[Figure, ...] = ()
    passes: tuple[Figure, ...] = ()
    landmarks: tuple[Figure, ...] = ()
    failures: tuple[Figure, ...] = ()
    look_alikes: tuple[Figure, ...] = ()
    strangers: tuple[Figure, ...] = ()


def on_grey(rgba: np.ndarray) -> np.ndarray:
    """[H, W, 4] uint8 over the page's grey: [H, W, 3] float32 in [0, 1]."""
    image = float_from_rgba8(rgba)
    alpha = image[..., 3:]
    return image[..., :3] * alpha + GREY * (1 - alpha)


def tile(head: HeadRecord, view: int, size: int) -> np.ndarray:
    """[size, size, 3] float32: a view of a head, see `fit`."""
    return fit(on_grey(head.rgba(view)), size)


def portrait(head: HeadRecord, size: int) -> np.ndarray:
    """[size, size, 3] float32: the front view, cut to the head."""
    picture = on_grey(head.rgba(front_view(head)))
    height, width = picture.shape[:2]
    side = int(_PORTRAIT * min(height, width))
    top, left = int(_PORTRAIT_TOP * height), (width - side) // 2
    return fit(picture[top : top + side, left : left + side], size)


def fit(image: np.ndarray, size: int) -> np.ndarray:
    """[size, size, C] of a square picture: reduced by area, or enlarged by interpolation."""
    if image.shape[0] >= size:
        return area_average(image, size, size)
    middle = np.array(image.shape[1::-1]) / 2
    return cut_out(image, middle, image.shape[0] / 2, size)


def cut_out(image: np.ndarray, middle: np.ndarray, reach: float, size: int) -> np.ndarray:
    """A square of a picture, interpolated between its pixels.

    Args:
        image: [H, W, C] float.
        middle: (x, y) in pixels, the centre of the first one at (0.5, 0.5).
        reach: half the width of the square in pixels.
        size: of the result; not much smaller than the square, or it aliases.

    Returns:
        [size, size, C].
    """
    steps = (np.arange(size) + 0.5) / size * 2 * reach - reach - 0.5

    def parts(centre: float, limit: int) -> tuple[np.ndarray, np.ndarray]:
        place = np.clip(centre + steps, 0, limit - 1.001)
        return place.astype(int), (place % 1).astype(np.float32)

    (left, across), (top, down) = parts(middle[0], image.shape[1]), parts(middle[1], image.shape[0])
    across, down = across[None, :, None], down[:, None, None]
    upper = image[np.ix_(top, left)] * (1 - across) + image[np.ix_(top, left + 1)] * across
    lower = image[np.ix_(top + 1, left)] * (1 - across) + image[np.ix_(top + 1, left + 1)] * across
    return upper * (1 - down) + lower * down


def front_view(head: HeadRecord) -> int:
    """Number of the front view; the first view where there is none."""
    return choose_views(head.cameras).get("front", 0)


def mosaic(tiles: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Tiles of one size in rows, a hair's breadth apart: [H, W, 3] float32."""
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    sheet = np.ones((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), np.float32)
    sheet *= GREY
    for number, picture in enumerate(tiles):
        top, left = (number // columns) * (height + _GAP), (number % columns) * (width + _GAP)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def columns_of(count: int, most: int) -> int:
    """Columns of a mosaic: as many as fit, with a last row that is nearly full."""
    rows = -(-count // most)
    return -(-count // rows)


def write_jpeg(path: Path, image: np.ndarray) -> Path:
    """Write [H, W, 3] float in [0, 1] as JPEG, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(
            iio.imwrite("<bytes>", rgba8_from_float(image), extension=".jpg", quality=JPEG_QUALITY)
        )
    return path


# ------------------------------------------------------------------------------- ground truth


LABEL_COLOURS = {
    "background": "#e6e6e6", "skin": "#f0b48c", "lips": "#d1495b", "mouth": "#7a1f2b",
    "teeth": "#fffbe6", "tongue": "#ef8a9a", "sclera": "#bcd9ea", "iris": "#1b6f8a",
    "brows": "#5b3a29", "lashes": "#1c1c24", "hair": "#6a4c93", "beard": "#a05195",
    "clothes": "#4f7cac", "headwear": "#43aa8b", "glasses_frame": "#f3722c",
    "glasses_lens": "#90be6d", "earrings": "#f9c74f",
}  # fmt: skip
"""Of the labels of `synth.ground_truth`, for people."""


def colourise(name: str, values: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """A pass as a picture.

    Args:
        name: of `synth.ground_truth.PASSES`, one with a picture.
        values: as `PASSES[name].array` says.
        alpha: [H, W] in [0, 1], where the head is.

    Returns:
        [H, W, 3] float32 in [0, 1].
    """
    kind = name.removesuffix("_under")
    if kind == "depth":
        return _depth_colours(values)
    if kind == "segmentation":
        return _palette()[values]
    if kind == "coverage":
        share = values / np.maximum(values.sum(axis=0), 1)  # lenses come on top of what is behind
        nothing = 1 - share.sum(axis=0)[..., None]
        return (np.tensordot(share, _palette()[1:], axes=(0, 0)) + nothing * GREY).astype(
            np.float32
        )
    if kind == "albedo":
        colour = srgb_from_linear(values[..., :3])
        return (colour * values[..., 3:] + GREY * (1 - values[..., 3:])).astype(np.float32)
    seen = np.isfinite(values).all(-1, keepdims=True) & (alpha > 0)[..., None]
    if kind.startswith("normal"):
        seen &= np.abs(values).any(-1, keepdims=True)
    if kind == "normal_camera":  # the usual look of normal maps: green is up, blue faces the viewer
        values = values * np.array([1, -1, -1], np.float32)
    scaled = np.clip((np.nan_to_num(values) + 1) / 2, 0, 1)
    return np.where(seen, scaled, GREY).astype(np.float32)


def _depth_colours(depth: np.ndarray) -> np.ndarray:
    """Near is light, far is dark, over the depths of the head; grey where nothing is."""
    from matplotlib import colormaps

    seen = depth > 0
    low, high = np.quantile(depth[seen], (0.005, 0.98)) if seen.any() else (0.0, 1.0)
    nearness = 1 - np.clip((depth - low) / max(high - low, 1e-6), 0, 1)
    colours = colormaps["magma"](0.05 + 0.9 * nearness)[..., :3]
    return np.where(seen[..., None], colours, GREY).astype(np.float32)


def _palette() -> np.ndarray:
    """[labels, 3] float32 in [0, 1], by the number of the label."""
    palette = np.full((len(LABELS), 3), GREY, np.float32)
    for name, number in LABELS.items():
        code = LABEL_COLOURS[name]
        palette[number] = [int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return palette
