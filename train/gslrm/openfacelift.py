"""Reads the published weights of FaceLift's reconstructor ("OpenFaceLift") into `GSLRM`.

The table of tensors is FaceLift's; the network is ours, from the papers, with the same arithmetic:
no QK-norm, no residual colour, distances of at most 1.8 from the ray's closest approach, scales
that start at exp(-2.3) and end at exp(-1.2), opacities that start at sigmoid(-2). Sizes are read
off the tensors. The weights are non-commercial: they are never shipped, and `LICENCE` says so.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from synth.errors import CheckpointError
from train.checkpoint import load_into, read_tensors
from train.gslrm.config import GslrmConfig, GslrmModelConfig
from train.gslrm.model import GSLRM, PIXEL_NUMBERS

LICENCE = """\
The published weights of FaceLift are for NON-COMMERCIAL use only, under the terms that came with
the file you downloaded. Headloom (Apache-2.0) neither ships nor downloads them; a file made from
them stays under their terms."""

TRAINED_SIZE_PX = 512
"""Size of the pictures that they were trained on."""
HEAD_WIDTH = 64

_OUTSIDE = {
    "gaussian_position_embeddings": "free_tokens",
    "patch_embedder.1.weight": "embed.weight",
    "input_layer_norm.weight": "input_norm.weight",
    "gaussian_upsampler.layernorm.weight": "free_norm.weight",
    "gaussian_upsampler.linear.weight": "free_head.weight",
    "pixel_gaussian_decoder.0.weight": "pixel_norm.weight",
    "pixel_gaussian_decoder.1.weight": "pixel_head.weight",
}
"""Their names outside the transformer blocks, and ours."""
_IN_A_BLOCK = {
    "norm1.weight": "norm1.weight",
    "norm2.weight": "norm2.weight",
    "attn.to_qkv.weight": "attention.to_qkv.weight",
    "attn.fc.weight": "attention.to_out.weight",
    "mlp.mlp.0.weight": "mlp.0.weight",
    "mlp.mlp.2.weight": "mlp.2.weight",
}
"""Their names behind `transformer_layers.{i}.`, and ours behind `blocks.{i}.`."""
_LAYER = re.compile(r"transformer_layers\.(\d+)\.(.+)")


def build(state_dict: Mapping[str, Tensor]) -> GSLRM:
    """The reconstructor that a state dict in FaceLift's names describes, with its weights.

    Args:
        state_dict: the tensors by FaceLift's names; float16 and bfloat16 are widened to float32.

    Returns:
        The model, float32 on the CPU, in eval mode.

    Raises:
        CheckpointError: a tensor is missing, unknown or of a shape that fits no such network.
    """
    config = model_config(state_dict)
    weights = {_our_name(name): tensor.float() for name, tensor in state_dict.items()}
    with torch.device("meta"):
        model = GSLRM(config)
    model.to_empty(device="cpu")
    load_into(model, weights, "FaceLift's state dict")
    return model.eval()


def model_config(state_dict: Mapping[str, Tensor]) -> GslrmModelConfig:
    """The architecture, its sizes read off the tensors.

    Raises:
        CheckpointError: the tensors that tell the sizes are missing or contradict each other.
    """
    free, embed = (
        _matrix(state_dict, name)
        for name in ("gaussian_position_embeddings", "patch_embedder.1.weight")
    )
    width = embed.shape[0]
    patch_size = math.isqrt(embed.shape[1] // PIXEL_NUMBERS)
    if patch_size**2 * PIXEL_NUMBERS != embed.shape[1] or width % HEAD_WIDTH:
        raise CheckpointError(
            f"patch_embedder.1.weight has shape {tuple(embed.shape)}; expected "
            f"(a multiple of {HEAD_WIDTH}, {PIXEL_NUMBERS} x a square)"
        )
    layers = {int(match[1]) for match in map(_LAYER.fullmatch, state_dict) if match}
    if layers != set(range(len(layers))) or not layers:
        raise CheckpointError(f"transformer_layers.{{i}}: found {sorted(layers)}, not 0, 1, 2 ...")
    hidden = _matrix(state_dict, "transformer_layers.0.mlp.mlp.0.weight").shape[0]
    return GslrmModelConfig(
        width=width,
        layers=len(layers),
        head_width=HEAD_WIDTH,
        mlp_ratio=hidden // width,
        patch_size=patch_size,
        free_tokens=free.shape[0],
        rays="closest_point",
        depth_range=1.8,
        scale_unit="world",
        scale_bias=-2.3,
        scale_bound="clamp",
        scale_max=math.exp(-1.2),
        opacity_bias=-2.0,
    )


def read(path: str | Path) -> dict[str, Tensor]:
    """The state dict of a downloaded file, `{"model": state_dict}` by `torch.save` or safetensors.

    Nothing in the file is executed (`torch.load` with `weights_only`).

    Raises:
        CheckpointError: it cannot be read, or holds something else.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return read_tensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    tensors = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise CheckpointError(f"{path} holds no state dict: expected {{'model': {{name: tensor}}}}")
    return tensors


def config_of(model: GSLRM) -> GslrmConfig:
    """The configuration an export of these weights carries: the model, at the size of FaceLift."""
    return GslrmConfig(model=model.config, image_size=TRAINED_SIZE_PX)


def _our_name(name: str) -> str:
    match = _LAYER.fullmatch(name)
    if match and match[2] in _IN_A_BLOCK:
        return f"blocks.{match[1]}.{_IN_A_BLOCK[match[2]]}"
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    raise CheckpointError(f"{name} is no tensor of FaceLift's reconstructor")


def _matrix(state_dict: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in state_dict:
        raise CheckpointError(f"{name} is missing: these are not FaceLift's reconstructor weights")
    if state_dict[name].ndim != 2:
        raise CheckpointError(f"{name} has shape {tuple(state_dict[name].shape)}, not a matrix's")
    return state_dict[name]
