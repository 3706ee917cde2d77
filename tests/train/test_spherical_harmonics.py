"""Colour by direction: the basis against gsplat's and against its own definition."""

from __future__ import annotations

import pytest
import torch

from synth.camera import ring, stack
from train.gaussians import Gaussians
from train.rasterize import rasterization, render
from train.spherical_harmonics import basis, colors_from_sh


def directions(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(vectors, dim=-1)


def scene(degree: int, count: int = 12) -> tuple[Gaussians, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    draw = [
        torch.randn(count, *shape, generator=generator, dtype=torch.float64)
        for shape in ((3,), (4,), (3,), (), ((degree + 1) ** 2, 3))
    ]
    means, quats, scales, opacities, sh = draw
    cameras = (torch.from_numpy(array) for array in stack(ring(3, 20.0, size=24)))
    return Gaussians(0.3 * means, quats, 0.1 * scales - 1.8, opacities, 0.4 * sh), *cameras


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_basis_is_gsplats(degree):
    twin = pytest.importorskip("gsplat.cuda._torch_impl")
    at = directions(200)
    expected = twin._eval_sh_bases_fast((degree + 1) ** 2, at)
    torch.testing.assert_close(basis(degree, at), expected, atol=1e-12, rtol=1e-9)


def test_basis_is_orthonormal():
    """The mean of products over the sphere, by many points evenly spread, is 1 / (4 pi) or 0."""
    count = 40_000
    index = torch.arange(count, dtype=torch.float64) + 0.5
    z, turn = 1 - 2 * index / count, torch.pi * (1 + 5**0.5) * index
    radius = (1 - z * z).sqrt()
    values = basis(3, torch.stack([radius * turn.cos(), radius * turn.sin(), z], dim=-1))
    products = values.T @ values / count * 4 * torch.pi
    torch.testing.assert_close(products, torch.eye(16, dtype=torch.float64), atol=1e-3, rtol=0)


@pytest.mark.parametrize("degree", [1, 3])
def test_every_camera_sees_its_own_colours(degree):
    gaussians, cam_from_world, K = scene(degree)
    values, alphas, _ = rasterization(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh,
        cam_from_world, K, 24, 24, sh_degree=degree,
    )  # fmt: skip
    for camera in range(3):
        centre = torch.linalg.inv(cam_from_world[camera])[:3, 3]
        seen_along = torch.nn.functional.normalize(gaussians.means - centre, dim=-1)
        colors = (basis(degree, seen_along)[..., None] * gaussians.sh).sum(1) + 0.5
        expected, _, _ = rasterization(
            gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities,
            colors.clamp_min(0), cam_from_world[camera, None], K[camera, None], 24, 24,
        )  # fmt: skip
        torch.testing.assert_close(values[camera], expected[0])
    assert (values[0] - values[1]).abs().max() > 0.05 and alphas.max() > 0.5
    drawn = render(gaussians, cam_from_world, K, 24, 24).color
    torch.testing.assert_close(drawn, values)


def test_a_lower_degree_leaves_the_rest_unused():
    gaussians, cam_from_world, _ = scene(3)
    low = colors_from_sh(1, gaussians.sh, gaussians.means, cam_from_world)
    cut = colors_from_sh(1, gaussians.sh[:, :4], gaussians.means, cam_from_world)
    assert torch.equal(low, cut)
    assert low.shape == (3, 12, 3)


def test_gradients():
    gaussians, cam_from_world, _ = scene(2, count=4)
    leaves = [t.clone().requires_grad_() for t in (gaussians.sh, gaussians.means, cam_from_world)]
    assert torch.autograd.gradcheck(lambda *a: colors_from_sh(2, *a), leaves)
