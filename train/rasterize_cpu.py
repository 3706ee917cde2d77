"""The compositing kernels of the CPU rasteriser, compiled by numba on first use.

`train.rasterize` projects the Gaussians in torch and hands over packed arrays, sorted by image and
then by depth, near to far. An image is cut into bands of `BAND_ROWS` rows. `bin_bands` writes, for
every band, the list of Gaussians that touch it; `composite` and `composite_backward` walk those
lists front to back, a band at a time.

Bands are independent, so threads share them without atomics: in the backward pass every pair of a
Gaussian and a band owns a slot for its gradient, and `sum_slots` adds the slots in a fixed order.
The result therefore has the same bits for any number of threads.

The rules are gsplat's (`RasterizeToPixels3DGSFwd.cu`): alpha = min(0.999, opacity exp(-sigma)), cut
below 1/255, and a pixel is closed by the Gaussian that would bring its transmittance to 1e-4 or
less, which is not drawn.
"""

from __future__ import annotations

import fcntl
import functools
import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np

log = logging.getLogger(__name__)

BAND_ROWS = 16
"""Rows of a band; fixed, so that results do not depend on the number of threads."""
ALPHA_CUT = 1.0 / 255.0
ALPHA_MAX = 0.999
TRANSMITTANCE_STOP = 1e-4

GEOMETRY_GRADIENTS = 6
"""Leading columns of a gradient slot: x, y, conic (a, b, c), opacity; the features follow."""


def _compiled(function: Callable) -> Callable:
    """`numba.njit` with a cache on disk, or without one where no directory can be written."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError as error:  # "cannot cache function: no locator available"
        log.warning("compiling %s in every process: %s", function.__name__, error)
        return numba.njit(nogil=True, error_model="numpy")(function)


@_compiled
def row_span(a, b, c, reach, mean_x, mean_y, row, width):
    """First and last-plus-one pixel of a row where sigma can be at most `reach`.

    Solves a/2 dx^2 + b dx dy + c/2 dy^2 = reach for dx in double precision, a hair wider than the
    exact contour: the caller still tests every pixel.
    """
    dy = row + 0.5 - mean_y
    half = b * dy
    discriminant = half * half - a * (c * dy * dy - 2.0 * reach)
    if discriminant < 0.0 or a <= 0.0:
        return 0, 0
    root = math.sqrt(discriminant)
    low = mean_x + (-half - root) / a - 0.501
    high = mean_x + (-half + root) / a - 0.499
    if high < 0.0 or low > width - 1.0:
        return 0, 0
    return math.ceil(max(low, 0.0)), math.floor(min(high, width - 1.0)) + 1


@_compiled
def bin_bands(rows, image_starts, bands, band_starts, band_lists, slot_starts):
    """List the Gaussians of every band, near to far, and number their gradient slots.

    Args:
        rows: [M, 2] int32, first and last-plus-one row that each Gaussian can touch.
        image_starts: [I + 1] int64, range of Gaussians of each image.
        bands: bands per image.
        band_starts: [I * bands + 1] int64 out, range of each band in `band_lists`.
        band_lists: [E] int32 out, or [0] to only count (fills the other two).
        slot_starts: [M + 1] int64 out, first gradient slot of each Gaussian; the slot of a
            Gaussian in its j-th band is slot_starts[m] + j.
    """
    images = len(image_starts) - 1
    if len(band_lists) == 0:
        band_starts[:] = 0
        slot = 0
        for image in range(images):
            for m in range(image_starts[image], image_starts[image + 1]):
                slot_starts[m] = slot
                first, last = rows[m, 0] // BAND_ROWS, (rows[m, 1] - 1) // BAND_ROWS
                for band in range(first, last + 1):
                    band_starts[image * bands + band + 1] += 1
                slot += last + 1 - first
        slot_starts[len(rows)] = slot
        for i in range(images * bands):
            band_starts[i + 1] += band_starts[i]
        return
    cursor = band_starts[:-1].copy()
    for image in range(images):
        for m in range(image_starts[image], image_starts[image + 1]):
            first, last = rows[m, 0] // BAND_ROWS, (rows[m, 1] - 1) // BAND_ROWS
            for band in range(first, last + 1):
                index = image * bands + band
                band_lists[cursor[index]] = m
                cursor[index] += 1


@_compiled
def composite(
    tasks, bands, band_starts, band_lists, rows,
    means, conics, opacities, features, color, transmittance,
):  # fmt: skip
    """Composite the bands of `tasks` front to back.

    Args:
        tasks: [T] int64 band indices (image * bands + band).
        rows: [M, 2] int32, first and last-plus-one row that each Gaussian can touch.
        means: [M, 2] pixel coordinates; conics [M, 3] (a, b, c); opacities [M]; features [M, D].
        color: [I, H, W, D] out, zeros. transmittance: [I, H, W] out.
    """
    height, width, depth = color.shape[1], color.shape[2], color.shape[3]
    for index in tasks:
        image, band = index // bands, index % bands
        top = band * BAND_ROWS
        bottom = min(top + BAND_ROWS, height)
        remaining = np.ones((bottom - top, width))
        open_pixels = (bottom - top) * width
        for entry in range(band_starts[index], band_starts[index + 1]):
            if open_pixels == 0:
                break
            m = band_lists[entry]
            opacity = np.float64(opacities[m])
            reach = math.log(opacity * 255.0)
            mean_x, mean_y = np.float64(means[m, 0]), np.float64(means[m, 1])
            a, b, c = np.float64(conics[m, 0]), np.float64(conics[m, 1]), np.float64(conics[m, 2])
            for row in range(max(top, rows[m, 0]), min(bottom, rows[m, 1])):
                first, last = row_span(a, b, c, reach, mean_x, mean_y, row, width)
                dy = row + 0.5 - mean_y
                for x in range(first, last):
                    before = remaining[row - top, x]
                    if before < 0.0:  # closed
                        continue
                    dx = x + 0.5 - mean_x
                    sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
                    alpha = min(ALPHA_MAX, opacity * math.exp(-sigma))
                    if sigma < 0.0 or alpha < ALPHA_CUT:
                        continue
                    after = before * (1.0 - alpha)
                    if after <= TRANSMITTANCE_STOP:
                        remaining[row - top, x] = -before
                        open_pixels -= 1
                        continue
                    weight = alpha * before
                    for k in range(depth):
                        color[image, row, x, k] += weight * features[m, k]
                    remaining[row - top, x] = after
        for row in range(top, bottom):
            for x in range(width):
                transmittance[image, row, x] = abs(remaining[row - top, x])


@_compiled
def composite_backward(
    tasks, bands, band_starts, band_lists, slot_starts, rows,
    means, conics, opacities, features, color, transmittance,
    grad_color, grad_transmittance, slots,
):  # fmt: skip
    """Gradients of `composite`, walking the same pixels in the same order.

    With T_i the transmittance in front of Gaussian i, C = sum alpha_i T_i c_i and T the final one:
        dL/dalpha_i = T_i (g . c_i) - (sum_{j>i} alpha_j T_j (g . c_j) + h T) / (1 - alpha_i)
    where g = dL/dC and h = dL/dT. The sum behind i is the total minus what was passed: one number
    per pixel.

    Args:
        slots: [S, 6 + D] out, zeros: gradients of x, y, a, b, c, opacity and features.
    """
    height, width, depth = color.shape[1], color.shape[2], color.shape[3]
    for index in tasks:
        image, band = index // bands, index % bands
        top = band * BAND_ROWS
        bottom = min(top + BAND_ROWS, height)
        remaining = np.ones((bottom - top, width))
        behind = np.empty((bottom - top, width))
        for row in range(top, bottom):
            for x in range(width):
                total = np.float64(grad_transmittance[image, row, x]) * np.float64(
                    transmittance[image, row, x]
                )
                for k in range(depth):
                    total += np.float64(grad_color[image, row, x, k]) * np.float64(
                        color[image, row, x, k]
                    )
                behind[row - top, x] = total
        open_pixels = (bottom - top) * width
        local = np.empty(depth)
        for entry in range(band_starts[index], band_starts[index + 1]):
            if open_pixels == 0:
                break
            m = band_lists[entry]
            opacity = np.float64(opacities[m])
            reach = math.log(opacity * 255.0)
            mean_x, mean_y = np.float64(means[m, 0]), np.float64(means[m, 1])
            a, b, c = np.float64(conics[m, 0]), np.float64(conics[m, 1]), np.float64(conics[m, 2])
            g_x, g_y, g_a, g_b, g_c, g_opacity = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            local[:] = 0.0
            for row in range(max(top, rows[m, 0]), min(bottom, rows[m, 1])):
                first, last = row_span(a, b, c, reach, mean_x, mean_y, row, width)
                dy = row + 0.5 - mean_y
                moment_0, moment_1, moment_2 = 0.0, 0.0, 0.0  # of dL/dsigma over dx
                for x in range(first, last):
                    before = remaining[row - top, x]
                    if before < 0.0:
                        continue
                    dx = x + 0.5 - mean_x
                    sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
                    falloff = math.exp(-sigma)
                    alpha = min(ALPHA_MAX, opacity * falloff)
                    if sigma < 0.0 or alpha < ALPHA_CUT:
                        continue
                    after = before * (1.0 - alpha)
                    if after <= TRANSMITTANCE_STOP:
                        remaining[row - top, x] = -before
                        open_pixels -= 1
                        continue
                    weight = alpha * before
                    seen = 0.0
                    for k in range(depth):
                        g = np.float64(grad_color[image, row, x, k])
                        seen += g * features[m, k]
                        local[k] += weight * g
                    rest = behind[row - top, x] - weight * seen
                    behind[row - top, x] = rest
                    remaining[row - top, x] = after
                    if opacity * falloff <= ALPHA_MAX:  # the clamp stops the gradient
                        g_alpha = before * seen - rest / (1.0 - alpha)
                        g_opacity += falloff * g_alpha
                        g_sigma = -alpha * g_alpha
                        moment_0 += g_sigma
                        moment_1 += g_sigma * dx
                        moment_2 += g_sigma * dx * dx
                g_a += 0.5 * moment_2
                g_b += dy * moment_1
                g_c += 0.5 * dy * dy * moment_0
                g_x -= a * moment_1 + b * dy * moment_0
                g_y -= b * moment_1 + c * dy * moment_0
            slot = slot_starts[m] + band - rows[m, 0] // BAND_ROWS
            slots[slot, 0], slots[slot, 1] = g_x, g_y
            slots[slot, 2], slots[slot, 3], slots[slot, 4] = g_a, g_b, g_c
            slots[slot, 5] = g_opacity
            for k in range(depth):
                slots[slot, GEOMETRY_GRADIENTS + k] = local[k]


@_compiled
def sum_slots(slots, slot_starts, gradients):
    """Add the slots of each Gaussian: [S, G] -> gradients [M, G] out."""
    for m in range(len(gradients)):
        for k in range(gradients.shape[1]):
            total = 0.0
            for slot in range(slot_starts[m], slot_starts[m + 1]):
                total += slots[slot, k]
            gradients[m, k] = total


class BandPlan(NamedTuple):
    """Which Gaussians touch which band; the arrays are those of `bin_bands`."""

    band_starts: np.ndarray
    band_lists: np.ndarray
    slot_starts: np.ndarray


def plan_bands(rows: np.ndarray, image_starts: np.ndarray, bands: int) -> BandPlan:
    """Bin Gaussians into bands: rows [M, 2] int32, image_starts [I + 1] int64."""
    band_starts = np.empty((len(image_starts) - 1) * bands + 1, np.int64)
    slot_starts = np.empty(len(rows) + 1, np.int64)
    bin_bands(rows, image_starts, bands, band_starts, np.empty(0, np.int32), slot_starts)
    band_lists = np.empty(slot_starts[-1], np.int32)
    if len(band_lists):
        bin_bands(rows, image_starts, bands, band_starts, band_lists, slot_starts)
    return BandPlan(band_starts, band_lists, slot_starts)


def run_bands(kernel: Callable, task_count: int, threads: int, *args: object) -> None:
    """Call `kernel(tasks, *args)` for all bands, shared among threads.

    Threads live for one call only: a pool kept between calls would not survive a fork.
    """
    tasks = np.arange(task_count, dtype=np.int64)
    if threads <= 1 or task_count <= 1:
        kernel(tasks, *args)
        return
    # A few interleaved portions per thread: full bands in the middle of a picture and empty ones at
    # its border end up on every thread.
    portions = [tasks[i :: 4 * threads].copy() for i in range(min(task_count, 4 * threads))]
    with ThreadPoolExecutor(threads, thread_name_prefix="rasterize") as pool:
        for done in [pool.submit(kernel, portion, *args) for portion in portions]:
            done.result()


@contextmanager
def _machine_wide_lock() -> Iterator[None]:
    """One process of this user at a time: numba's cache does not expect two to write at once."""
    path = Path(tempfile.gettempdir()) / f"headloom-numba-{os.getuid()}.lock"
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield  # closing the file releases the lock


@functools.cache
def ensure_compiled(dtype: np.dtype) -> None:
    """Compile the kernels for a float type, or load them from the cache, under a lock.

    The first call on a machine takes some ten seconds, later processes about half a second.
    """
    with _machine_wide_lock():
        rows = np.array([[0, 1]], dtype=np.int32)
        image_starts = np.array([0, 1], dtype=np.int64)
        band_starts, band_lists, slot_starts = plan_bands(rows, image_starts, 1)
        tasks = np.zeros(1, np.int64)
        packed = (np.zeros((1, 2), dtype), np.ones((1, 3), dtype), np.ones(1, dtype),
                  np.ones((1, 1), dtype))  # fmt: skip
        color, transmittance = np.zeros((1, 1, 1, 1), dtype), np.zeros((1, 1, 1), dtype)
        composite(tasks, 1, band_starts, band_lists, rows, *packed, color, transmittance)
        slots, gradients = np.zeros((1, 7), dtype), np.zeros((1, 7), dtype)
        composite_backward(
            tasks, 1, band_starts, band_lists, slot_starts, rows, *packed, color, transmittance,
            color, transmittance, slots,
        )  # fmt: skip
        sum_slots(slots, slot_starts, gradients)
