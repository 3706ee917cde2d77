"""How much faster the CPU rasteriser is than plain torch and than gsplat's Python reference.

    python tests/bench/bench_rasterize.py              # 24,576 Gaussians, 128 px: the ratios
    python tests/bench/bench_rasterize.py --gaussians 98304 --size 256 --only-ours
    python tests/bench/bench_rasterize.py --curve      # to 1.5 million Gaussians and 512 px

All draw the same Gaussians of the size that a trained head has, forward and backward, taking turns
so that a busy machine slows both. The plain version shares our projection and composites small
tiles with a cumulative sum, in portions that stay in the cache; it is checked to draw the same
picture before anything is timed. gsplat's reference is its own projection and compositing, with
stand-ins for what it leaves to CUDA (tests/train/gsplat_twin.py). Goals: 4 times plain torch, 12
times gsplat's, 98,304 Gaussians at 256 px in 80 ms. Times are CPU time with one thread, else wall
time.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from synth.camera import ring, stack
from train.gaussians import Gaussians
from train.rasterize import _pack, project, render

TILE = 4
PORTION = 1 << 19
"""Pairs of a Gaussian and a pixel that the plain version works on at a time."""


def head_like(count: int, splat_px: float, size: int) -> Gaussians:
    """Gaussians near a head-sized ellipsoid, most of them opaque, `splat_px` pixels wide."""
    generator = torch.Generator().manual_seed(0)
    shell = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    shell = shell * torch.tensor([0.45, 0.5, 0.65])
    shell = shell * (1 + 0.03 * torch.randn(count, 1, generator=generator))
    pixel = 2.7 / (1.0722 * size)  # scene units at the origin, FOV 50 degrees
    log_scales = 0.5 * torch.randn(count, 3, generator=generator)
    return Gaussians(
        means=shell,
        quats=torch.randn(count, 4, generator=generator),
        log_scales=log_scales + torch.tensor(splat_px * pixel).log(),
        logit_opacities=1.5 + 2 * torch.randn(count, generator=generator),
        sh=torch.randn(count, 1, 3, generator=generator),
    )


def render_plain(gaussians: Gaussians, cam_from_world: Tensor, K: Tensor, size: int) -> Tensor:
    """Colours [V, H, W, 3] on black, in torch alone: tiles of about equal load in one batch."""
    projected = project(
        gaussians.means[None], gaussians.quats[None], gaussians.scales[None],
        cam_from_world[None], K[None], size, size,
    )  # fmt: skip
    means, conics, opacities, colors, _, image_starts = _pack(
        projected, gaussians.opacities[None], gaussians.rgb()[None], with_depth=False,
        per_camera=False, width=size, height=size,
    )  # fmt: skip
    packed = torch.cat([means, conics, opacities[:, None], colors], dim=-1)
    across, views = -(-size // TILE), len(cam_from_world)
    tile_of, member = _tile_lists(means, conics, opacities, image_starts, across, size)
    counts = torch.bincount(tile_of, minlength=views * across * across)
    starts = counts.cumsum(0) - counts
    offset = torch.arange(TILE) + 0.5
    pixel_y, pixel_x = (grid.flatten() for grid in torch.meshgrid(offset, offset, indexing="ij"))
    drawn, order = [], []
    by_load = counts.argsort()
    by_load = by_load[int((counts == 0).sum()) :]
    first = 0
    while first < len(by_load):
        # tiles of similar load are padded to the longest list among them
        padded = counts[by_load[first:]] * torch.arange(1, len(by_load) - first + 1) * TILE**2
        room = max(1, int((padded <= PORTION).sum()))
        tiles = by_load[first : first + room]
        first += room
        slot = torch.arange(int(counts[tiles[-1]]))
        present = slot < counts[tiles, None]
        index = member[(starts[tiles, None] + slot).clamp_max(len(member) - 1)]
        column, row = tiles % across, tiles // across % across
        # index_select: its gradient is several times faster than that of indexing
        gathered = packed.index_select(0, index.flatten()).view(*index.shape, 9)
        mean_x, mean_y, a, b, c, opacity, color = gathered.split((1, 1, 1, 1, 1, 1, 3), dim=-1)
        dx = (column[:, None] * TILE + pixel_x)[:, None] - mean_x
        dy = (row[:, None] * TILE + pixel_y)[:, None] - mean_y
        sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
        alpha = (opacity * torch.exp(-sigma)).clamp_max(0.999)
        alpha = torch.where(present[..., None] & (alpha >= 1 / 255), alpha, 0.0)
        kept = 1 - alpha
        after = kept.log().cumsum(dim=1).exp()  # faster than cumprod, whose gradient is slow
        weights = torch.where(after > 1e-4, alpha * after / kept, 0.0)
        drawn.append(torch.einsum("tkp,tkc->tpc", weights, color))
        order.append(tiles)
    empty = colors.new_zeros(views * across * across, TILE * TILE, 3)
    pictures = empty.index_copy(0, torch.cat(order), torch.cat(drawn))
    grid = pictures.reshape(views, across, across, TILE, TILE, 3).permute(0, 1, 3, 2, 4, 5)
    return grid.reshape(views, across * TILE, across * TILE, 3)[:, :size, :size]


@torch.no_grad()
def _tile_lists(means, conics, opacities, image_starts, across, size):
    """Tile and Gaussian of every overlap of a tile and a Gaussian's box, near to far in a tile."""
    determinant = conics[:, 0] * conics[:, 2] - conics[:, 1] ** 2
    reach = 2 * (255 * opacities).log()
    boxes = []
    for axis, other in ((0, 2), (1, 0)):
        radius = (reach * conics[:, other] / determinant).sqrt() + 0.01
        low = ((means[:, axis] - radius) / TILE).floor().clamp(0, across - 1).long()
        high = ((means[:, axis] + radius) / TILE).floor().clamp(0, across - 1).long()
        boxes.append((low, high - low + 1))
    (left, columns), (top, rows) = boxes
    area = columns * rows
    member = torch.repeat_interleave(torch.arange(len(means)), area)
    place = torch.arange(len(member)) - torch.repeat_interleave(area.cumsum(0) - area, area)
    image = torch.bucketize(torch.arange(len(means)), image_starts[1:], right=True)
    row = top[member] + place // columns[member]
    column = left[member] + place % columns[member]
    tile = (image[member] * across + row) * across + column
    order = torch.argsort(tile, stable=True)
    return tile[order], member[order]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gaussians", type=int, default=24576)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--splat-px", type=float, default=0.8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only-ours", action="store_true", help="no comparison")
    parser.add_argument("--curve", action="store_true", help="ours at growing sizes")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    print(
        f"{options.threads} threads, torch {torch.__version__}, "
        f"{platform.processor() or platform.machine()}; median of {options.rounds}, "
        f"{'CPU' if options.threads == 1 else 'wall'} ms per picture"
    )
    if options.curve:
        curve(options, clock)
    else:
        compare(options, clock)


def curve(options: argparse.Namespace, clock: Callable[[], float]) -> None:
    """Time by the number of Gaussians and of pixels; splats stay as wide as an input pixel."""
    print("| Gaussians | picture | forward | backward | both | ns per Gaussian and pixel |")
    print("|---|---|---|---|---|---|")
    for size, counts in (
        (128, (6144, 24576, 98304)),
        (256, (24576, 98304, 393216)),
        (512, (98304, 393216, 1572864)),
    ):
        for count in counts:
            splat_px = options.splat_px * (6 * size * size / count) ** 0.5
            ours, _ = scene(count, splat_px, size, options.views)
            times = measure({"ours": ours}, options.rounds, clock)["ours"]
            forward, backward = (statistics.median(part) * 1e3 / options.views
                                 for part in zip(*times))  # fmt: skip
            share = (forward + backward) * 1e6 / (count + size * size)
            print(f"| {count:,} | {size} px | {forward:.1f} | {backward:.1f} | "
                  f"{forward + backward:.1f} | {share:.0f} |")  # fmt: skip


def scene(
    count: int, splat_px: float, size: int, views: int
) -> tuple[Callable[[], Tensor], dict[str, Callable[[], Tensor]]]:
    """Ours, and the others by name, on one scene: each draws [V, H, W, 3]."""
    gaussians = head_like(count, splat_px, size).map(lambda tensor: tensor.requires_grad_())
    cam_from_world, K = (
        torch.from_numpy(array).float() for array in stack(ring(views, 10.0, size=size))
    )
    others = {
        "plain torch, tiles": lambda: render_plain(gaussians, cam_from_world, K, size),
        "gsplat's reference": lambda: gsplat_twin().rasterization(
            gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities,
            gaussians.rgb(), cam_from_world, K, size, size,
        )[0],
    }  # fmt: skip
    return lambda: render(gaussians, cam_from_world, K, size, size).color, others


def gsplat_twin():
    """The completed reference of the tests."""
    name = "headloom_gsplat_twin"
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "train" / "gsplat_twin.py"
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def measure(
    versions: dict[str, Callable[[], Tensor]], rounds: int, clock: Callable[[], float]
) -> dict[str, list[tuple[float, float]]]:
    """Seconds forward and backward of each, in turn."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in versions}
    for _ in range(rounds):
        for name, version in versions.items():
            start = clock()
            picture = version()
            middle = clock()
            picture.square().mean().backward()
            times[name].append((middle - start, clock() - middle))
    return times


def compare(options: argparse.Namespace, clock: Callable[[], float]) -> None:
    """Ours beside the others, and the ratios."""
    ours, others = scene(options.gaussians, options.splat_px, options.size, options.views)
    versions = {"numba kernels": ours, **({} if options.only_ours else others)}
    drawn = [version().detach() for version in versions.values()]
    for name, other in zip(list(versions)[1:], drawn[1:]):
        worst = (drawn[0] - other).abs().flatten().quantile(0.999).item()
        if worst > 1e-3:
            raise SystemExit(f"{name} draws another picture: {worst:.2g} apart")
    print(f"{options.gaussians:,} Gaussians, {options.views} x {options.size} px")
    totals = {}
    for name, rounds in measure(versions, options.rounds, clock).items():
        forward = statistics.median(f for f, _ in rounds) * 1e3 / options.views
        backward = statistics.median(b for _, b in rounds) * 1e3 / options.views
        totals[name] = statistics.median(f + b for f, b in rounds) * 1e3 / options.views
        ratio = totals[name] / totals["numba kernels"]
        print(f"{name:20s} forward {forward:7.1f}  backward {backward:7.1f}  "
              f"both {totals[name]:7.1f}  x {ratio:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
