"""The CPU rasteriser against a dense reference written from the formulas, and its gradients."""

import importlib.util
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from synth.camera import look_at, ring, stack
from train import rasterize_cpu
from train.gaussians import Gaussians
from train.rasterize import RENDER_MODES, project, rasterization, render

TENSORS = ("means", "quats", "scales", "opacities", "colors", "viewmats", "Ks", "backgrounds")


def reference(means, quats, scales, opacities, colors, viewmats, Ks, backgrounds, width, height,
              near=0.01, eps2d=0.3):  # fmt: skip
    """Every Gaussian on every pixel, one camera and one Gaussian at a time, straight from the
    papers; returns [C, H, W, D + 1] (depth last, no background on it) and alpha [C, H, W]."""
    rows, columns = torch.meshgrid(
        torch.arange(height).double() + 0.5, torch.arange(width).double() + 0.5, indexing="ij"
    )
    pictures, alphas = [], []
    for camera in range(len(viewmats)):
        R, t, K = viewmats[camera, :3, :3], viewmats[camera, :3, 3], Ks[camera]
        centers = means @ R.T + t
        T = torch.ones(height, width, dtype=means.dtype)
        is_open = torch.ones(height, width, dtype=torch.bool)
        picture = torch.zeros(height, width, colors.shape[-1] + 1, dtype=means.dtype)
        for i in torch.argsort(centers[:, 2], stable=True):
            x, y, z = centers[i]
            if z < near:
                continue
            w, qx, qy, qz = quats[i] / quats[i].norm()
            cross = torch.stack([
                torch.stack([0 * w, -qz, qy]),
                torch.stack([qz, 0 * w, -qx]),
                torch.stack([-qy, qx, 0 * w]),
            ])  # fmt: skip
            rotation = torch.eye(3, dtype=means.dtype) + 2 * w * cross + 2 * cross @ cross
            covariance = rotation @ torch.diag(scales[i] ** 2) @ rotation.T
            limits = []
            for axis, (extent, value) in enumerate(((width, x), (height, y))):
                f, c = K[axis, axis], K[axis, 2]
                edge = 0.15 * extent / f
                limits.append(z * (value / z).clamp(-(c / f + edge), (extent - c) / f + edge))
            zero = 0 * z
            J = torch.stack([
                torch.stack([K[0, 0] / z, zero, -K[0, 0] * limits[0] / z**2]),
                torch.stack([zero, K[1, 1] / z, -K[1, 1] * limits[1] / z**2]),
            ])  # fmt: skip
            cov2d = J @ R @ covariance @ R.T @ J.T + eps2d * torch.eye(2, dtype=means.dtype)
            inverse = torch.linalg.inv(cov2d)
            u, v = K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]
            offset = torch.stack([columns - u, rows - v], dim=-1)
            mahalanobis = torch.einsum("hwi,ij,hwj->hw", offset, inverse, offset)
            alpha = (opacities[i] * torch.exp(-0.5 * mahalanobis)).clamp(max=0.999)
            alpha = torch.where(alpha >= 1 / 255, alpha, 0.0)
            after = T * (1 - alpha)
            is_open = is_open & ((after > 1e-4) | (alpha == 0))
            drawn = torch.where(is_open, alpha, 0.0)
            feature = torch.cat([colors[i], z[None]])
            picture = picture + (drawn * T)[..., None] * feature
            T = T * (1 - drawn)
        picture = picture + T[..., None] * torch.cat([backgrounds[camera], torch.zeros(1)])
        pictures.append(picture)
        alphas.append(1 - T)
    return torch.stack(pictures), torch.stack(alphas)


def scene(count, *, size=(24, 20), cameras=2, seed=0, spread=0.5, scale=0.08, dtype=torch.float64):
    """A random cloud seen by a ring of cameras, as keyword arguments of `rasterization`."""
    generator = torch.Generator().manual_seed(seed)
    rand = lambda *shape: torch.rand(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    randn = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    width, height = size
    viewmats, Ks = stack(c.resized(width, height) for c in ring(cameras, 20.0, size=width))
    arguments = {
        "means": spread * randn(count, 3),
        "quats": randn(count, 4),
        "scales": scale * torch.exp(0.5 * randn(count, 3)),
        "opacities": 0.05 + 0.9 * rand(count),
        "colors": rand(count, 3),
        "viewmats": torch.from_numpy(viewmats),
        "Ks": torch.from_numpy(Ks),
        "backgrounds": rand(cameras, 3),
    }
    arguments = {name: tensor.to(dtype) for name, tensor in arguments.items()}
    return arguments | {"width": width, "height": height}


def compare(arguments, *, atol=1e-9, mode="RGB+D", **options):
    """Values, alphas and gradients of both implementations."""
    weights = torch.Generator().manual_seed(9)
    outcomes = []
    for function in (rasterization, reference):
        dtype = arguments["means"].dtype if function is rasterization else torch.float64
        leaves = {name: arguments[name].detach().to(dtype).requires_grad_() for name in TENSORS}
        sizes = {"width": arguments["width"], "height": arguments["height"]}
        if function is rasterization:
            values, alphas, _ = function(**leaves, **sizes, render_mode=mode, **options)
            alphas = alphas[..., 0]
        else:
            values, alphas = function(**leaves, **sizes)
        weights.manual_seed(9)
        loss = (values.double() * torch.rand(values.shape, generator=weights)).sum()
        loss = loss + (alphas.double() * torch.rand(alphas.shape, generator=weights)).sum()
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        outcomes.append((values, alphas, gradients))
    (values, alphas, gradients), (values_ref, alphas_ref, gradients_ref) = outcomes
    torch.testing.assert_close(values.double(), values_ref, atol=atol, rtol=atol)
    torch.testing.assert_close(alphas.double(), alphas_ref, atol=atol, rtol=atol)
    for name, gradient, gradient_ref in zip(TENSORS, gradients, gradients_ref):
        if name == "Ks":  # only the five numbers of a pinhole camera are read
            gradient, gradient_ref = gradient[..., :2, :], gradient_ref[..., :2, :]
            gradient[..., 0, 1] = 0  # the reference has no skew
        if name == "viewmats":
            gradient, gradient_ref = gradient[..., :3, :], gradient_ref[..., :3, :]
        largest = max(1.0, gradient_ref.abs().max().item())
        torch.testing.assert_close(
            gradient.double() / largest, gradient_ref / largest, atol=10 * atol, rtol=0,
            msg=lambda text, name=name: f"gradient of {name}: {text}",
        )  # fmt: skip


def test_float64_equals_the_dense_reference():
    compare(scene(40))


def test_float32_equals_the_dense_reference():
    compare(scene(60, dtype=torch.float32), atol=1e-4)


def test_large_overlapping_gaussians_close_pixels():
    arguments = scene(80, scale=0.5, seed=1)
    arguments["opacities"] = 0.5 + 0.499999 * arguments["opacities"]
    arguments["opacities"][::3] = 1.0  # clamped to 0.999 in the middle
    compare(arguments)


def test_pictures_taller_than_a_band_and_wider_than_high():
    compare(scene(30, size=(24, 2 * rasterize_cpu.BAND_ROWS + 5), seed=2))
    compare(scene(15, size=(53, 7), seed=3))


def test_gaussians_behind_the_camera_at_the_edge_and_in_the_near_plane():
    arguments = scene(40, cameras=1, seed=4)
    camera = look_at((0.0, -2.7, 0.0), width=24, height=20)
    arguments["viewmats"] = torch.from_numpy(camera.cam_from_world.copy())[None]
    arguments["Ks"] = torch.from_numpy(camera.K.copy())[None]
    arguments["means"][:10, 1] -= 5.0  # behind the camera
    arguments["means"][10:20, 0] += 1.2  # at the right edge
    arguments["means"][20:25, 0] -= 6.0  # far outside: the Jacobian is clamped
    arguments["scales"][20:25] = 2.0
    arguments["means"][25] = torch.tensor([0.0, -2.7, 0.0])  # in the camera
    arguments["means"][26] = torch.tensor([0.1, -2.7, 0.0])  # depth exactly 0
    compare(arguments)


def test_degenerate_scales():
    arguments = scene(30, seed=5)
    arguments["scales"][:10] = 1e-9  # points: the low-pass alone
    arguments["scales"][10:20, 0] = 1e-9  # discs
    arguments["scales"][20:25, :2] = 1e-9  # needles
    compare(arguments)


def test_zero_opacity_changes_nothing_and_gets_no_gradient():
    arguments = scene(20, seed=6)
    arguments["opacities"][:5] = 0.0
    with_them = rasterization(**arguments)[0]
    without = {
        n: a[5:] if n in ("means", "quats", "scales", "opacities", "colors") else a
        for n, a in arguments.items()
    }
    torch.testing.assert_close(with_them, rasterization(**without)[0], atol=0, rtol=0)
    compare(arguments)


@pytest.mark.parametrize("count", [0, 3])
def test_empty_frames_show_the_background(count):
    arguments = scene(count, seed=7)
    arguments["means"] = (arguments["means"] * 0 + 100.0).requires_grad_()
    values, alphas, _ = rasterization(**arguments, render_mode="RGB+ED")
    background = arguments["backgrounds"][:, None, None].expand_as(values[..., :3])
    torch.testing.assert_close(values[..., :3], background)
    assert not alphas.any()
    assert not values[..., 3].any()
    values.sum().backward()
    assert not arguments["means"].grad.any()


def test_thousands_on_one_ray():
    arguments = scene(2000, cameras=1, size=(8, 8), seed=8, spread=0.0)
    viewmats = arguments["viewmats"]
    forward = viewmats[0, 2, :3]
    arguments["means"] = torch.linspace(-1, 1, 2000, dtype=torch.float64)[:, None] * forward
    arguments["opacities"] = arguments["opacities"] * 0.02
    with torch.no_grad():
        values, alphas, _ = rasterization(**arguments, render_mode="RGB+D")
        values_ref, alphas_ref = reference(**arguments)
    assert (alphas_ref > 0.999).any()  # some pixels are closed by the many
    torch.testing.assert_close(values, values_ref, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(alphas[..., 0], alphas_ref, atol=1e-9, rtol=1e-9)


def test_gradcheck():
    arguments = scene(5, size=(6, 5), cameras=2, seed=11, spread=0.3, scale=0.3)
    leaves = [arguments[name].requires_grad_() for name in TENSORS]
    sizes = {"width": 6, "height": 5}

    def function(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        return rasterization(**dict(zip(TENSORS, tensors)), **sizes, render_mode="RGB+ED")[:2]

    # a step small enough not to cross the cuts at 1/255 and 1e-4, which are real discontinuities
    assert torch.autograd.gradcheck(function, leaves, eps=1e-7, atol=1e-4, rtol=1e-4)


def test_render_modes_and_expected_depth():
    arguments = scene(40, seed=12)
    full, alphas, _ = rasterization(**arguments, render_mode="RGB+D")
    for mode in RENDER_MODES:
        values, alphas_mode, _ = rasterization(**arguments, render_mode=mode)
        torch.testing.assert_close(alphas_mode, alphas)
        assert values.shape[-1] == {"RGB": 3, "D": 1, "ED": 1}.get(mode, 4)
        if "RGB" in mode:
            torch.testing.assert_close(values[..., :3], full[..., :3])
        if "D" in mode:
            depth = full[..., 3:] / alphas.clamp_min(1e-10) if "ED" in mode else full[..., 3:]
            torch.testing.assert_close(values[..., -1:], depth)


def test_batches_and_colours_per_camera_equal_single_calls():
    first, second = scene(20, seed=13), scene(20, seed=14)
    names = [name for name in TENSORS if isinstance(first[name], Tensor)]
    stacked = {name: torch.stack([first[name], second[name]]) for name in names}
    values, _, _ = rasterization(**stacked, width=24, height=20)
    for one, batched in zip((first, second), values):
        torch.testing.assert_close(rasterization(**one)[0], batched)
    # two cameras, N = 2: shapes alone cannot tell [C, N, D] from a batch; the rank does
    per_camera = torch.stack([first["colors"], second["colors"]])
    values, _, _ = rasterization(**(first | {"colors": per_camera}))
    for camera, colors in enumerate(per_camera):
        expected = rasterization(**(first | {"colors": colors}))[0][camera]
        torch.testing.assert_close(values[camera], expected)


def test_sh_degree_0_equals_colours():
    arguments = scene(10, seed=15)
    sh = (arguments["colors"] - 0.5) / 0.28209479177387814
    expected = rasterization(**arguments)[0]
    arguments["colors"] = sh[:, None, :].expand(10, 4, 3)
    torch.testing.assert_close(rasterization(**arguments, sh_degree=0)[0], expected)


def test_any_number_of_features():
    arguments = scene(15, seed=16)
    arguments["colors"] = torch.rand(15, 7, dtype=torch.float64)
    arguments["backgrounds"] = None
    values = rasterization(**arguments)[0]
    alone = rasterization(**(arguments | {"colors": arguments["colors"][:, 6:]}))[0]
    torch.testing.assert_close(values[..., 6:], alone)


def test_result_has_the_same_bits_on_any_number_of_threads():
    arguments = scene(3000, size=(64, 70), dtype=torch.float32, seed=17)
    before = torch.get_num_threads()
    outcomes = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            means = arguments["means"].clone().requires_grad_()
            values = rasterization(**(arguments | {"means": means}))[0]
            (gradient,) = torch.autograd.grad(values.square().sum(), means)
            outcomes.append((values, gradient))
    finally:
        torch.set_num_threads(before)
    for values, gradient in outcomes[1:]:
        assert torch.equal(values, outcomes[0][0])
        assert torch.equal(gradient, outcomes[0][1])


def test_large_float32_scene_agrees_by_quantile():
    arguments = scene(5000, size=(64, 64), scale=0.03, seed=18)
    exact = rasterization(**arguments)[0]
    single = {n: a.float() if isinstance(a, Tensor) else a for n, a in arguments.items()}
    error = (rasterization(**single)[0].double() - exact).abs().flatten()
    # a few pixels flip at the cuts and at depth ties
    assert torch.quantile(error, 0.99) < 1e-5
    assert error.max() < 5e-3


def test_autocast_does_not_move_pixels():
    arguments = scene(200, size=(32, 32), dtype=torch.float32, seed=19)
    expected = rasterization(**arguments)[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(rasterization(**arguments)[0], expected)


def one_gaussian(dtype=torch.float32) -> Gaussians:
    return Gaussians.from_activated(
        means=torch.tensor([[0.3, 0.0, 0.2]], dtype=dtype),
        quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]], dtype=dtype),
        scales=torch.full((1, 3), 0.02, dtype=dtype),
        opacities=torch.tensor([0.95], dtype=dtype),
        rgb=torch.tensor([[1.0, 0.5, 0.0]], dtype=dtype),
    )


def test_render_puts_a_gaussian_where_the_camera_projects_it():
    camera = look_at((0.5, -2.6, 0.4), width=48, height=40)
    cam_from_world = torch.from_numpy(camera.cam_from_world.copy())[None].float()
    K = torch.from_numpy(camera.K.copy())[None].float()
    white = torch.ones(3)
    result = render(one_gaussian(), cam_from_world, K, 48, 40, background=white, mode="RGB+ED")
    (pixel,), (depth,) = camera.project(one_gaussian(torch.float64).means.numpy())
    weights = result.alpha[0, ..., 0] / result.alpha.sum()
    x = (weights.sum(0) * (torch.arange(48) + 0.5)).sum().item()
    y = (weights.sum(1) * (torch.arange(40) + 0.5)).sum().item()
    assert math.dist((x, y), pixel) < 0.02
    row, column = int(pixel[1]), int(pixel[0])
    assert result.depth[0, row, column, 0].item() == pytest.approx(depth, abs=1e-4)
    torch.testing.assert_close(result.color[0, 0, 0], white)
    assert result.color[0, row, column, 2] < 0.5


def test_render_batches_backgrounds_and_half_precision():
    sets = one_gaussian().map(lambda t: torch.stack([t, t]))
    cam_from_world, K = (torch.from_numpy(a).float() for a in stack(ring(3, 0.0, size=16)))
    cameras = (cam_from_world.expand(2, 3, 4, 4), K.expand(2, 3, 3, 3))
    background = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])[:, None]
    result = render(sets, *cameras, 16, 16, background=background)
    assert result.color.shape == (2, 3, 16, 16, 3)
    assert result.depth is None
    torch.testing.assert_close(result.color[1, 2, 0, 0], torch.tensor([0.0, 0.0, 1.0]))
    half = render(sets.to(torch.bfloat16), *cameras, 16, 16)
    assert half.color.dtype == torch.float32
    assert render(sets, *cameras, 16, 16, mode="ED").color is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"render_mode": "DEPTH"}, "'DEPTH' is not one of RGB, D"),
        ({"sh_degree": 2}, r"sh_degree must be None or 0 to 3 and fit colors \[5, 3\], got 2"),
        ({"width": 0}, "at least 1 pixel, got 0 x 20"),
        ({"quats": torch.zeros(4, 4, dtype=torch.float64)}, r"quats must be \[5, 4\], got"),
        ({"opacities": torch.zeros(5)}, r"opacities is torch\.float32"),
        ({"Ks": torch.zeros(3, 3, 3, dtype=torch.float64)}, r"Ks must be \[2, 3, 3\]"),
        ({"backgrounds": torch.zeros(3, dtype=torch.float64)}, r"backgrounds must be \[2, 3\]"),
        ({"near_plane": 0.0}, "near_plane must be positive"),
    ],
)
def test_bad_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        rasterization(**(scene(5) | change))


def run_copy_of_kernels(folder, code: str) -> subprocess.Popen:
    """Run code in a fresh process with a copy of the kernels, hence with an empty cache."""
    shutil.copy(rasterize_cpu.__file__, folder / "kernels.py")
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import numpy as np; {code}"
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


PLAN = (
    "import kernels as k; plan = k.plan_bands(np.array([[0, 20]], np.int32), np.array([0, 1]), 2); "
    "print(plan.band_lists.tolist(), plan.slot_starts.tolist())"
)


def test_compiles_in_memory_where_no_cache_can_be_written(tmp_path):
    """A read-only install without a home directory works, and says that it is slower."""
    no_cache = "import numba.core.caching as c; c.CacheImpl._locator_classes = []; "
    out, err = run_copy_of_kernels(tmp_path, no_cache + PLAN).communicate(timeout=120)
    assert out.strip() == "[0, 0] [0, 2]", err
    assert "cannot cache function" in err


def test_two_processes_may_compile_at_the_same_time(tmp_path):
    """Numba's cache numbers its files without a lock: without ours the two could mix up types."""
    runs = [
        run_copy_of_kernels(
            tmp_path, f"import kernels; kernels.ensure_compiled(np.dtype('{dtype}')); " + PLAN
        )
        for dtype in ("float32", "float64")
    ]
    for run in runs:
        out, err = run.communicate(timeout=120)
        assert out.strip() == "[0, 0] [0, 2]", err
    cached = [path.name for path in (tmp_path / "__pycache__").glob("*.nbc")]
    assert len([name for name in cached if ".composite-" in name]) == 2


@pytest.fixture(scope="module")
def twin():
    """gsplat's Python reference, completed for the CPU; see that file."""
    pytest.importorskip("gsplat.cuda._torch_impl")
    path = Path(__file__).with_name("gsplat_twin.py")
    spec = importlib.util.spec_from_file_location("headloom_gsplat_twin", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("sh_degree", [None, 2])
def test_small_scenes_equal_gsplats_reference(twin, sh_degree):
    arguments = scene(80, size=(40, 24), spread=0.8, scale=0.15, seed=21)
    del arguments["backgrounds"]
    if sh_degree is not None:
        generator = torch.Generator().manual_seed(22)
        sh = torch.randn(80, 9, 3, generator=generator, dtype=torch.float64)
        arguments["colors"] = 0.5 * sh
    names = ("means", "quats", "scales", "opacities", "colors", "viewmats", "Ks")
    results, gradients = [], []
    for draw in (rasterization, twin.rasterization):
        leaves = {name: arguments[name].float().requires_grad_() for name in names}
        values, alphas = draw(**leaves, width=40, height=24, sh_degree=sh_degree)[:2]
        results.append(torch.cat([values, alphas], dim=-1).detach())
        weights = torch.linspace(-1, 1, results[-1].numel()).view_as(results[-1])
        (torch.cat([values, alphas], dim=-1) * weights).sum().backward()
        gradients.append({name: leaf.grad for name, leaf in leaves.items()})
    torch.testing.assert_close(results[0], results[1], atol=1e-4, rtol=0)
    assert results[0][..., -1].max() > 0.9
    if sh_degree is not None:
        # the centre of a camera: -R^T t or an inverse, equal along rigid motions only
        names = tuple(name for name in names if name != "viewmats")
    for name in names:
        ours, theirs = (side[name].triu() if name == "Ks" else side[name] for side in gradients)
        assert (ours - theirs).norm() < 2e-3 * theirs.norm(), name


def test_a_head_equals_gsplats_reference_by_quantile(twin):
    """A few pixels flip at the cuts or at ties of depth; the others agree."""
    generator = torch.Generator().manual_seed(23)
    count = 4000
    shell = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    viewmats, Ks = (torch.from_numpy(array).float() for array in stack(ring(2, 10.0, size=64)))
    arguments = {
        "means": 0.6 * shell,
        "quats": torch.randn(count, 4, generator=generator),
        "scales": 0.04 * torch.rand(count, 3, generator=generator),
        "opacities": torch.rand(count, generator=generator),
        "colors": torch.rand(count, 3, generator=generator),
        "viewmats": viewmats,
        "Ks": Ks,
    }
    ours = rasterization(**arguments, width=64, height=64)[:2]
    theirs = twin.rasterization(**arguments, width=64, height=64)
    for mine, other in zip(ours, theirs):
        difference = (mine - other).abs().flatten()
        assert difference.quantile(0.999) < 1e-4
        assert difference.max() < 5e-3


def test_projection_equals_the_torch_twin_of_gsplat():
    """gsplat's own Python reference of its projection kernel, off-centre and non-square."""
    twin = pytest.importorskip("gsplat.cuda._torch_impl")
    arguments = scene(200, size=(40, 24), spread=1.0, scale=0.3, seed=20)
    arguments["Ks"] = arguments["Ks"] + torch.tensor(
        [[3.0, 0.0, 4.0], [0.0, -2.0, -3.0], [0.0, 0.0, 0.0]]
    )
    covariances, _ = twin._quat_scale_to_covar_preci(
        torch.nn.functional.normalize(arguments["quats"], dim=-1), arguments["scales"],
        compute_preci=False,
    )  # fmt: skip
    radii, means2d, depths, conics, _ = twin._fully_fused_projection(
        arguments["means"], covariances, arguments["viewmats"], arguments["Ks"], 40, 24
    )
    names = ("means", "quats", "scales", "viewmats", "Ks")
    ours = project(*(arguments[name][None] for name in names), 40, 24)
    drawn = radii.amin(-1) > 0
    assert drawn.sum() > 100
    torch.testing.assert_close(ours.means[0][drawn], means2d[drawn])
    torch.testing.assert_close(ours.depths[0][drawn], depths[drawn])
    torch.testing.assert_close(ours.conics[0][drawn], conics[drawn])
    assert ours.visible[0][drawn].all()
