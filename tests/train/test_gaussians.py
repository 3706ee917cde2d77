"""`Gaussians`: activations, validation and bookkeeping."""

import math

import pytest
import torch

from train.gaussians import (
    Gaussians,
    rgb_from_sh0,
    rotation_from_quaternion,
    sh0_from_rgb,
)


def some(count: int = 4, batch: tuple[int, ...] = ()) -> Gaussians:
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*batch, *shape, generator=generator)  # noqa: E731
    return Gaussians(draw(count, 3), draw(count, 4), draw(count, 3), draw(count), draw(count, 1, 3))


def test_activations_invert_the_stored_numbers():
    rgb = torch.tensor([[0.2, 0.5, 0.9]])
    g = Gaussians.from_activated(
        means=torch.zeros(1, 3),
        quats=torch.tensor([[2.0, 0.0, 0.0, 0.0]]),
        scales=torch.tensor([[0.1, 0.2, 0.3]]),
        opacities=torch.tensor([0.75]),
        rgb=rgb,
    )
    torch.testing.assert_close(g.scales, torch.tensor([[0.1, 0.2, 0.3]]))
    torch.testing.assert_close(g.opacities, torch.tensor([0.75]))
    torch.testing.assert_close(g.rgb(), rgb)
    torch.testing.assert_close(g.rotations, torch.eye(3)[None])
    assert g.log_scales[0, 0].item() == pytest.approx(math.log(0.1))
    assert g.logit_opacities.item() == pytest.approx(math.log(3.0))


def test_sh0_uses_the_constant_of_the_format():
    assert rgb_from_sh0(torch.tensor([1.0])).item() == pytest.approx(0.5 + 0.28209479177387814)
    assert rgb_from_sh0(torch.tensor([-9.0])).item() == 0.0
    assert sh0_from_rgb(torch.tensor([0.5])).item() == 0.0


def test_quaternion_is_w_first_and_rotates_counter_clockwise():
    half = math.radians(90) / 2
    about_z = torch.tensor([math.cos(half), 0.0, 0.0, math.sin(half)]) * 3
    turned = rotation_from_quaternion(about_z) @ torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(turned, torch.tensor([0.0, 1.0, 0.0]), atol=1e-6, rtol=0)


def test_rotations_are_orthonormal():
    rotations = some(50).rotations
    identity = torch.eye(3).expand(50, 3, 3)
    torch.testing.assert_close(rotations @ rotations.mT, identity, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(50), atol=1e-5, rtol=0)


def test_index_cat_and_map():
    batch = some(4, (2,))
    assert batch[1].means.shape == (4, 3)
    mask = torch.tensor([True, False, True, True])
    kept = batch[1][mask]
    assert kept.count == 3
    joined = Gaussians.cat([kept, kept])
    assert joined.count == 6
    assert joined.logit_opacities.shape == (6,)
    torch.testing.assert_close(joined.sh[3:], kept.sh)
    assert batch.to(torch.float64).means.dtype == torch.float64
    assert Gaussians.cat([batch, batch]).means.shape == (2, 8, 3)


def test_indexing_a_single_gaussian_is_refused():
    with pytest.raises(IndexError, match="slice"):
        some()[0]


@pytest.mark.parametrize("name", ["quats", "log_scales", "logit_opacities", "sh"])
def test_wrong_shape_is_named(name):
    g = some()
    parts = {f: getattr(g, f) for f in ("means", "quats", "log_scales", "logit_opacities", "sh")}
    parts[name] = parts[name][:-1]
    with pytest.raises(ValueError, match=name):
        Gaussians(**parts)


def test_wrong_dtype_is_named():
    g = some()
    with pytest.raises(ValueError, match=r"quats is torch\.float64"):
        Gaussians(g.means, g.quats.double(), g.log_scales, g.logit_opacities, g.sh)
    with pytest.raises(ValueError, match="16 coefficients, got 2"):
        Gaussians(g.means, g.quats, g.log_scales, g.logit_opacities, g.sh.expand(4, 2, 3))


def test_validate_counts_non_finite_numbers():
    g = some()
    assert g.validate() is g
    g.log_scales[0, 0] = float("nan")
    with pytest.raises(ValueError, match="log_scales holds 1 non-finite of 12"):
        g.validate()
