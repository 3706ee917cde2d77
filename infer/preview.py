"""Pictures and films of a lifted head: turntable, strip of views, sprite sheet to spin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from infer.config import TurntableConfig
from synth.camera import Camera, ring, stack
from synth.color import rgba8_from_float
from synth.config import atomic_write
from train.gaussians import Gaussians
from train.rasterize import render

_CAMERAS_AT_ONCE = 8
"""Bounds the memory of the rasteriser; the pixels do not depend on it."""


def render_views(gaussians: Gaussians, cameras: Sequence[Camera]) -> Iterator[np.ndarray]:
    """Render Gaussians on white, one picture per camera.

    Args:
        gaussians: N Gaussians (no batch dimension), on any device.
        cameras: all of one size.

    Yields:
        [H, W, 3] uint8, sRGB.
    """
    device = gaussians.means.device
    white = torch.ones(3, device=device)
    for start in range(0, len(cameras), _CAMERAS_AT_ONCE):
        part = cameras[start : start + _CAMERAS_AT_ONCE]
        cam_from_world, K = (
            torch.from_numpy(matrix).to(device, torch.float32) for matrix in stack(part)
        )
        with torch.inference_mode():
            color = render(
                gaussians, cam_from_world, K, part[0].width, part[0].height, background=white
            ).color
        yield from rgba8_from_float(color.cpu().numpy())


def turntable(gaussians: Gaussians, config: TurntableConfig) -> list[np.ndarray]:
    """One turn around the head, the first frame from the front.

    Returns:
        `config.frames` pictures [size_px, size_px, 3] uint8, sRGB, on white.
    """
    cameras = ring(config.frames, config.elevation_deg, config.size_px)
    return list(render_views(gaussians, cameras))


def strip(pictures: Sequence[np.ndarray], gap_px: int = 4) -> np.ndarray:
    """Pictures side by side on white.

    Args:
        pictures: [H, W, 3] uint8 each, all of one height.
        gap_px: white columns between them.

    Returns:
        [H, sum of W and gaps, 3] uint8.
    """
    gap = np.full((pictures[0].shape[0], gap_px, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=1)


def sprite_sheet(frames: Sequence[np.ndarray], size_px: int, columns: int) -> np.ndarray:
    """Frames in a grid, row by row, for the gallery's drag-to-spin view.

    Args:
        frames: [H, W, 3] uint8 each.
        size_px: side of a cell.
        columns: cells in a row; the last row is filled up with white.

    Returns:
        [rows x size_px, columns x size_px, 3] uint8.
    """
    rows = -(-len(frames) // columns)
    sheet = np.full((rows * size_px, columns * size_px, 3), 255, np.uint8)
    for index, frame in enumerate(frames):
        top, left = index // columns * size_px, index % columns * size_px
        cell = Image.fromarray(frame).resize((size_px, size_px), Image.Resampling.LANCZOS)
        sheet[top : top + size_px, left : left + size_px] = np.asarray(cell)
    return sheet


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write a picture atomically; the format follows the name (`.png`, or `.jpg` at quality 88).

    Args:
        path: of the file.
        image: [H, W, 3] or [H, W, 4] uint8, sRGB.
    """
    path = Path(path)
    with atomic_write(path) as file:
        if path.suffix == ".png":
            Image.fromarray(image).save(file, format="PNG", compress_level=6)
        else:
            Image.fromarray(image).save(file, format="JPEG", quality=88, subsampling=0)
