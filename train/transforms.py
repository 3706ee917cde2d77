"""From stored RGBA to what a model sees: compositing, backgrounds and the choice of views.

The only place where a picture meets a background. Files hold display-referred sRGB with straight
alpha, and the mix happens in that same space, as every image viewer does it; nothing here flips an
axis or touches gamma.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from synth.color import BACKGROUNDS

WHITE, GREY, BLACK = (BACKGROUNDS[name] for name in ("white", "grey", "black"))

Background = Literal["white", "grey", "black", "random", "mixed"]
"""How a background is drawn: a fixed colour, a uniformly random one, or "mixed": white, grey, black
or a random colour with equal probability."""


def composite(
    rgba: Tensor,
    background: Tensor | Sequence[float] = WHITE,
) -> Tensor:
    """Lay pictures over a plain background.

    Args:
        rgba: [V, 4, H, W] uint8 (or [4, H, W]), display-referred sRGB, straight alpha.
        background: [3] one colour, or [V, 3] one for each picture; float in [0, 1], sRGB.

    Returns:
        [V, 3, H, W] (or [3, H, W]) float32 in [0, 1]: colour x alpha + background x (1 - alpha).

    Raises:
        ValueError: wrong dtype, channel count or shape of the background.
    """
    colour, opacity = _split(rgba)
    under = torch.as_tensor(background, dtype=torch.float32, device=rgba.device)
    if under.shape not in ((3,), (*rgba.shape[:-3], 3)):
        raise ValueError(
            f"background has shape {tuple(under.shape)}; expected (3,) or "
            f"{(*rgba.shape[:-3], 3)} for pictures of shape {tuple(rgba.shape)}"
        )
    return colour * opacity + under[..., None, None] * (1.0 - opacity)


def alpha(rgba: Tensor) -> Tensor:
    """Coverage of each pixel: [V, 4, H, W] uint8 -> [V, 1, H, W] float32 in [0, 1]."""
    return _split(rgba)[1]


def _split(rgba: Tensor) -> tuple[Tensor, Tensor]:
    if rgba.dtype != torch.uint8 or rgba.ndim < 3 or rgba.shape[-3] != 4:
        raise ValueError(
            f"expected uint8 pictures [V, 4, H, W], got {rgba.dtype} {tuple(rgba.shape)}"
        )
    values = rgba.to(torch.float32) / 255.0
    return values[..., :3, :, :], values[..., 3:, :, :]


def draw_background(mode: Background, rng: np.random.Generator) -> Tensor:
    """Draw one background colour, [3] float32 in [0, 1]; always takes the same draws from `rng`."""
    random_colour = rng.random(3)
    choice = int(rng.integers(4))
    fixed = {"white": WHITE, "grey": GREY, "black": BLACK, "random": random_colour}
    colour = tuple(fixed.values())[choice] if mode == "mixed" else fixed[mode]
    return torch.tensor(np.asarray(colour), dtype=torch.float32)


def choose_views(
    view_count: int, count: int, rng: np.random.Generator, *, exclude: Sequence[int] = ()
) -> tuple[int, ...]:
    """Draw distinct views of a head at random, in random order.

    Args:
        view_count: how many views the head has.
        count: how many are wanted.
        exclude: positions that must not be drawn (for example the input views).

    Raises:
        ValueError: fewer than `count` views are left.
    """
    left = np.setdiff1d(np.arange(view_count), np.asarray(tuple(exclude), dtype=np.int64))
    if count > len(left):
        raise ValueError(
            f"{count} views wanted, but only {len(left)} of {view_count} are left; "
            "render more views per head or ask for fewer"
        )
    return tuple(int(view) for view in rng.choice(left, size=count, replace=False))
