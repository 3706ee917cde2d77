"""`MultiViewPipeline`: one photo in, the views of the whole head out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from synth.errors import CheckpointError, ConfigError, InputError
from train.diffusion.config import SamplingConfig, ScheduleConfig
from train.diffusion.model import MultiViewDiffusion, PhotoCondition, load_multi_view
from train.diffusion.schedule import build_sampler
from train.diffusion.vae import Autoencoder, load_autoencoder, weights_digest


class MultiViewPipeline:
    """Samples the views of a head with DDIM and classifier-free guidance.

    A result depends on the photo, the seed and the settings; not on the other photos of a batch
    and not on what was sampled before. All noise is drawn on the CPU, so a seed means the same
    noise on every device.

    Args:
        model: the multi-view UNet, on its device.
        autoencoder: the one whose latents the model was trained on; on the same device.
        schedule: noise schedule of the training.
        sampling: defaults for steps, eta and guidance.

    Raises:
        CheckpointError: the model was trained on the latents of another autoencoder.
    """

    def __init__(
        self,
        model: MultiViewDiffusion,
        autoencoder: Autoencoder,
        schedule: ScheduleConfig,
        sampling: SamplingConfig | None = None,
    ):
        trained = bool(model.vae_digest.any())
        if trained and not torch.equal(model.vae_digest.cpu(), weights_digest(autoencoder)):
            raise CheckpointError(
                "this diffusion model was trained on the latents of another autoencoder; give the "
                "vae that its training was given"
            )
        self.model = model
        self.autoencoder = autoencoder
        self.schedule = schedule
        self.sampling = sampling if sampling is not None else SamplingConfig()

    @classmethod
    def load(
        cls, diffusion: str | Path, vae: str | Path | None = None, device: str = "cpu"
    ) -> MultiViewPipeline:
        """Load both checkpoints.

        Args:
            diffusion: run, checkpoint or export of `headloom train diffusion`.
            vae: of `headloom train vae`; None takes the path that the training was given.
            device: "cpu" or "cuda" (not run here: no GPU).

        Raises:
            CheckpointError: a checkpoint is missing or damaged, or the two do not belong together.
        """
        model, config = load_multi_view(diffusion)
        vae = config.vae if vae is None else vae
        if vae is None:
            raise CheckpointError(f"{diffusion} names no autoencoder; give its vae directory")
        autoencoder = load_autoencoder(vae)
        return cls(model.to(device), autoencoder.to(device), config.schedule, config.sampling)

    @property
    def image_size(self) -> int:
        """Side of the square photos and views, in pixels."""
        return self.model.config.latent_size * self.autoencoder.config.downsampling

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.model.view_embeddings.device

    def initial_noise(self, seed: int) -> Tensor:
        """The latents that sampling with this seed starts from, [V, C, h, w] on the CPU."""
        return torch.randn(self._latent_shape(), generator=_generator(seed))

    def __call__(
        self,
        image: Tensor,
        *,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        eta: float | None = None,
        noise: Tensor | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """Paint the views of one head.

        Args:
            image: [3, H, W] float in [0, 1], sRGB, the canonical crop of the photo.
            seed: of the initial noise and, with eta above 0, of the noise of every step.
            steps, guidance, eta: None takes the defaults of `sampling`.
            noise: [V, C, h, w] initial noise instead of the seed's; the noise of the steps still
                comes from the seed, so one noise and one seed keep a video steady.
            progress: called with (steps done, steps in all).

        Returns:
            [V, 3, H, W] float32 in [0, 1] on the device of the model, in the order of
            `model.config.views`.

        Raises:
            InputError: the image has another shape.
            ConfigError: steps or eta out of range, or noise of another shape.
        """
        views = self.many(
            image.unsqueeze(0),
            seeds=(seed,),
            steps=steps,
            guidance=guidance,
            eta=eta,
            noise=None if noise is None else noise.unsqueeze(0),
            progress=progress,
        )
        return views[0]

    @torch.no_grad()
    def many(
        self,
        images: Tensor,
        *,
        seeds: Sequence[int],
        steps: int | None = None,
        guidance: float | None = None,
        eta: float | None = None,
        noise: Tensor | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """Paint the views of several heads in one batch; each as `__call__` would, up to rounding.

        Args:
            images: [B, 3, H, W] in [0, 1], sRGB.
            seeds: one per image.
            noise: [B, V, C, h, w] or None; the rest as in `__call__`.

        Returns:
            [B, V, 3, H, W] float32 in [0, 1].
        """
        steps = self.sampling.steps if steps is None else steps
        guidance = self.sampling.guidance if guidance is None else guidance
        eta = self.sampling.eta if eta is None else eta
        self._check(images, seeds, steps, eta, noise)
        generators = [_generator(seed) for seed in seeds]
        shape = self._latent_shape()
        drawn = torch.stack([torch.randn(shape, generator=g) for g in generators])
        latents = (drawn if noise is None else noise).to(self.device, torch.float32)
        condition = self._condition(images.to(self.device, torch.float32))
        scheduler, timesteps = build_sampler(self.schedule, steps)
        levels = zip(scheduler.timesteps.tolist(), timesteps.tolist())
        for done, (level, timestep) in enumerate(levels, start=1):
            velocity = self._guided(latents, timestep, condition, guidance)
            fresh = None
            if eta > 0:
                fresh = torch.stack([torch.randn(shape, generator=g) for g in generators])
                fresh = fresh.to(self.device)
            latents = scheduler.step(
                velocity, level, latents, eta=eta, variance_noise=fresh
            ).prev_sample
            if progress is not None:
                progress(done, steps)
        views = self.autoencoder.decode(latents.flatten(0, 1)).clamp(0.0, 1.0)
        return views.unflatten(0, latents.shape[:2])

    def _condition(self, images: Tensor) -> PhotoCondition:
        return PhotoCondition(self.autoencoder.encode(images), self.model.embed_photo(images))

    def _guided(
        self, latents: Tensor, timestep: int, condition: PhotoCondition, guidance: float
    ) -> Tensor:
        """v = v_without + guidance (v_with - v_without), arXiv 2207.12598; both in one batch."""
        batch = len(latents)
        if guidance == 1.0:
            times = torch.full((batch,), timestep, device=latents.device)
            return self.model.velocity(latents, times, condition).float()
        times = torch.full((2 * batch,), timestep, device=latents.device)
        keep = torch.arange(2 * batch, device=latents.device) < batch
        both = PhotoCondition(
            condition.latents.repeat(2, 1, 1, 1), condition.embedding.repeat(2, 1)
        ).dropped(keep, keep)
        velocity = self.model.velocity(latents.repeat(2, 1, 1, 1, 1), times, both).float()
        with_photo, without = velocity.chunk(2)
        guided = without + guidance * (with_photo - without)
        return rescale_guidance(guided, with_photo, self.sampling.guidance_rescale)

    def _latent_shape(self) -> tuple[int, int, int, int]:
        config = self.model.config
        return (len(config.views), config.latent_channels, config.latent_size, config.latent_size)

    def _check(
        self, images: Tensor, seeds: Sequence[int], steps: int, eta: float, noise: Tensor | None
    ) -> None:
        wanted = (len(seeds), 3, self.image_size, self.image_size)
        if tuple(images.shape) != wanted:
            raise InputError(
                f"got photos of shape {tuple(images.shape)} and {len(seeds)} seeds; this model "
                f"paints {self.image_size} x {self.image_size} pixels and wants {wanted}"
            )
        if not 1 <= steps <= self.schedule.timesteps or not 0.0 <= eta <= 1.0:
            raise ConfigError(
                f"steps {steps} must be 1 to {self.schedule.timesteps} and eta {eta} in [0, 1]"
            )
        shape = (len(seeds), *self._latent_shape())
        if noise is not None and tuple(noise.shape) != shape:
            raise ConfigError(f"the noise has shape {tuple(noise.shape)}, the model wants {shape}")


def rescale_guidance(guided: Tensor, with_photo: Tensor, share: float) -> Tensor:
    """Give a guided prediction the contrast of the unguided one, by `share` in [0, 1].

    Lin et al. 2023 (arXiv 2305.08891), equations 15 and 16; the deviation is taken over a head.

    Args:
        guided, with_photo: [B, V, C, h, w].
    """
    if share == 0.0:
        return guided
    axes = tuple(range(1, guided.ndim))
    ratio = with_photo.std(dim=axes, keepdim=True) / guided.std(dim=axes, keepdim=True)
    return guided * (share * ratio + (1.0 - share))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(int(seed))
