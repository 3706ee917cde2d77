"""The loss of the reconstructor: each part does what it says, and costs nothing when it is off."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from synth.camera import canonical_six, stack
from train.gaussians import Gaussians
from train.gslrm.batch import GslrmBatch
from train.gslrm.config import GslrmConfig, LossConfig
from train.gslrm.objective import Objective, depth_loss
from train.rasterize import render

SIZE = 32
GREY = 0.4


def make_gaussians(heads: int = 2, count: int = 40) -> Gaussians:
    generator = torch.Generator().manual_seed(3)
    numbers = [torch.randn(heads, count, width, generator=generator) for width in (3, 4, 3, 1, 3)]
    means, quats, scales, opacities, sh = numbers
    return Gaussians(0.3 * means, quats, 0.2 * scales - 2.5, opacities[..., 0], sh[:, :, None])


def make_batch(gaussians: Gaussians, views: int = 3) -> GslrmBatch:
    """Targets that these Gaussians render to exactly."""
    heads = gaussians.means.shape[0]
    cam_from_world, K = (
        torch.from_numpy(array[:views]).float().expand(heads, -1, -1, -1)
        for array in stack(canonical_six(SIZE))
    )
    background = torch.full((heads, 3), GREY)
    with torch.no_grad():
        truth = render(
            gaussians, cam_from_world, K, SIZE, SIZE, background=background[:, None], mode="RGB+ED"
        )
    color, alpha, depth = (x.movedim(-1, -3) for x in (truth.color, truth.alpha, truth.depth))
    return GslrmBatch(
        color, cam_from_world, K, color, alpha, cam_from_world, K, background,
        torch.where(alpha > 0.5, depth, 0),
    )  # fmt: skip


def evaluate(gaussians, batch, *, step: int = 0, deferred: bool = False, **weights):
    config = GslrmConfig(image_size=SIZE, loss=LossConfig(**weights), defer_rendering=deferred)
    return Objective(config)(gaussians, batch, torch.Generator().manual_seed(0), step)


def moved(gaussians: Gaussians, distance: float = 0.05) -> Gaussians:
    return dataclasses.replace(gaussians, means=gaussians.means + distance)


def test_the_truth_costs_nothing_and_anything_else_does():
    gaussians = make_gaussians()
    batch = make_batch(gaussians)
    weights = {"depth_weight": 0.1, "perceptual_weight": 0.5}
    loss, parts = evaluate(gaussians, batch, **weights)
    assert loss.item() < 1e-8
    loss, parts = evaluate(moved(gaussians), batch, **weights)
    assert set(parts) == {"mse", "alpha_mse", "psnr_db", "depth", "lpips"}
    assert all(parts[name] > 0 for name in parts)
    expected = parts["mse"] + 0.2 * parts["alpha_mse"] + 0.1 * parts["depth"] + 0.5 * parts["lpips"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_parts_that_are_off_are_not_there():
    gaussians = make_gaussians()
    _, parts = evaluate(gaussians, make_batch(gaussians))
    assert set(parts) == {"mse", "alpha_mse", "psnr_db"}


def test_perceptual_loss_waits_for_its_step_and_looks_at_its_number_of_views():
    gaussians = make_gaussians()
    batch = make_batch(gaussians)
    options = {"perceptual_weight": 0.5, "perceptual_after": 10}
    early, late = (
        evaluate(moved(gaussians), batch, step=s, **options)[1]["lpips"] for s in (9, 10)
    )
    assert early == 0 and late > 0
    one = {
        evaluate(moved(gaussians), batch, step=10, perceptual_views=1, **options)[1]["lpips"].item()
    }
    whole = late.item()
    assert whole not in one
    some_views = [
        evaluate(moved(make_gaussians()), batch, step=10, perceptual_views=v, **options)[1]["lpips"]
        for v in (3, 99)
    ]
    assert some_views[0].item() == pytest.approx(whole, rel=1e-5)
    assert some_views[1].item() == pytest.approx(whole, rel=1e-5)


def test_deferred_rendering_changes_memory_and_not_the_gradients():
    target = make_gaussians()
    batch = make_batch(target)
    gradients = []
    for deferred in (False, True):
        leaves = moved(make_gaussians()).map(lambda t: t.detach().requires_grad_())
        loss, _ = evaluate(leaves, batch, deferred=deferred, depth_weight=0.1)
        loss.backward()
        gradients.append([getattr(leaves, f.name).grad for f in dataclasses.fields(leaves)])
    for plain, deferred in zip(*gradients):
        assert plain.abs().max() > 0
        torch.testing.assert_close(deferred, plain, atol=1e-6, rtol=1e-4)


def numbers_held(forward: Callable) -> int:
    """How many numbers autograd keeps for the backward pass of a forward pass."""
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr(), tensor.numel()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    return sum(tensor.numel() for tensor in kept.values())


def test_deferred_rendering_keeps_no_picture_for_the_backward_pass():
    """What autograd holds on to between the passes: everything, or the Gaussians and cameras."""
    batch, held = make_batch(make_gaussians()), []
    for deferred in (False, True):
        leaves = make_gaussians().map(lambda t: t.detach().requires_grad_())
        held.append(numbers_held(lambda g=leaves, d=deferred: evaluate(g, batch, deferred=d)))
    assert held[1] < 0.5 * held[0], held


def test_depth_counts_where_both_have_a_surface():
    depth = torch.tensor([2.0, 2.5, 9.0, 3.0]).view(1, 2, 2)
    target = torch.tensor([2.0, 2.7, 0.0, 2.0]).view(1, 2, 2)
    coverage = torch.tensor([1.0, 1.0, 1.0, 0.2]).view(1, 2, 2)
    # of the two pixels that count one is exact and one is off by 0.2: linear beyond 0.05
    assert depth_loss(depth, coverage, target).item() == pytest.approx((0.2 - 0.025) / 2)
    assert depth_loss(depth, torch.zeros(1, 2, 2), target).item() == 0


def test_opacity_weight_pulls_opacities_down():
    gaussians = make_gaussians()
    batch = make_batch(gaussians)
    leaves = gaussians.map(lambda t: t.detach().requires_grad_())
    loss, parts = evaluate(leaves, batch, opacity_weight=1.0)
    assert parts["opacity"].item() == pytest.approx(gaussians.opacities.mean().item())
    loss.backward()
    assert (leaves.logit_opacities.grad > 0).all()


def test_negative_weights_are_refused():
    with pytest.raises(ValueError, match="loss: depth_weight must not be negative"):
        LossConfig(depth_weight=-1.0)
