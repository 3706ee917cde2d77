"""gsplat's own Python reference, completed: what it leaves to CUDA and to nerfacc is done here.

`gsplat.cuda._torch_impl` projects, evaluates spherical harmonics and composites lists of (Gaussian,
pixel) pairs. It gets the lists from a CUDA kernel and the sums along rays from nerfacc, neither of
which a CPU has. The two stand-ins are written from gsplat's documentation; everything else that is
computed here is gsplat's code. Loaded by path from the tests and the bench.
"""

from __future__ import annotations

import sys
import types

import torch
from gsplat.cuda import _torch_impl as reference
from torch import Tensor

ALPHA_CUT, TRANSMITTANCE_STOP, ALPHA_MAX = 1 / 255, 1e-4, 0.999


def rasterization(
    means: Tensor,  # [N, 3]
    quats: Tensor,  # [N, 4]
    scales: Tensor,  # [N, 3]
    opacities: Tensor,  # [N]
    colors: Tensor,  # [N, D], or [N, K, 3] with sh_degree
    viewmats: Tensor,  # [C, 4, 4]
    Ks: Tensor,  # [C, 3, 3]
    width: int,
    height: int,
    sh_degree: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Colours [C, H, W, D] on black and alpha [C, H, W, 1]."""
    covariances, _ = reference._quat_scale_to_covar_preci(
        torch.nn.functional.normalize(quats, dim=-1), scales, compute_preci=False
    )
    radii, means2d, depths, conics, _ = reference._fully_fused_projection(
        means, covariances, viewmats, Ks, width, height
    )
    cameras = len(viewmats)
    opacities = opacities.expand(cameras, -1)
    if sh_degree is None:
        colors = colors.expand(cameras, -1, -1)
    else:
        directions = means - torch.linalg.inv(viewmats)[:, None, :3, 3]
        harmonics = reference._spherical_harmonics(
            sh_degree, directions, colors.expand(cameras, -1, -1, -1)
        )
        colors = (harmonics + 0.5).clamp_min(0)
    with torch.no_grad():
        pairs = intersections(means2d, conics, opacities, depths, radii, width, height)
    with_nerfacc = types.ModuleType("nerfacc")
    with_nerfacc.render_weight_from_alpha = render_weight_from_alpha
    with_nerfacc.accumulate_along_rays = accumulate_along_rays
    sys.modules["nerfacc"] = with_nerfacc
    try:
        return reference.accumulate(means2d, conics, opacities, colors, *pairs, width, height)
    finally:
        del sys.modules["nerfacc"]


def intersections(
    means2d: Tensor,
    conics: Tensor,
    opacities: Tensor,
    depths: Tensor,
    radii: Tensor,
    width: int,
    height: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Stand-in for `isect_tiles` and `rasterize_to_indices_in_range`: every pair that is drawn.

    Returns:
        Gaussian, pixel and image of each pair, by image and pixel, and near to far in each.
    """
    image, gaussian = (radii > 0).all(-1).nonzero().unbind(-1)
    order = torch.argsort(depths[image, gaussian], stable=True)
    image, gaussian = image[order], gaussian[order]
    centre, reach = means2d[image, gaussian], radii[image, gaussian]
    limits = torch.tensor([width, height])
    low = (centre - reach).floor().long().clamp_min(0).minimum(limits)
    high = ((centre + reach).ceil().long() + 1).clamp_min(0).minimum(limits)
    across = (high - low)[:, 0].clamp_min(0)
    count = across * (high - low)[:, 1].clamp_min(0)
    member = torch.repeat_interleave(torch.arange(len(count)), count)
    offset = torch.arange(len(member)) - (count.cumsum(0) - count)[member]
    x = low[member, 0] + offset % across[member]
    y = low[member, 1] + offset // across[member]
    image, gaussian, pixel = image[member], gaussian[member], y * width + x
    delta = torch.stack([x, y], dim=-1) + 0.5 - means2d[image, gaussian]
    a, b, c = conics[image, gaussian].unbind(-1)
    sigma = 0.5 * (a * delta[:, 0] ** 2 + c * delta[:, 1] ** 2) + b * delta[:, 0] * delta[:, 1]
    alpha = (opacities[image, gaussian] * (-sigma).exp()).clamp_max(ALPHA_MAX)
    drawn = (sigma >= 0) & (alpha >= ALPHA_CUT)
    image, gaussian, pixel, alpha = (t[drawn] for t in (image, gaussian, pixel, alpha))
    ray = image * (width * height) + pixel
    order = torch.argsort(ray, stable=True)
    image, gaussian, pixel, alpha, ray = (t[order] for t in (image, gaussian, pixel, alpha, ray))
    # the Gaussian that would close a pixel is not drawn, and nothing behind it
    after = transmittance(alpha, ray) * (1 - alpha)
    is_open = after > TRANSMITTANCE_STOP
    return gaussian[is_open], pixel[is_open], image[is_open]


def transmittance(alpha: Tensor, ray: Tensor) -> Tensor:
    """What reaches each pair through those before it on its ray; rays in one piece each."""
    logs = torch.log1p(-alpha.double())
    before = logs.cumsum(0) - logs
    first = torch.ones_like(ray, dtype=torch.bool)
    first[1:] = ray[1:] != ray[:-1]
    start = torch.arange(len(ray)).where(first, 0).cummax(0).values
    return (before - before[start]).exp().to(alpha.dtype)


def render_weight_from_alpha(alpha: Tensor, ray_indices: Tensor, n_rays: int):
    """Stand-in for nerfacc's: weights alpha T, and T."""
    through = transmittance(alpha, ray_indices)
    return alpha * through, through


def accumulate_along_rays(
    weights: Tensor, values: Tensor | None, ray_indices: Tensor, n_rays: int
) -> Tensor:
    """Stand-in for nerfacc's: sums of weights, or of weighted values, by ray [n_rays, D]."""
    weighted = weights[:, None] if values is None else weights[:, None] * values
    total = weighted.new_zeros(n_rays, weighted.shape[-1])
    return total.index_add(0, ray_indices, weighted)
