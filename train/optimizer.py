"""The optimiser and its learning rate, as functions of the configuration and the clock."""

from __future__ import annotations

import math

import torch
from torch import nn

from synth.errors import ConfigError
from train.task import TrainConfig


def learning_rate(config: TrainConfig, samples_seen: int) -> float:
    """Linear warm-up, then a cosine to `final_learning_rate` at the end of the run.

    Args:
        samples_seen: samples seen before the step.
    """
    step = samples_seen / config.batch_size
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    share = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    low = config.final_learning_rate
    return config.learning_rate * (low + (1 - low) * cosine)


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW; weight decay acts on parameters of two and more dimensions only.

    Raises:
        ConfigError: the model has no parameter to train.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise ConfigError(f"{type(model).__name__} has no trainable parameter")
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.epsilon,
    )
