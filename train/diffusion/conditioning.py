"""Conditions of the multi-view UNet: the vector of the input photo and the names of the views."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from diffusers.models.embeddings import get_timestep_embedding
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

from synth.errors import AssetError, ConfigError
from train.diffusion.config import ImageEncoderConfig, MultiViewConfig

CLIP_SIZE = 224
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

VIEW_PROMPT = "a photo of a human head, {view} view"


class ConvImageEncoder(nn.Module):
    """A small image encoder that trains together with the UNet.

    Strided convolutions, a 4 x 4 grid of averages (so that the vector still knows where things
    are), a linear layer.
    """

    GRID = 4

    def __init__(self, width: int, channels: tuple[int, ...]):
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for after in channels:
            groups = math.gcd(after, 8)
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1)]
            layers += [nn.GroupNorm(groups, after), nn.SiLU()]
            before = after
        self.convolutions = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(self.GRID)
        self.project = nn.Linear(before * self.GRID**2, width)

    def forward(self, images: Tensor) -> Tensor:
        """Embed photos: [B, 3, H, W] in [0, 1] to [B, width]."""
        features = self.pool(self.convolutions(images * 2.0 - 1.0))
        return self.project(features.flatten(1))


class _Frozen:
    """Keeps a network out of the module that uses it, and is shared by copies of that module."""

    def __init__(self, network: nn.Module):
        self.network = network

    def __deepcopy__(self, memo: dict) -> _Frozen:
        return self


class ClipImageEncoder(nn.Module):
    """CLIP's image embedding the way unCLIP feeds it to Stable Diffusion 2.1.

    The frozen network is not a submodule: it neither trains nor enters the checkpoint. unCLIP
    perturbs the embedding at a noise level and appends the sinusoidal embedding of that level; at
    level 0, the only one used here, the perturbation (variance 4e-5) is left out.

    Args:
        folder: local folder of a diffusers pipeline (with `image_encoder/`) or of the model itself.
        width: expected length of the projected embedding.

    Raises:
        AssetError: `transformers` or the folder is missing, or the width differs.
    """

    def __init__(self, folder: str, width: int):
        super().__init__()
        tower = _load_clip(folder)
        if tower.config.projection_dim != width:
            raise AssetError(
                f"the CLIP model in {folder} projects to {tower.config.projection_dim}, but "
                f"image_encoder.width is {width}; set it to the former"
            )
        self.width = width
        self._frozen = _Frozen(tower.eval().requires_grad_(False))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Embed photos: [B, 3, H, W] in [0, 1], sRGB, to [B, 2 width]."""
        tower = self._frozen.network.to(images.device)
        size = (CLIP_SIZE, CLIP_SIZE)
        pixels = interpolate(images, size, mode="bicubic", antialias=True).clamp(0.0, 1.0)
        mean = pixels.new_tensor(CLIP_MEAN).view(3, 1, 1)
        std = pixels.new_tensor(CLIP_STD).view(3, 1, 1)
        embedding = tower(pixel_values=(pixels - mean) / std).image_embeds
        level = torch.zeros(len(images), device=images.device)
        level_embedding = get_timestep_embedding(
            level, self.width, flip_sin_to_cos=True, downscale_freq_shift=0
        )
        return torch.cat([embedding.float(), level_embedding], dim=1)


def _load_clip(folder: str) -> nn.Module:
    transformers = _import_transformers(f"the CLIP image encoder in {folder}")
    path = Path(folder) / "image_encoder"
    path = path if path.is_dir() else Path(folder)
    if not (path / "config.json").is_file():
        raise AssetError(
            f"image_encoder.folder {folder!r} holds no CLIP vision model (no config.json there or "
            "in image_encoder/); give a local folder, nothing is downloaded"
        )
    try:
        return transformers.CLIPVisionModelWithProjection.from_pretrained(
            path, local_files_only=True
        )
    except (OSError, ValueError) as error:
        raise AssetError(f"cannot load the CLIP vision model in {path}: {error}") from error


def _import_transformers(purpose: str):
    try:
        import transformers
    except ImportError as error:
        raise AssetError(
            f"{purpose} needs the package `transformers`: pip install transformers"
        ) from error
    return transformers


def build_image_encoder(config: ImageEncoderConfig) -> nn.Module:
    """The encoder of the input photo: [B, 3, H, W] in [0, 1] to [B, config.class_width].

    Raises:
        AssetError: CLIP is asked for and not there.
    """
    if config.kind == "clip":
        return ClipImageEncoder(str(config.folder), config.width)
    return ConvImageEncoder(config.width, config.channels)


def build_view_embeddings(config: MultiViewConfig) -> nn.Parameter:
    """One text-like sequence per view, [V, view_tokens, cross_attention_dim].

    Learned from unit noise when training from scratch; fixed when read from a file or made by the
    text encoder of a pretrained base.

    Raises:
        AssetError: the file is unreadable, `transformers` or the base's text encoder is missing.
        ConfigError: the shape differs from the configured one.
    """
    shape = (len(config.views), config.view_tokens, config.unet.cross_attention_dim)
    if config.view_embeddings is None and config.base is None:
        # Unit variance, like a text encoder's output: the embeddings reach the UNet without a norm,
        # and are the only thing that tells the views apart.
        return nn.Parameter(torch.randn(shape))
    if config.view_embeddings is not None:
        fixed = _read_view_embeddings(Path(config.view_embeddings))
    else:
        prompts = [VIEW_PROMPT.format(view=name.replace("_", " ")) for name in config.views]
        fixed = embed_text(str(config.base), prompts)
    if tuple(fixed.shape) != shape:
        raise ConfigError(
            f"the view embeddings have shape {tuple(fixed.shape)}, the configuration asks for "
            f"{shape} (views, view_tokens, unet.cross_attention_dim)"
        )
    return nn.Parameter(fixed.float(), requires_grad=False)


def _read_view_embeddings(path: Path) -> Tensor:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise AssetError(f"cannot read the view embeddings {path}: {error}") from error
    if len(tensors) != 1:
        raise AssetError(f"{path} holds {len(tensors)} tensors ({', '.join(tensors)}), not one")
    return next(iter(tensors.values()))


@torch.no_grad()
def embed_text(base: str, prompts: list[str]) -> Tensor:
    """Embed prompts with the text encoder of a diffusers pipeline: [prompts, 77, width].

    Raises:
        AssetError: `transformers`, the tokenizer or the text encoder is missing.
    """
    transformers = _import_transformers(f"the text encoder of {base}")
    try:
        tokenizer = transformers.CLIPTokenizer.from_pretrained(base, subfolder="tokenizer")
        encoder = transformers.CLIPTextModel.from_pretrained(base, subfolder="text_encoder")
    except (OSError, ValueError) as error:
        raise AssetError(
            f"cannot load the text encoder of {base!r}: {error}. Give ready-made embeddings as "
            "model.view_embeddings instead"
        ) from error
    tokens = tokenizer(
        prompts, padding="max_length", max_length=tokenizer.model_max_length, truncation=True,
        return_tensors="pt",
    )  # fmt: skip
    return encoder(tokens.input_ids)[0]
