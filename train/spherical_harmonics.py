"""Colour that depends on the direction it is seen from: real spherical harmonics to degree 3.

Order and signs are those of 3D Gaussian splatting (Kerbl et al. 2023) and of gsplat: by degree,
then by order from -degree to degree, with the Condon-Shortley phase. The polynomials are those of
Sloan 2013, "Efficient Spherical Harmonic Evaluation", JCGT 2(2).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from train.gaussians import rgb_from_sh0

MAX_DEGREE = 3


def colors_from_sh(degree: int, coefficients: Tensor, means: Tensor, viewmats: Tensor) -> Tensor:
    """Colours of Gaussians as cameras see them.

    Args:
        degree: 0 to 3; coefficients beyond it are not used.
        coefficients: [..., N, K, 3], K at least (degree + 1)^2, or [..., C, N, K, 3].
        means: [..., N, 3] in world coordinates.
        viewmats: [..., C, 4, 4] `cam_from_world`.

    Returns:
        [..., C, N, 3], at least 0; for degree 0, which no direction changes, without the C of the
        cameras if the coefficients have none.
    """
    if degree == 0:
        return rgb_from_sh0(coefficients[..., 0, :])
    rotation, translation = viewmats[..., :3, :3], viewmats[..., :3, 3]
    centres = -torch.einsum("...ji,...j->...i", rotation, translation)
    directions = normalize(means[..., None, :, :] - centres[..., None, :], dim=-1)
    if coefficients.ndim == means.ndim + 1:
        coefficients = coefficients[..., None, :, :, :]
    values = basis(degree, directions)[..., None] * coefficients[..., : (degree + 1) ** 2, :]
    return (values.sum(dim=-2) + 0.5).clamp_min(0.0)


def basis(degree: int, directions: Tensor) -> Tensor:
    """The functions up to a degree at unit vectors: [..., 3] -> [..., (degree + 1)^2]."""
    x, y, z = directions.unbind(-1)
    values = [torch.full_like(x, math.sqrt(1 / (4 * math.pi)))]
    if degree >= 1:
        first = math.sqrt(3 / (4 * math.pi))
        values += [-first * y, first * z, -first * x]
    if degree >= 2:
        mixed, squares = math.sqrt(15 / (4 * math.pi)), math.sqrt(5 / (16 * math.pi))
        values += [
            mixed * x * y,
            -mixed * y * z,
            squares * (3 * z * z - 1),
            -mixed * x * z,
            0.5 * mixed * (x * x - y * y),
        ]
    if degree >= 3:
        outer, inner = math.sqrt(35 / (32 * math.pi)), math.sqrt(21 / (32 * math.pi))
        product, pole = math.sqrt(105 / (4 * math.pi)), math.sqrt(7 / (16 * math.pi))
        values += [
            -outer * y * (3 * x * x - y * y),
            product * x * y * z,
            -inner * y * (5 * z * z - 1),
            pole * z * (5 * z * z - 3),
            -inner * x * (5 * z * z - 1),
            0.5 * product * z * (x * x - y * y),
            -outer * x * (x * x - 3 * y * y),
        ]
    return torch.stack(values, dim=-1)
