"""The running average of the weights, which is what previews show and inference loads."""

from __future__ import annotations

import copy

import torch
from torch import nn


def ema_decay(target: float, step: int) -> float:
    """Decay of the average at optimiser step `step` (0-based): small at first, then `target`.

    Early weights are poor, so it forgets them quickly: min(target, (1 + step) / (10 + step)).
    """
    return min(target, (1 + step) / (10 + step))


class Ema:
    """Exponential moving average of a module's weights.

    Attributes:
        model: a copy of the module in eval mode that holds the averaged weights.
    """

    def __init__(self, model: nn.Module):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, decay: float) -> None:
        """Move the average towards `model`: average = decay x average + (1 - decay) x weights.

        Buffers and weights that are not trained are copied.
        """
        averages, weights = [], []
        current = dict(model.named_parameters())
        for name, average in self.model.named_parameters():
            source = current[name]
            if source.requires_grad and average.is_floating_point():
                averages.append(average)
                weights.append(source.detach())
            else:
                average.copy_(source)
        if averages:
            torch._foreach_lerp_(averages, weights, 1.0 - decay)
        for average, source in zip(self.model.buffers(), model.buffers()):
            average.copy_(source)
