"""Ground truth beside the pictures: which passes there are, how files hold them, how to use them.

Every pass but `albedo` and `coverage` says what lies at the *centre* of each pixel: one ray, no
blending, so that values of different surfaces are never mixed. Corneas, tear lines and lenses are
looked through. docs/dataset_format.md describes the same for readers without Python.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from synth.camera import Camera
from synth.color import linear_from_srgb, srgb_from_linear
from synth.config import did_you_mean

LABELS = {
    "background": 0,
    "skin": 1,
    "lips": 2,
    "mouth": 3,
    "teeth": 4,
    "tongue": 5,
    "sclera": 6,
    "iris": 7,
    "brows": 8,
    "lashes": 9,
    "hair": 10,
    "beard": 11,
    "clothes": 12,
    "headwear": 13,
    "glasses_frame": 14,
    "glasses_lens": 15,
    "earrings": 16,
}
"""Numbers in the segmentation. `mouth` is the inside of the mouth with the gums, `iris` includes
the pupil, `hair` is scalp hair."""

COVERING_LABELS = ("hair", "beard", "headwear", "glasses_frame", "glasses_lens", "earrings")
"""What the `_under` passes leave away."""


@dataclass(frozen=True)
class Pass:
    """A pass as `HeadRecord.pass_image` returns it, and how the file holds it.

    Attributes:
        summary: what a pixel says.
        array: shape and type after decoding.
        unit: of the values.
        values: their range.
        background: value where nothing is.
        file: what a reader without this package finds in the shard.
        stored: name of the pass whose file holds it.
    """

    summary: str
    array: str
    unit: str
    values: str
    background: str
    file: str
    stored: str


DEPTH_STEP = 1 / 2048
"""Resolution of stored depth in scene units; 0.1 mm, a tenth of a pixel of the default rig at
512 px. The largest error is half of it. Finer steps would not reach the far ends of sleeves, which
a camera may see 16 units behind the origin."""
DEPTH_REACH = (8.0, 24.0)
"""Scene units before and behind the origin that 16 bits of these steps reach."""
_DEPTH_ZERO = round(DEPTH_REACH[0] / DEPTH_STEP)

_DEPTH = Pass(
    summary="distance of the first surface along the camera's z axis",
    array="[H, W] float32",
    unit="scene units",
    values="above 0, to 1/4096",
    background="0",
    file="PNG uint16 v: depth = |camera centre| + (v - 16384) / 2048, nothing where v = 0",
    stored="depth",
)
_NORMAL = Pass(
    summary="normal of the first surface in world axes, without the relief of textures; of hair, "
    "that of the mass of strands, blurred over a centimetre",
    array="[H, W, 3] float32",
    unit="unit vector",
    values="[-1, 1]",
    background="0",
    file="PNG uint8 RGB v: normal = v / 127.5 - 1 normalised, nothing where v = (0, 0, 0)",
    stored="normal_world",
)
_SEGMENTATION = Pass(
    summary="what is seen, a number of LABELS; a lens is told although depth looks through it",
    array="[H, W] uint8",
    unit="label",
    values="0 ... 16",
    background="0",
    file="PNG uint8",
    stored="segmentation",
)
_UNDER = "as if hair, beard, headwear, glasses and earrings were absent"

PASSES = {
    "depth": _DEPTH,
    "position": replace(
        _DEPTH,
        summary="world position of the first surface, computed from depth and camera",
        array="[H, W, 3] float32",
        values="the scene",
        background="NaN",
        file="that of depth",
    ),
    "normal_world": _NORMAL,
    "normal_camera": replace(
        _NORMAL,
        summary="the same in the OpenCV axes of the camera (x right, y down, z forward)",
        stored="normal_camera",
    ),
    "segmentation": _SEGMENTATION,
    "depth_under": replace(_DEPTH, summary=f"depth {_UNDER}", stored="depth_under"),
    "segmentation_under": replace(
        _SEGMENTATION, summary=f"labels {_UNDER}", stored="segmentation_under"
    ),
    "albedo": Pass(
        summary="linear colour of surfaces without light, averaged over the pixel; alpha of the "
        "picture",
        array="[H, W, 4] float32",
        unit="reflectance",
        values="[0, 1]",
        background="0",
        file="PNG uint8 RGBA, colour sRGB encoded, straight alpha",
        stored="albedo",
    ),
    "coverage": Pass(
        summary="share of the pixel that each label 1 ... 16 covers; lenses on top of what is "
        "behind them",
        array="[16, H, W] float32",
        unit="share",
        values="[0, 1]",
        background="0",
        file="PNG uint8 [16 H, W], one plane a label from top to bottom, v / 255",
        stored="coverage",
    ),
    "landmarks": Pass(
        summary="named and dense points of the head in 3D with their visibility in every view",
        array="see synth.landmarks.HeadLandmarks",
        unit="scene units",
        values="",
        background="",
        file="landmarks.npz, one a head",
        stored="landmarks",
    ),
}
"""Every pass that `passes` of a dataset's configuration may list."""

SURFACE_PASSES = (
    "depth", "normal_world", "normal_camera", "segmentation", "depth_under", "segmentation_under",
)  # fmt: skip
"""Stored per view, from a ray through each pixel's centre."""
AVERAGED_PASSES = ("albedo", "coverage")
"""Stored per view, averaged like the picture."""


def check_passes(path: str, names: Iterable[str]) -> None:
    """Raise `ValueError` unless every name, found at `path` of a configuration, is a pass."""
    names = tuple(names)
    for number, name in enumerate(names):
        if name not in PASSES:
            raise ValueError(
                f"{path}: {name!r} is not one of {', '.join(PASSES)}{did_you_mean(name, PASSES)}"
            )
        if name in names[:number]:
            raise ValueError(f"{path}: {name!r} is listed twice")


def stored_passes(names: Iterable[str]) -> tuple[str, ...]:
    """The passes with a file of their own that `names` need, each once."""
    return tuple(dict.fromkeys(PASSES[name].stored for name in names))


# ------------------------------------------------------------------------------------------- files


def encode(name: str, values: np.ndarray, camera: Camera) -> np.ndarray:
    """A pass as the picture that its file holds.

    Args:
        name: a stored pass other than landmarks.
        values: as `PASSES[name].array` says.
        camera: of this view.

    Raises:
        ValueError: a depth that lies out of `DEPTH_REACH`.
    """
    kind = name.removesuffix("_under")
    if kind == "depth":
        steps = np.round((values - np.linalg.norm(camera.position)) / DEPTH_STEP) + _DEPTH_ZERO
        hit = values > 0
        if hit.any() and not (steps[hit].min() >= 1 and steps[hit].max() <= 65535):
            raise ValueError(
                f"{name}, view {camera.name!r}: depth {values[hit].min():.2f} ... "
                f"{values[hit].max():.2f} is not between {DEPTH_REACH[0]:.0f} units before and "
                f"{DEPTH_REACH[1]:.0f} units behind the origin"
            )
        return np.where(hit, steps, 0).astype(np.uint16)
    if kind.startswith("normal"):
        found = (np.abs(values) > 0).any(axis=-1, keepdims=True)
        return np.where(found, np.round((values + 1) * 127.5), 0).astype(np.uint8)
    if kind == "albedo":
        colour = np.concatenate([srgb_from_linear(values[..., :3]), values[..., 3:]], axis=-1)
        return np.round(np.clip(colour, 0, 1) * 255).astype(np.uint8)
    if kind == "coverage":
        planes = values.reshape(-1, values.shape[-1])
        return np.round(np.clip(planes, 0, 1) * 255).astype(np.uint8)
    return values.astype(np.uint8)


def decode(name: str, stored: np.ndarray, camera: Camera) -> np.ndarray:
    """The inverse of `encode`, to the resolution of the file; for every pass but landmarks.

    Args:
        name: a pass; `stored` is the picture of `PASSES[name].stored`.
        stored: the picture.
        camera: of this view.
    """
    kind = name.removesuffix("_under")
    if kind in ("depth", "position"):
        steps = stored.astype(np.float64)
        depth = np.linalg.norm(camera.position) + (steps - _DEPTH_ZERO) * DEPTH_STEP
        depth = np.where(stored > 0, depth, 0.0)
        if kind == "depth":
            return depth.astype(np.float32)
        return surface_positions(depth, camera).astype(np.float32)
    if kind.startswith("normal"):
        normal = stored.astype(np.float32) / np.float32(127.5) - 1
        found = stored.any(axis=-1, keepdims=True)
        length = np.linalg.norm(normal, axis=-1, keepdims=True)
        return np.where(found, normal / np.maximum(length, 1e-6), np.float32(0))
    if kind == "albedo":
        values = stored.astype(np.float32) / np.float32(255)
        return np.concatenate([linear_from_srgb(values[..., :3]), values[..., 3:]], axis=-1)
    if kind == "coverage":
        planes = stored.reshape(len(LABELS) - 1, -1, stored.shape[-1])
        return planes.astype(np.float32) / np.float32(255)
    return stored


# ---------------------------------------------------------------------------------------- geometry


def pixel_centres(camera: Camera) -> np.ndarray:
    """[H, W, 2] float64, x and y of every pixel's centre; the first is (0.5, 0.5)."""
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    return np.stack([x, y], axis=-1)


def surface_positions(depth: np.ndarray, camera: Camera) -> np.ndarray:
    """World positions [H, W, 3] float64 of a depth picture [H, W]; NaN where it is 0."""
    points = camera.unproject(pixel_centres(camera).reshape(-1, 2), depth.ravel())
    points[depth.ravel() <= 0] = np.nan
    return points.reshape(*depth.shape, 3)


def reproject(depth: np.ndarray, camera: Camera, other: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of one view lie in another.

    Args:
        depth: [H, W], the pass of `camera`.
        camera: of that view.
        other: the other view's.

    Returns:
        pixels [H, W, 2] (x, y) in the other view and their depth [H, W] there; NaN where `depth`
        is 0. A pixel is visible in the other view where that view's own depth is not smaller.
    """
    points = surface_positions(depth, camera).reshape(-1, 3)
    pixels, there = other.project(points)
    return pixels.reshape(*depth.shape, 2), there.reshape(depth.shape)
