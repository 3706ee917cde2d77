"""Rays through the pixel centres of posed cameras, and the six numbers a network sees of each."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

RayFeatures = Literal["closest_point", "pluecker"]
"""How a ray is described; see `ray_features`."""


class Rays(NamedTuple):
    """Rays of the pixels of V cameras.

    Attributes:
        origins: [..., V, 3] camera centres in world coordinates.
        directions: [..., V, H, W, 3] unit vectors in world coordinates.
    """

    origins: Tensor
    directions: Tensor


def camera_rays(cam_from_world: Tensor, K: Tensor, height: int, width: int) -> Rays:
    """Rays from the camera centre through every pixel centre, at +0.5.

    Args:
        cam_from_world: [..., V, 4, 4] rigid OpenCV cameras, float.
        K: [..., V, 3, 3] intrinsics in pixels, float; skew is respected.
        height, width: in pixels.

    Raises:
        ValueError: the shapes do not fit together.
    """
    if cam_from_world.shape[-2:] != (4, 4) or K.shape != (*cam_from_world.shape[:-2], 3, 3):
        raise ValueError(
            "expected cam_from_world [..., V, 4, 4] and K [..., V, 3, 3], got "
            f"{list(cam_from_world.shape)} and {list(K.shape)}"
        )
    options = {"dtype": cam_from_world.dtype, "device": cam_from_world.device}
    y = (torch.arange(height, **options) + 0.5)[:, None]
    x = (torch.arange(width, **options) + 0.5)[None, :]
    parts = (K[..., 0, 0], K[..., 1, 1], K[..., 0, 2], K[..., 1, 2], K[..., 0, 1])
    fx, fy, cx, cy, skew = (value[..., None, None] for value in parts)
    down = ((y - cy) / fy).expand(*K.shape[:-2], height, width)
    right = (x - cx - skew * down) / fx
    in_camera = torch.stack([right, down, torch.ones_like(down)], dim=-1)
    rotation, translation = cam_from_world[..., :3, :3], cam_from_world[..., :3, 3]
    directions = torch.einsum("...ji,...hwj->...hwi", rotation, in_camera)
    origins = -torch.einsum("...ji,...j->...i", rotation, translation)
    return Rays(origins, torch.nn.functional.normalize(directions, dim=-1))


def closest_approach(rays: Rays) -> Tensor:
    """Distance along each ray, from the camera, of its point closest to the world's origin.

    It is -(o . d), which is positive for a camera that looks towards the origin.

    Returns:
        [..., V, H, W] in scene units.
    """
    return -torch.einsum("...i,...hwi->...hw", rays.origins, rays.directions)


def ray_features(rays: Rays, kind: RayFeatures = "closest_point") -> Tensor:
    """Six numbers that describe each ray.

    Args:
        rays: of V cameras.
        kind: "closest_point": unit direction d, then the point of the ray closest to the origin,
            o - (o . d) d (FaceLift's variant). "pluecker": moment o x d, then d (GS-LRM, section
            3.1; Pluecker 1865).

    Returns:
        [..., V, H, W, 6].
    """
    directions = rays.directions
    origins = rays.origins[..., None, None, :].expand_as(directions)
    if kind == "closest_point":
        closest = origins + closest_approach(rays)[..., None] * directions
        return torch.cat([directions, closest], dim=-1)
    if kind == "pluecker":
        return torch.cat([torch.cross(origins, directions, dim=-1), directions], dim=-1)
    raise ValueError(f"ray features {kind!r} are not one of closest_point, pluecker")
