"""The reconstructor: its formulas number by number, its invariances, its task and its learning."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm

from synth.camera import canonical_six, ring, stack
from synth.config import from_dict, to_dict
from synth.errors import ConfigError
from synth.rng import stream
from train.data import HeadDataset
from train.gaussians import SH_C0
from train.gslrm.config import GslrmConfig, GslrmModelConfig, ViewsConfig
from train.gslrm.model import GSLRM
from train.gslrm.step import GslrmTask
from train.losses import psnr
from train.rasterize import render
from train.registry import presets, resolve_config

TINY = GslrmModelConfig(width=32, layers=2, head_width=8, patch_size=4)


@pytest.fixture(autouse=True)
def one_thread():
    """These models are too small to share, and shared cores make two OpenMP threads crawl."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_model(**options) -> GSLRM:
    torch.manual_seed(0)
    return GSLRM(dataclasses.replace(TINY, **options))


def make_input(views: int = 3, height: int = 8, width: int = 12, batch: int = 1):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(batch, views, 3, height, width, generator=generator)
    cameras = [c.resized(width, height) for c in ring(views, 15.0, size=16)]
    cam_from_world, K = (torch.from_numpy(array).float() for array in stack(cameras))
    return images, cam_from_world.expand(batch, -1, -1, -1), K.expand(batch, -1, -1, -1)


def tensors(gaussians) -> dict[str, Tensor]:
    return {f.name: getattr(gaussians, f.name) for f in dataclasses.fields(gaussians)}


def pixel_index(view: int, row: int, column: int, *, height: int, width: int, patch: int = 4):
    """Where a pixel's Gaussian stands: two free ones, views, patches, pixels of the patch."""
    patches_across = width // patch
    patch_number = (row // patch) * patches_across + column // patch
    in_patch = (row % patch) * patch + column % patch
    return 2 + view * height * width + patch_number * patch**2 + in_patch


def formulas(model: GSLRM, images, cam_from_world, K) -> list[dict[str, np.ndarray | float]]:
    """FaceLift's network from the facts file, one pixel at a time, in float64 and plain loops."""
    weights = {name: value.double() for name, value in model.state_dict().items()}
    _, views, _, height, width = images.shape
    size, patch = model.config.width, model.config.patch_size
    pixels, rays = [], []
    for v in range(views):
        R = cam_from_world[0, v, :3, :3].double()
        o = -R.T @ cam_from_world[0, v, :3, 3].double()
        k = K[0, v].double()
        for top in range(0, height, patch):
            for left in range(0, width, patch):
                vector = []
                for row in range(top, top + patch):
                    for column in range(left, left + patch):
                        d = R.T @ torch.linalg.solve(
                            k, torch.tensor([column + 0.5, row + 0.5, 1.0]).double()
                        )
                        d = d / d.norm()
                        rgb = 2 * images[0, v, :, row, column].double() - 1
                        vector += [rgb, d, o - (o @ d) * d]
                        rays.append((o, d))
                pixels.append(torch.cat(vector))
    norm = lambda x, name: layer_norm(x, (size,), weights[name])  # noqa: E731
    x = torch.cat([weights["free_tokens"], torch.stack(pixels) @ weights["embed.weight"].T])
    x = norm(x, "input_norm.weight")
    for i in range(model.config.layers):
        prefix = f"blocks.{i}."
        q, k, v = (
            norm(x, prefix + "norm1.weight") @ weights[prefix + "attention.to_qkv.weight"].T
        ).split(size, dim=-1)
        heads = []
        for h in range(size // model.config.head_width):
            part = slice(h * model.config.head_width, (h + 1) * model.config.head_width)
            scores = q[:, part] @ k[:, part].T / math.sqrt(model.config.head_width)
            heads.append(scores.softmax(-1) @ v[:, part])
        x = x + torch.cat(heads, -1) @ weights[prefix + "attention.to_out.weight"].T
        hidden = gelu(norm(x, prefix + "norm2.weight") @ weights[prefix + "mlp.0.weight"].T)
        x = x + hidden @ weights[prefix + "mlp.2.weight"].T
    free = norm(x[:2], "free_norm.weight") @ weights["free_head.weight"].T
    pixel = (norm(x[2:], "pixel_norm.weight") @ weights["pixel_head.weight"].T).reshape(-1, 14)
    result = []
    for i, numbers in enumerate(torch.cat([free, pixel])):
        mean = numbers[:3]
        if i >= 2:
            o, d = rays[i - 2]
            distance = (2 * torch.sigmoid(numbers[:3].mean()) - 1) * 1.8 - o @ d
            mean = o + distance * d
        result.append({
            "mean": mean.numpy(),
            "rgb": np.maximum(0.5 + SH_C0 * numbers[3:6].numpy(), 0),
            "scale": np.exp(np.minimum(numbers[6:9].numpy() - 2.3, -1.2)),
            "quat": numbers[9:13].numpy(),
            "opacity": 1 / (1 + math.exp(-(numbers[13].item() - 2.0))),
        })  # fmt: skip
    return result


def test_equals_the_formulas_of_the_facts_file_number_by_number():
    model = make_model()
    with torch.no_grad():
        for parameter in model.parameters():  # larger weights reach the bounds, too
            parameter.mul_(4.0 if parameter.ndim > 1 else 1.3)
    inputs = make_input()
    with torch.no_grad():
        gaussians = model(*inputs)[0]
        expected = formulas(model, *inputs)
    assert gaussians.count == len(expected) == 2 + 3 * 8 * 12
    got = {
        "mean": gaussians.means,
        "rgb": gaussians.rgb(),
        "scale": gaussians.scales,
        "quat": gaussians.quats,
        "opacity": gaussians.opacities,
    }
    for name, values in got.items():
        wanted = np.stack([item[name] for item in expected])
        np.testing.assert_allclose(values.numpy(), wanted, atol=1e-4, err_msg=name)
    assert gaussians.scales.max().item() == pytest.approx(math.exp(-1.2)), "no scale at its bound"


def test_gaussians_lie_on_the_rays_of_their_pixels_in_the_documented_order():
    images, cam_from_world, K = make_input()
    gaussians = make_model()(images, cam_from_world, K)[0]
    cameras = [c.resized(12, 8) for c in ring(3, 15.0, size=16)]
    means = gaussians.means.detach().double().numpy()
    for view, row, column in ((0, 0, 0), (0, 3, 4), (1, 4, 3), (2, 7, 11), (2, 5, 9)):
        index = pixel_index(view, row, column, height=8, width=12)
        pixels, depth = cameras[view].project(means[index : index + 1])
        np.testing.assert_allclose(pixels[0], [column + 0.5, row + 0.5], atol=1e-3)
        # within the depth range of the closest approach to the origin, 2.7 away at the centre
        assert 2.0 - 1.8 < depth[0] < 2.7 + 1.8


def test_zero_logit_is_the_closest_approach_to_the_origin():
    model = make_model()
    torch.nn.init.zeros_(model.pixel_head.weight)
    cam_from_world, K = (torch.from_numpy(a).float()[None] for a in stack(canonical_six(8)))
    means = model(torch.rand(1, 6, 3, 8, 8), cam_from_world, K)[0].means[2:].view(6, -1, 3)
    centers = -torch.einsum("vji,vj->vi", cam_from_world[0, :, :3, :3], cam_from_world[0, :, :3, 3])
    perpendicular = torch.einsum("vni,vni->vn", means, means - centers[:, None])
    torch.testing.assert_close(perpendicular, torch.zeros_like(perpendicular), atol=1e-5, rtol=0)


def test_views_may_come_in_any_order_and_number():
    images, cam_from_world, K = make_input(views=4)
    model = make_model()
    straight = model(images, cam_from_world, K)[0]
    order = [2, 0, 3, 1]
    shuffled = model(images[:, order], cam_from_world[:, order], K[:, order])[0]
    for name, values in tensors(shuffled).items():
        expected = getattr(straight, name)
        per_view = expected[2:].unflatten(0, (4, -1))[order].flatten(0, 1)
        torch.testing.assert_close(values[2:], per_view, atol=1e-5, rtol=1e-5, msg=name)
        torch.testing.assert_close(values[:2], expected[:2], atol=1e-5, rtol=1e-5, msg=name)
    assert model(images[:, :1], cam_from_world[:, :1], K[:, :1]).count == 2 + 8 * 12


def test_batch_equals_single_heads():
    images, cam_from_world, K = make_input(batch=2)
    model = make_model()
    both = model(images, cam_from_world, K)
    second = model(images[1:], cam_from_world[1:], K[1:])
    for name, values in tensors(second).items():
        torch.testing.assert_close(values[0], getattr(both, name)[1], atol=1e-5, rtol=1e-5)


def test_no_bias_and_initial_spread():
    model = make_model(width=128, qk_norm=True)
    names = dict(model.named_parameters())
    assert not [name for name in names if "bias" in name]
    for name, parameter in names.items():
        if parameter.ndim > 1 and parameter.numel() > 2000:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1), name
            assert abs(parameter.mean().item()) < 0.002, name


def test_checkpointing_and_bf16_change_memory_and_speed_not_the_result():
    inputs = make_input()
    losses, gradients = [], []
    for checkpointing in (False, True):
        model = make_model(checkpoint_activations=checkpointing)
        loss = model(*inputs).means.square().mean()
        loss.backward()
        losses.append(loss.item())
        gradients.append(model.embed.weight.grad)
    assert losses[0] == losses[1]
    torch.testing.assert_close(gradients[0], gradients[1])
    model = make_model(qk_norm=True)
    exact = model(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(*inputs)
    assert mixed.means.dtype == torch.float32
    torch.testing.assert_close(mixed.means, exact.means, atol=0.02, rtol=0)
    # rays are exact in any precision: the Gaussian still projects onto its pixel
    camera = ring(3, 15.0, size=16)[1].resized(12, 8)
    index = pixel_index(1, 5, 2, height=8, width=12)
    pixels, _ = camera.project(mixed.means[0, index : index + 1].detach().double().numpy())
    np.testing.assert_allclose(pixels[0], [2.5, 5.5], atol=1e-3)


def test_qk_norm_makes_attention_blind_to_the_size_of_queries():
    inputs = make_input()
    for qk_norm in (False, True):
        model = make_model(qk_norm=qk_norm)
        before = model(*inputs).means
        with torch.no_grad():
            for block in model.blocks:
                block.attention.to_qkv.weight[:32] *= 30  # the queries
        same = torch.allclose(before, model(*inputs).means, atol=1e-5)
        assert same is qk_norm


def test_color_residual_starts_from_the_colour_of_the_pixel():
    model = make_model(color_residual=True)
    torch.nn.init.zeros_(model.pixel_head.weight)
    images, cam_from_world, K = make_input()
    rgb = model(images, cam_from_world, K)[0].rgb()
    index = pixel_index(1, 6, 9, height=8, width=12)
    torch.testing.assert_close(rgb[index], images[0, 1, :, 6, 9])


@pytest.mark.parametrize("size", [16, 32])
def test_input_pixel_scale_is_one_pixel_at_any_resolution(size):
    model = make_model(scale_unit="input_pixel", scale_bias=0.0)
    torch.nn.init.zeros_(model.pixel_head.weight)
    cam_from_world, K = (torch.from_numpy(a).float()[None] for a in stack(canonical_six(size)))
    scales = model(torch.rand(1, 6, 3, size, size), cam_from_world, K)[0].scales[2:]
    on_screen = scales * K[0, 0, 0, 0] / 2.7
    torch.testing.assert_close(on_screen, torch.ones_like(on_screen))


def test_sigmoid_bound_agrees_for_small_scales_and_keeps_a_gradient():
    bounded = make_model(scale_bound="sigmoid", scale_min=1e-6)
    raw = torch.tensor([-6.0, 4.0], requires_grad=True)
    log_scale = bounded._bound_scale(raw)
    assert log_scale[0].item() == pytest.approx(-6.0, abs=0.02)
    assert log_scale[1].item() < math.log(bounded.config.scale_max)
    (gradient,) = torch.autograd.grad(log_scale.sum(), raw)
    assert gradient[1] > 0


def test_pluecker_rays_are_another_input():
    inputs = make_input()
    first = make_model()(*inputs).means
    assert not torch.allclose(first, make_model(rays="pluecker")(*inputs).means)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(1, 3, 3, 8, 10)}, "multiples of 4 pixels"),
        ({"images": torch.zeros(1, 0, 3, 8, 8)}, "must hold a view"),
        ({"images": torch.zeros(3, 3, 8, 8)}, r"images must be \[B, V, 3, H, W\]"),
        ({"K": torch.zeros(1, 2, 3, 3)}, r"K must be \[1, 3, 3, 3\] to fit images"),
    ],
)
def test_bad_inputs_are_named(change, message):
    images, cam_from_world, K = make_input()
    arguments = {"images": images, "cam_from_world": cam_from_world, "K": K} | change
    with pytest.raises(ValueError, match=message):
        make_model()(**arguments)


def test_presets_load_and_round_trip():
    assert set(presets("gslrm")) == {"tiny", "mini", "base", "paper"}
    sizes = {}
    for name in presets("gslrm"):
        config = resolve_config("gslrm", name)
        assert from_dict(GslrmConfig, to_dict(config)) == config
        with torch.device("meta"):
            sizes[name] = sum(p.numel() for p in GSLRM(config.model).parameters())
    assert sizes["paper"] == pytest.approx(303e6, rel=0.01)  # GS-LRM, section 4.2
    assert sizes["mini"] * 4 <= 40e6  # bytes that may ship


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["image_size=60"], "image_size 60 is not a multiple of model.patch_size 8"),
        (["model.width=100"], "head_width 64 does not divide width 100"),
        (["views.random_inputs=[5,3]"], "random_inputs 5, 3"),
        (["model.scale_max=0"], "0 < scale_min < scale_max"),
        (["model.rays=plucker"], "pluecker"),
        (["backgrounds=[]"], "at least one background"),
    ],
)
def test_impossible_configurations_are_named(overrides, message):
    with pytest.raises(ConfigError, match=message):
        resolve_config("gslrm", "tiny", overrides)


# ---- the task -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spheres(toy_module, tmp_path_factory):
    """Two coloured spheres, 12 views of 32 px each."""
    original = toy_module.make_spec
    toy_module.make_spec = lambda index, size: original(index, size, extra_views=6)
    try:
        root = toy_module.make_dataset(tmp_path_factory.mktemp("gslrm"), heads=2)
    finally:
        toy_module.make_spec = original
    return HeadDataset(root, "all", 32)


def make_task(backgrounds=("white", "random"), **views) -> GslrmTask:
    model = dataclasses.replace(
        TINY, width=64, head_width=32, patch_size=8, qk_norm=True, color_residual=True,
        scale_unit="input_pixel", scale_bias=0.0, opacity_bias=-1.0, depth_range=1.2,
    )  # fmt: skip
    views = ViewsConfig(**views)
    return GslrmTask(GslrmConfig(model, image_size=32, views=views, backgrounds=backgrounds))


def names_of(cam_from_world: Tensor, item) -> list[str]:
    """Names of the views with these cameras."""
    distance = (item.cam_from_world[None] - cam_from_world[:, None]).abs().amax((-1, -2))
    assert (distance.min(1).values == 0).all()
    return [item.view_names[i] for i in distance.argmin(1)]


def test_batches_mix_canonical_and_random_inputs(spheres):
    task = make_task(canonical_probability=0.5, random_inputs=(3, 5))
    item = spheres[0]
    canonical = {camera.name for camera in canonical_six(8)}
    seen_counts, was_canonical = set(), []
    for index in range(24):
        batch = task.load_batch(spheres, [0, 1], stream(0, index, "test"))
        inputs = names_of(batch.cam_from_world[0], item)
        targets = names_of(batch.target_cam_from_world[0], item)
        assert len(set(inputs)) == len(inputs)
        assert len(set(targets)) == len(targets) == 6
        assert len(set(targets) & set(inputs)) == 2
        if set(inputs) == canonical:
            was_canonical.append(index)
            assert inputs == [camera.name for camera in canonical_six(8)]
        else:
            seen_counts.add(len(inputs))
    assert 4 < len(was_canonical) < 20
    assert seen_counts == {3, 4, 5}


def test_batch_composites_inputs_and_targets_over_one_background(spheres):
    task = make_task()
    batch = task.load_batch(spheres, [0, 1], stream(0, 0, "test"))
    assert batch.images.shape == (2, 6, 3, 32, 32) or batch.images.shape[1] in range(4, 9)
    for head in range(2):
        corners = torch.cat([batch.images[head], batch.target_images[head]])[:, :, 0, 0]
        torch.testing.assert_close(corners, batch.background[head].expand_as(corners))
        assert not batch.target_alpha[head, :, 0, 0, 0].any()
        assert batch.target_alpha[head, :, 0, 16, 16].eq(1).all()
    again = task.load_batch(spheres, [0, 1], stream(0, 0, "test"))
    assert torch.equal(batch.images, again.images)
    assert torch.equal(batch.target_K, again.to(torch.device("cpu")).target_K)


def test_heads_with_few_views_take_their_inputs_as_targets(spheres):
    task = make_task(canonical_probability=0.0, random_inputs=(12, 12), target_others=4)
    batch = task.load_batch(spheres, [0], stream(0, 0, "test"))
    assert batch.images.shape[1] == 8  # four are left for targets
    task = make_task(canonical_probability=1.0, target_inputs=1, target_others=9)
    batch = task.load_batch(spheres, [0], stream(0, 0, "test"))
    assert batch.images.shape[1] == 6
    assert batch.target_images.shape[1] == 10  # six others and four inputs


def test_pictures_of_another_size_are_refused(spheres):
    task = GslrmTask(dataclasses.replace(make_task().config, image_size=64))
    with pytest.raises(ConfigError, match="32 x 32 px, but image_size is 64"):
        task.load_batch(spheres, [0], stream(0, 0, "test"))


def test_preview_shows_truth_above_reconstruction(spheres):
    task = make_task()
    torch.manual_seed(0)
    picture = task.preview(task.build_model().eval(), spheres)
    assert picture.shape == (4 * 32, 6 * 32, 3)
    assert picture.dtype == np.uint8
    truth = picture[:32, :32].astype(float)
    assert truth[0, 0].min() == 255
    assert truth[16, 16].max() < 255


def test_learns_spheres_and_their_unseen_sides(spheres):
    """A few dozen steps bring the loss down, on views that were not inputs as well."""
    task = make_task(backgrounds=("white",), canonical_probability=1.0)
    torch.manual_seed(0)
    model = task.build_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95))
    losses = []
    for step in range(60):
        batch = task.load_batch(spheres, [step % 2], stream(0, step, "test"))
        loss, metrics = task.loss(model, batch, torch.Generator(), step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert set(metrics) == {"mse", "alpha_mse", "psnr_db"}
    assert np.mean(losses[-8:]) < 0.15 * np.mean(losses[:4]), losses

    item = spheres[0]
    inputs = list(spheres.views_named(0, [camera.name for camera in canonical_six(8)]))
    white = torch.ones(3)
    images = item.rgba / 255.0
    images = images[:, :3] * images[:, 3:] + 1 - images[:, 3:]
    with torch.no_grad():
        gaussians = model(
            images[None, inputs], item.cam_from_world[None, inputs], item.K[None, inputs]
        )
        unseen = [i for i in range(len(images)) if i not in inputs]
        result = render(
            gaussians[0], item.cam_from_world[unseen], item.K[unseen], 32, 32, background=white
        )
    score = psnr(result.color.movedim(-1, 1), images[unseen]).mean().item()
    baseline = psnr(torch.ones_like(images[unseen]), images[unseen]).mean().item()
    assert score > baseline + 5.0, (score, baseline)
