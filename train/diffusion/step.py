"""What the training loop needs to know of the autoencoder and of the multi-view model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

from synth.errors import ConfigError
from train.data import HeadDataset, HeadItem
from train.diffusion.config import Background, DiffusionConfig, VaeConfig
from train.diffusion.model import MultiViewDiffusion
from train.diffusion.pipeline import MultiViewPipeline
from train.diffusion.schedule import DiffusionSchedule
from train.diffusion.vae import Autoencoder, Reconstruction, load_autoencoder, weights_digest
from train.transforms import WHITE, choose_views, composite, draw_background

PREVIEW_HEADS = 3


@dataclass(frozen=True)
class ImageBatch:
    """Pictures for the autoencoder: `images` [N, 3, H, W] in [0, 1]."""

    images: Tensor

    def to(self, device: torch.device) -> ImageBatch:
        """The same batch on another device."""
        return ImageBatch(self.images.to(device))


class VaeTask:
    """Trains `Autoencoder` on single views over plain backgrounds."""

    name = "vae"
    passes = ()

    def __init__(self, config: VaeConfig):
        self.config = config

    def build_model(self) -> Autoencoder:
        """A new autoencoder."""
        return Autoencoder(self.config.model)

    def load_batch(
        self, dataset: HeadDataset, indices: Sequence[int], rng: np.random.Generator
    ) -> ImageBatch:
        """A few random views of each head, each over a background of its own."""
        pictures = []
        for index in indices:
            available = len(dataset.info(index).view_names)
            count = min(self.config.views_per_head, available)
            item = dataset.load(index, choose_views(available, count, rng))
            _check_size(item, self.config.image_size, "vae")
            under = torch.stack([_draw(self.config.backgrounds, rng) for _ in range(count)])
            pictures.append(composite(item.rgba, under))
        return ImageBatch(torch.cat(pictures))

    def loss(
        self, model: nn.Module, batch: ImageBatch, generator: torch.Generator, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Distance in colour and contour, and the KL divergence of the latents."""
        config = self.config
        output: Reconstruction = model(batch.images, generator)
        images, rebuilt = batch.images, output.images.float()
        l1 = (rebuilt - images).abs().mean()
        mse = (rebuilt - images).square().mean()
        edges = _edge_distance(rebuilt, images)
        kl = _kl_per_value(output, images.numel())
        loss = config.l1_weight * l1 + config.mse_weight * mse
        loss = loss + config.edge_weight * edges + config.kl_weight * kl
        psnr_db = -10.0 * torch.log10(mse.detach().clamp(min=1e-10))
        return loss, {"l1": l1.detach(), "psnr_db": psnr_db, "kl": kl.detach()}

    @torch.no_grad()
    def preview(self, model: Autoencoder, dataset: HeadDataset) -> np.ndarray | None:
        """Views of a few heads above their reconstructions."""
        rows = []
        for index in range(min(PREVIEW_HEADS, len(dataset))):
            item = dataset.load(index, range(min(6, len(dataset.info(index).view_names))))
            images = composite(item.rgba, WHITE).to(model.latent_mean.device)
            rows += [images, model(images).images]
        return _picture(rows)


def _edge_distance(a: Tensor, b: Tensor) -> Tensor:
    """L1 distance of the differences between neighbouring pixels, both directions."""
    difference = a - b
    across = (difference[..., :, 1:] - difference[..., :, :-1]).abs().mean()
    return across + (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()


def _kl_per_value(output: Reconstruction, values: int) -> Tensor:
    """KL(posterior || N(0, 1)) in nats, summed and divided by the number of picture values.

    Latent diffusion (arXiv 2112.10752) weighs sums over a picture; with means of the other terms
    the same balance needs this division.
    """
    mean, log_variance = output.mean.float(), output.log_variance.float()
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum() / values


@dataclass(frozen=True)
class MultiViewBatch:
    """Photos and the views to be painted.

    Attributes:
        photos: [B, 3, H, W] in [0, 1].
        views: [B, V, 3, H, W] in [0, 1], over the same background.
    """

    photos: Tensor
    views: Tensor

    def to(self, device: torch.device) -> MultiViewBatch:
        """The same batch on another device."""
        return MultiViewBatch(self.photos.to(device), self.views.to(device))


class DiffusionTask:
    """Trains `MultiViewDiffusion` on the latents of a finished autoencoder.

    Raises:
        ConfigError: no `vae`, or its latents do not fit the model.
        CheckpointError: the autoencoder cannot be loaded.
    """

    name = "diffusion"
    passes = ()

    def __init__(self, config: DiffusionConfig):
        if config.vae is None:
            raise ConfigError(
                "diffusion: `vae` is not set; train one with `headloom train vae` and give its "
                "directory (--set vae=DIR)"
            )
        self.config = config
        self.schedule = DiffusionSchedule(config.schedule)
        self.autoencoder = load_autoencoder(config.vae)
        self._check_latents()

    def _check_latents(self) -> None:
        latent = self.autoencoder.config
        wanted = (self.config.model.latent_channels, self.config.model.latent_size)
        found = (latent.latent_channels, self.config.image_size / latent.downsampling)
        if wanted != found:
            raise ConfigError(
                f"the autoencoder in {self.config.vae} makes {found[0]} x {found[1]:g}^2 latents "
                f"of {self.config.image_size} px pictures, the model wants {wanted[0]} x "
                f"{wanted[1]}^2; set model.latent_channels and model.latent_size"
            )

    def build_model(self) -> MultiViewDiffusion:
        """A new multi-view model that knows its autoencoder's digest."""
        model = MultiViewDiffusion(self.config.model)
        model.vae_digest.copy_(weights_digest(self.autoencoder))
        return model

    def load_batch(
        self, dataset: HeadDataset, indices: Sequence[int], rng: np.random.Generator
    ) -> MultiViewBatch:
        """The canonical views of each head; the photo is the first of them, perhaps rotated."""
        photos, views = [], []
        for index in indices:
            background = _draw(self.config.backgrounds, rng)
            angle_deg = self.config.input_rotation_deg * float(rng.standard_normal())
            truth = self._canonical(dataset, index, background)
            photo = rotate(truth[0], angle_deg, background)
            first = photo if self.config.reconstruct_input else truth[0]
            photos.append(photo)
            views.append(torch.cat([first.unsqueeze(0), truth[1:]]))
        return MultiViewBatch(torch.stack(photos), torch.stack(views))

    def _canonical(self, dataset: HeadDataset, index: int, background: Tensor) -> Tensor:
        """[V, 3, H, W] the views of the model, over one background."""
        item = dataset.load(index, dataset.views_named(index, self.config.model.views))
        _check_size(item, self.config.image_size, "diffusion")
        return composite(item.rgba, background)

    def loss(
        self, model: nn.Module, batch: MultiViewBatch, generator: torch.Generator, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted squared error of the velocity; one timestep per head, noise of its own per view.

        A condition is dropped by zeroing it, so that guidance has something to compare with.
        """
        clean, photo_latents = self._latents(batch)
        count, device = len(clean), clean.device

        def draw(sampler, *arguments, **options) -> Tensor:
            made = sampler(*arguments, generator=generator, device=generator.device, **options)
            return made.to(device)

        timesteps = draw(torch.randint, self.config.schedule.timesteps, (count,))
        noise = draw(torch.randn, clean.shape)
        keep_latents, keep_embedding = self.kept_conditions(draw(torch.rand, count))
        noisy = self.schedule.add_noise(clean, noise, timesteps)
        target = self.schedule.velocity(clean, noise, timesteps)
        predicted = model(
            noisy, timesteps, photo_latents, batch.photos, keep_latents, keep_embedding
        ).float()
        error = (predicted - target).square().mean(dim=(2, 3, 4))  # [B, V]
        loss = (self.schedule.loss_weight(timesteps) * error.mean(dim=1)).mean()
        metrics = {
            "velocity_mse": error.mean().detach(),
            "photo_view_mse": error[:, 0].mean().detach(),
        }
        return loss, metrics

    @torch.no_grad()
    def _latents(self, batch: MultiViewBatch) -> tuple[Tensor, Tensor]:
        """Normalised latents of the views [B, V, C, h, w] and of the photos [B, C, h, w]."""
        self.autoencoder.to(batch.views.device)
        clean = self.autoencoder.encode(batch.views.flatten(0, 1)).float()
        clean = clean.unflatten(0, batch.views.shape[:2])
        if self.config.reconstruct_input:  # view 0 is the photo
            return clean, clean[:, 0]
        return clean, self.autoencoder.encode(batch.photos).float()

    def kept_conditions(self, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """Which heads keep the latent and the embedding of their photo, bool [B] each.

        Args:
            uniform: [B] draws from [0, 1); falls into: no latent, no embedding, neither, both.
        """
        drop = self.config.drop
        no_latent = uniform < drop.latent
        no_embedding = (uniform >= drop.latent) & (uniform < drop.latent + drop.embedding)
        neither = (uniform >= drop.latent + drop.embedding) & (
            uniform < drop.latent + drop.embedding + drop.both
        )
        return ~(no_latent | neither), ~(no_embedding | neither)

    def preview(self, model: MultiViewDiffusion, dataset: HeadDataset) -> np.ndarray | None:
        """The canonical views of a few heads above what is painted from the first of them."""
        device = model.view_embeddings.device
        autoencoder = self.autoencoder.to(device)
        pipeline = MultiViewPipeline(model, autoencoder, self.config.schedule, self.config.sampling)
        rows = []
        for index in range(min(PREVIEW_HEADS, len(dataset))):
            truth = self._canonical(dataset, index, torch.tensor(WHITE)).to(device)
            rows += [truth, pipeline(truth[0], seed=0, steps=self.config.preview_steps)]
        return _picture(rows)


def rotate(image: Tensor, angle_deg: float, background: Tensor) -> Tensor:
    """Rotate a picture about its centre, over its own background.

    Args:
        image: [3, H, W] float, composited on `background`.
        angle_deg: counter-clockwise as seen.
        background: [3] colour of the corners that come into view.

    Returns:
        [3, H, W].
    """
    if angle_deg == 0.0:
        return image
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    source_from_target = image.new_tensor([[[cos, -sin, 0.0], [sin, cos, 0.0]]])
    grid = affine_grid(source_from_target, [1, *image.shape], align_corners=False)
    colour = background.to(image).view(3, 1, 1)
    # Relative to the background a composited picture is a premultiplied one: zero outside.
    turned = grid_sample((image - colour).unsqueeze(0), grid, align_corners=False)[0]
    return turned + colour


def _draw(backgrounds: Sequence[Background], rng: np.random.Generator) -> Tensor:
    return draw_background(backgrounds[int(rng.integers(len(backgrounds)))], rng)


def _check_size(item: HeadItem, image_size: int, task: str) -> None:
    found = tuple(item.rgba.shape[-2:])
    if found != (image_size, image_size):
        raise ConfigError(
            f"{task}: head {item.spec_id} has pictures of {found[1]} x {found[0]} pixels, "
            f"image_size is {image_size}; load the dataset at that size"
        )


def _picture(rows: Sequence[Tensor]) -> np.ndarray | None:
    """Rows of [V, 3, H, W] pictures in [0, 1] as one uint8 [rows H, V W, 3] picture."""
    if not rows:
        return None
    lines = [row.float().clamp(0.0, 1.0).cpu().permute(2, 0, 3, 1).flatten(1, 2) for row in rows]
    return (torch.cat(lines) * 255.0).round().to(torch.uint8).numpy()
