"""Differentiable rasterisation of 3D Gaussians: gsplat on CUDA, our own on the CPU.

One signature, `rasterization`, mirrors `gsplat.rasterization` 1.5 with the same conventions: pixel
centres at +0.5, quaternions (w, x, y, z) normalised inside, 0.3 px^2 low-pass on the projected
covariance, alpha at most 0.999 and cut below 1/255, transmittance stop at 1e-4, depth along the
camera's z axis. `render` is the friendly form that takes `Gaussians`.

On the CPU the projection (EWA splatting, Zwicker et al. 2001; Kerbl et al. 2023, eq. 5) is plain
torch, so that autograd does the chain rule down to the cameras, and the compositing is
`train.rasterize_cpu`. Always float32 or float64, never autocast: bf16 moves pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from train import rasterize_cpu as kernels
from train.gaussians import Gaussians, rotation_from_quaternion
from train.spherical_harmonics import MAX_DEGREE, colors_from_sh

RenderMode = Literal["RGB", "D", "ED", "RGB+D", "RGB+ED"]
"""RGB colour; D depth weighted by alpha; ED expected depth, D / alpha."""
RENDER_MODES: tuple[str, ...] = ("RGB", "D", "ED", "RGB+D", "RGB+ED")

FRUSTUM_MARGIN = 0.3
"""How far outside the frame, in half frames, the Jacobian of the projection is still taken at the
Gaussian itself; beyond that at the margin, as gsplat and 3DGS do."""


@dataclass(frozen=True, eq=False)
class RenderResult:
    """Rendered pictures; the leading dimensions are those of the cameras.

    Attributes:
        color: [..., V, H, W, 3] sRGB, background included; None for the modes D and ED.
        alpha: [..., V, H, W, 1] in [0, 1].
        depth: [..., V, H, W, 1] along the camera's z axis in scene units; None for the mode RGB.
    """

    color: Tensor | None
    alpha: Tensor
    depth: Tensor | None


def render(
    gaussians: Gaussians,
    cam_from_world: Tensor,
    K: Tensor,
    width: int,
    height: int,
    *,
    background: Tensor | None = None,
    near: float = 0.01,
    mode: RenderMode = "RGB",
) -> RenderResult:
    """Render a set of Gaussians, or a batch of sets, from several cameras each.

    Args:
        gaussians: means [N, 3] or [B, N, 3]; half precision is raised to float32.
        cam_from_world: [V, 4, 4] or [B, V, 4, 4], OpenCV cameras.
        K: [V, 3, 3] or [B, V, 3, 3] intrinsics in pixels.
        width, height: size of the pictures in pixels.
        background: sRGB colour, [3] or anything that broadcasts to [..., V, 3]; None is black.
        near: Gaussians nearer than this (scene units along z) are not drawn.
        mode: what to render.

    Raises:
        ValueError: a shape or mode does not fit; names the argument.
    """
    dtype = gaussians.means.dtype
    if dtype not in (torch.float32, torch.float64):
        dtype = torch.float32
    gaussians = gaussians.to(dtype)
    if background is not None:
        background = background.to(dtype).expand(*cam_from_world.shape[:-2], 3)
    values, alpha, _ = rasterization(
        gaussians.means,
        gaussians.quats,
        gaussians.scales,
        gaussians.opacities,
        gaussians.sh,
        cam_from_world.to(dtype),
        K.to(dtype),
        width,
        height,
        near_plane=near,
        sh_degree=math.isqrt(gaussians.sh.shape[-2]) - 1,
        backgrounds=background if "RGB" in mode else None,
        render_mode=mode,
    )
    color = values[..., :3] if "RGB" in mode else None
    depth = values[..., -1:] if "D" in mode else None
    return RenderResult(color, alpha, depth)


def rasterization(
    means: Tensor,  # [..., N, 3]
    quats: Tensor,  # [..., N, 4]
    scales: Tensor,  # [..., N, 3]
    opacities: Tensor,  # [..., N]
    colors: Tensor,  # [..., (C,) N, D] or, with sh_degree, [..., (C,) N, K, 3]
    viewmats: Tensor,  # [..., C, 4, 4]
    Ks: Tensor,  # [..., C, 3, 3]
    width: int,
    height: int,
    *,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    backgrounds: Tensor | None = None,  # [..., C, D]
    render_mode: RenderMode = "RGB",
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """`gsplat.rasterization` for pinhole cameras, on any device; gradients reach every tensor.

    Args:
        means: centres in world coordinates; float32 (or float64 on the CPU).
        quats: rotations (w, x, y, z), any length.
        scales: standard deviations in scene units.
        opacities: in [0, 1].
        colors: D features per Gaussian, shared by the cameras or one set for each of the C; with
            `sh_degree` spherical-harmonics coefficients, K at least (sh_degree + 1)^2.
        viewmats: `cam_from_world` of C OpenCV cameras.
        Ks: intrinsics in pixels.
        width, height: in pixels.
        near_plane, far_plane: range of depths drawn.
        eps2d: added to the diagonal of the projected covariance, in px^2.
        sh_degree: None, or the degree to use, 0 to 3.
        backgrounds: features behind the Gaussians, weighted with 1 - alpha; None is zero.
        render_mode: see `RenderMode`; depth is the last channel and has no background.

    Returns:
        values [..., C, H, W, X], alphas [..., C, H, W, 1] and a dictionary (gsplat's on CUDA, the
        projected Gaussians on the CPU). X is D, 1 or D + 1 according to the mode.

    Raises:
        ValueError: a shape, dtype or option does not fit; names the argument, value and legal set.
    """
    _validate(means, quats, scales, opacities, colors, viewmats, Ks, width, height, sh_degree,
              backgrounds, render_mode, near_plane)  # fmt: skip
    if means.is_cuda:
        return _rasterization_cuda(
            means, quats, scales, opacities, colors, viewmats, Ks, width, height,
            near_plane=near_plane, far_plane=far_plane, eps2d=eps2d, sh_degree=sh_degree,
            backgrounds=backgrounds, render_mode=render_mode,
        )  # fmt: skip
    if sh_degree is not None:
        colors = colors_from_sh(sh_degree, colors, means, viewmats)
    batch = means.shape[:-2]
    sets, cameras, count = math.prod(batch), viewmats.shape[-3], means.shape[-2]
    with torch.autocast("cpu", enabled=False):
        projected = project(
            means.reshape(sets, count, 3),
            quats.reshape(sets, count, 4),
            scales.reshape(sets, count, 3),
            viewmats.reshape(sets, cameras, 4, 4),
            Ks.reshape(sets, cameras, 3, 3),
            width,
            height,
            near_plane=near_plane,
            far_plane=far_plane,
            eps2d=eps2d,
        )
        packed = _pack(
            projected,
            opacities.reshape(sets, count),
            colors if "RGB" in render_mode else None,
            with_depth="D" in render_mode,
            per_camera=colors.ndim == means.ndim + 1,
            width=width,
            height=height,
        )
        values, transmittance = _Composite.apply(*packed, width, height)
        values = values.unflatten(0, (*batch, cameras))
        transmittance = transmittance.unflatten(0, (*batch, cameras))[..., None]
        if backgrounds is not None and "RGB" in render_mode:
            padding = (0, values.shape[-1] - backgrounds.shape[-1])
            behind = torch.nn.functional.pad(backgrounds, padding)
            values = values + transmittance * behind[..., None, None, :]
        alphas = 1.0 - transmittance
        if render_mode.endswith("ED"):
            depth = values[..., -1:] / alphas.clamp_min(1e-10)
            values = torch.cat([values[..., :-1], depth], dim=-1)
    meta = {"means2d": projected.means, "conics": projected.conics, "depths": projected.depths}
    return values, alphas, meta


def _rasterization_cuda(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """gsplat's kernels; not run here (no CUDA device on the machine it was written on)."""
    from gsplat import rasterization as gsplat_rasterization

    means, backgrounds = args[0], kwargs["backgrounds"]
    if means.dtype != torch.float32:
        raise ValueError(f"means must be float32 on CUDA, got {means.dtype}")
    if "RGB" not in kwargs["render_mode"]:
        backgrounds = None
    with torch.autocast("cuda", enabled=False):
        return gsplat_rasterization(
            *(argument.contiguous() if isinstance(argument, Tensor) else argument
              for argument in args),
            **(kwargs | {"backgrounds": backgrounds}),
            packed=False,
        )  # fmt: skip


class Projected(NamedTuple):
    """Gaussians in image space, B sets x C cameras x N Gaussians.

    Attributes:
        means: [B, C, N, 2] pixels.
        conics: [B, C, N, 3] inverse covariance (xx, xy, yy) in px^-2.
        depths: [B, C, N] camera z in scene units.
        covariances: [B, C, N, 3] (xx, xy, yy) in px^2, low-pass included.
        visible: [B, C, N] bool, within the depth range and invertible.
    """

    means: Tensor
    conics: Tensor
    depths: Tensor
    covariances: Tensor
    visible: Tensor


def project(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    *,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    eps2d: float = 0.3,
) -> Projected:
    """Project Gaussians to image space (EWA: Kerbl et al. 2023, eq. 5, with the low-pass).

    Args:
        means: [B, N, 3]; quats [B, N, 4]; scales [B, N, 3]; world coordinates, scene units.
        viewmats: [B, C, 4, 4] `cam_from_world`; Ks [B, C, 3, 3] in pixels.
        width, height, near_plane, far_plane, eps2d: as in `rasterization`.
    """
    rotations, translations = viewmats[..., :3, :3], viewmats[..., :3, 3]
    in_camera = torch.einsum("bcij,bnj->bcin", rotations, means) + translations[..., None]
    x, y, depths = in_camera.unbind(2)  # [B, C, N]
    visible = (depths >= near_plane) & (depths <= far_plane)
    # Culled Gaussians get a harmless depth, so that no infinity poisons the gradients.
    z = torch.where(visible, depths, torch.ones_like(depths))
    right, down = x / z, y / z
    fx, fy = Ks[..., 0, 0, None], Ks[..., 1, 1, None]
    skew, cx, cy = Ks[..., 0, 1, None], Ks[..., 0, 2, None], Ks[..., 1, 2, None]
    means2d = torch.stack([fx * right + skew * down + cx, fy * down + cy], dim=-1)

    # Rows of J W R S, [B, C, N, 3]: the axes of the ellipsoid as seen by the linearised camera.
    # The pull-out of 1/z and the clamp are those of gsplat's persp_proj.
    axes = rotation_from_quaternion(quats) * scales[..., None, :]  # [B, N, 3, 3]
    in_camera_axes = torch.einsum("bcij,bnjk->bcink", rotations, axes)
    right = _clamp_to_frustum(right, fx, cx, width)
    down = _clamp_to_frustum(down, fy, cy, height)
    axis_x, axis_y, axis_z = in_camera_axes.unbind(2)
    row_x = (fx / z)[..., None] * (axis_x - right[..., None] * axis_z)
    row_y = (fy / z)[..., None] * (axis_y - down[..., None] * axis_z)
    xx = (row_x * row_x).sum(-1) + eps2d
    xy = (row_x * row_y).sum(-1)
    yy = (row_y * row_y).sum(-1) + eps2d
    determinant = xx * yy - xy * xy
    visible = visible & (determinant > 0)
    determinant = torch.where(visible, determinant, torch.ones_like(determinant))
    conics = torch.stack([yy, -xy, xx], dim=-1) / determinant[..., None]
    return Projected(means2d, conics, depths, torch.stack([xx, xy, yy], dim=-1), visible)


def _clamp_to_frustum(slope: Tensor, focal: Tensor, center: Tensor, extent: int) -> Tensor:
    margin = FRUSTUM_MARGIN * 0.5 * extent / focal
    low = -(center / focal) - margin
    high = (extent - center) / focal + margin
    return torch.minimum(torch.maximum(slope, low), high)


def _pack(
    projected: Projected, opacities: Tensor, colors: Tensor | None, with_depth: bool,
    per_camera: bool, width: int, height: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Keep what can touch a pixel, sort it by image and depth, gather it into packed arrays.

    Args:
        opacities: [B, N]. colors: [B, N, D], [B, C, N, D] if `per_camera`, or None.
        with_depth: append the depth to the features.

    Returns:
        means [M, 2], conics [M, 3], opacities [M], features [M, D], rows [M, 2] int32 and
        image_starts [I + 1] int64, I = B C images.
    """
    _, cameras, count = projected.depths.shape
    kept, rows, image_starts = _visible_in_order(projected, opacities, width, height)
    index_in_set = kept // max(cameras * count, 1) * count + kept % max(count, 1)  # into [B N]
    features = []
    if colors is not None:
        index = kept if per_camera else index_in_set
        features.append(colors.reshape(-1, colors.shape[-1]).index_select(0, index))
    if with_depth:
        features.append(projected.depths.reshape(-1, 1).index_select(0, kept))
    return (
        projected.means.reshape(-1, 2).index_select(0, kept),
        projected.conics.reshape(-1, 3).index_select(0, kept),
        opacities.reshape(-1).index_select(0, index_in_set),
        torch.cat(features, dim=-1),
        rows,
        image_starts,
    )


@torch.no_grad()
def _visible_in_order(
    projected: Projected, opacities: Tensor, width: int, height: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Which of the B C N projections touch a pixel, near to far within each image.

    The bound is the box of the exact contour where alpha falls to 1/255, so it changes no pixel.

    Returns:
        kept [M] int64 into [B C N], rows [M, 2] int32, image_starts [I + 1] int64.
    """
    sets, cameras, count = projected.depths.shape
    reach = (2.0 * (opacities * 255.0).log()).clamp_min(0.0)[:, None]  # [B, 1, N], in sigma^2
    touched = projected.visible & (opacities >= kernels.ALPHA_CUT)[:, None]
    ranges = []
    for axis, extent in ((0, width), (1, height)):
        center = projected.means[..., axis]
        # a hair wider against rounding: the kernels test every pixel anyway
        radius = (reach * projected.covariances[..., 2 * axis]).sqrt() + 1e-3
        first = (center - radius - 0.5).ceil().clamp(0, extent)
        end = ((center + radius - 0.5).floor() + 1).clamp(0, extent)
        touched = touched & (first < end)
        ranges = [first, end]
    kept = touched.reshape(-1).nonzero().squeeze(1)
    image = kept // max(count, 1)
    depths = projected.depths.reshape(-1)[kept]
    if depths.dtype == torch.float32:
        # the bits of positive floats sort as integers: one sort for image and depth
        order = torch.argsort((image << 32) | depths.view(torch.int32), stable=True)
    else:
        order = torch.argsort(depths, stable=True)
        order = order[torch.argsort(image[order], stable=True)]
    kept = kept[order]
    rows = torch.stack([bound.reshape(-1)[kept] for bound in ranges], dim=-1).to(torch.int32)
    per_image = torch.bincount(image, minlength=sets * cameras)
    image_starts = torch.nn.functional.pad(per_image.cumsum(0), (1, 0))
    return kept, rows, image_starts


class _Composite(torch.autograd.Function):
    """Packed Gaussians -> values [I, H, W, D] and transmittance [I, H, W]."""

    @staticmethod
    def forward(ctx, means, conics, opacities, features, rows, image_starts, width, height):
        packed = tuple(t.contiguous() for t in (means, conics, opacities, features))
        arrays = tuple(t.numpy() for t in packed)
        kernels.ensure_compiled(arrays[0].dtype)
        images = len(image_starts) - 1
        bands = -(-height // kernels.BAND_ROWS)
        plan = kernels.plan_bands(rows.numpy(), image_starts.numpy(), bands)
        values = means.new_zeros(images, height, width, features.shape[-1])
        transmittance = means.new_empty(images, height, width)
        kernels.run_bands(
            kernels.composite, images * bands, torch.get_num_threads(),
            bands, plan.band_starts, plan.band_lists, rows.numpy(), *arrays,
            values.numpy(), transmittance.numpy(),
        )  # fmt: skip
        ctx.save_for_backward(*packed, rows, values, transmittance)
        ctx.bands, ctx.plan = bands, plan
        return values, transmittance

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_values, grad_transmittance):
        *packed, rows, values, transmittance = ctx.saved_tensors
        bands, plan = ctx.bands, ctx.plan
        means = packed[0]
        columns = kernels.GEOMETRY_GRADIENTS + values.shape[-1]
        slots = means.new_zeros(int(plan.slot_starts[-1]), columns)
        kernels.run_bands(
            kernels.composite_backward, values.shape[0] * bands, torch.get_num_threads(),
            bands, plan.band_starts, plan.band_lists, plan.slot_starts, rows.numpy(),
            *(t.numpy() for t in packed), values.numpy(), transmittance.numpy(),
            grad_values.contiguous().numpy(), grad_transmittance.contiguous().numpy(),
            slots.numpy(),
        )  # fmt: skip
        gradients = means.new_empty(len(means), columns)
        kernels.sum_slots(slots.numpy(), plan.slot_starts, gradients.numpy())
        split = (gradients[:, :2], gradients[:, 2:5], gradients[:, 5], gradients[:, 6:])
        return *split, None, None, None, None


def _validate(
    means, quats, scales, opacities, colors, viewmats, Ks, width, height, sh_degree, backgrounds,
    render_mode, near_plane,
) -> None:  # fmt: skip
    """Raise ValueError for arguments of `rasterization` that do not fit together."""
    if render_mode not in RENDER_MODES:
        raise ValueError(f"render_mode {render_mode!r} is not one of {', '.join(RENDER_MODES)}")
    if sh_degree is not None and not (
        0 <= sh_degree <= MAX_DEGREE and (sh_degree + 1) ** 2 <= colors.shape[-2]
    ):
        raise ValueError(
            f"sh_degree must be None or 0 to {MAX_DEGREE} and fit colors {list(colors.shape)}, "
            f"got {sh_degree}"
        )
    if width < 1 or height < 1:
        raise ValueError(f"width and height must be at least 1 pixel, got {width} x {height}")
    if near_plane <= 0:
        raise ValueError(f"near_plane must be positive, got {near_plane}")
    if means.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"means must be float32 or float64, got {means.dtype}")
    if means.ndim < 2 or viewmats.ndim < 3:
        raise ValueError(
            f"means must be [..., N, 3] and viewmats [..., C, 4, 4], got {list(means.shape)} and "
            f"{list(viewmats.shape)}"
        )
    batch, count, cameras = means.shape[:-2], means.shape[-2], viewmats.shape[-3]
    shared = 1 if sh_degree is None else 2  # dimensions behind N
    per_camera = colors.ndim == means.ndim + shared
    color_lead = (*batch, cameras, count) if per_camera else (*batch, count)
    expected = {
        "means": (means, (*batch, count, 3)),
        "quats": (quats, (*batch, count, 4)),
        "scales": (scales, (*batch, count, 3)),
        "opacities": (opacities, (*batch, count)),
        "colors": (colors, color_lead + tuple(colors.shape[-shared:])),
        "viewmats": (viewmats, (*batch, cameras, 4, 4)),
        "Ks": (Ks, (*batch, cameras, 3, 3)),
    }
    if backgrounds is not None and "RGB" in render_mode:
        channels = colors.shape[-1]
        expected["backgrounds"] = (backgrounds, (*batch, cameras, channels))
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != tuple(shape):
            raise ValueError(f"{name} must be {list(shape)}, got {list(tensor.shape)}")
        if tensor.dtype != means.dtype or tensor.device != means.device:
            raise ValueError(
                f"{name} is {tensor.dtype} on {tensor.device}, but means is {means.dtype} on "
                f"{means.device}"
            )
