"""The sampler: reproducible, independent of its batch, and loadable from checkpoints."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from synth.config import to_dict
from synth.errors import CheckpointError, ConfigError, InputError
from train import checkpoint as checkpoints
from train.diffusion.config import (
    AutoencoderConfig,
    DiffusionConfig,
    ImageEncoderConfig,
    MultiViewConfig,
    SamplingConfig,
    ScheduleConfig,
    UNetConfig,
    VaeConfig,
)
from train.diffusion.model import MultiViewDiffusion
from train.diffusion.pipeline import MultiViewPipeline, rescale_guidance
from train.diffusion.schedule import DiffusionSchedule
from train.diffusion.vae import Autoencoder, measure_latent_statistics, weights_digest

VAE = AutoencoderConfig(block_out_channels=(8, 16), norm_groups=4, mid_attention=False)
MODEL = MultiViewConfig(
    unet=UNetConfig(
        block_out_channels=(16, 32), attention_levels=(True, True), heads=(2, 2),
        cross_attention_dim=16, norm_groups=8,
    ),
    image_encoder=ImageEncoderConfig(width=16, channels=(8, 16)),
    latent_size=8,
    view_tokens=2,
)  # fmt: skip
SAMPLING = SamplingConfig(steps=4, eta=1.0, guidance=2.0)


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors: a second thread only waits, and on a busy machine for long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_autoencoder(seed: int = 0) -> Autoencoder:
    torch.manual_seed(seed)
    autoencoder = Autoencoder(VAE)
    measure_latent_statistics(autoencoder, [torch.rand(8, 3, 16, 16)])
    return autoencoder.eval().requires_grad_(False)


def make_model() -> MultiViewDiffusion:
    torch.manual_seed(1)
    return MultiViewDiffusion(MODEL).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def pipeline() -> MultiViewPipeline:
    return MultiViewPipeline(make_model(), make_autoencoder(), ScheduleConfig(), SAMPLING)


@pytest.fixture(scope="module")
def photos() -> torch.Tensor:
    return torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(5))


def test_paints_six_views_in_range(pipeline, photos):
    views = pipeline(photos[0], seed=0)
    assert views.shape == (6, 3, 16, 16)
    assert views.dtype == torch.float32
    assert views.min() >= 0.0
    assert views.max() <= 1.0
    assert views.std() > 0.01


@pytest.mark.parametrize("eta", (0.0, 1.0))
def test_a_seed_repeats_and_another_differs(pipeline, photos, eta):
    before = torch.get_rng_state()
    first = pipeline(photos[0], seed=3, eta=eta)
    pipeline(photos[1], seed=8, eta=eta)  # what came before must not matter
    assert torch.equal(pipeline(photos[0], seed=3, eta=eta), first)
    assert not torch.allclose(pipeline(photos[0], seed=4, eta=eta), first, atol=1e-2)
    assert torch.equal(torch.get_rng_state(), before)


def test_place_in_the_batch_does_not_matter(pipeline, photos):
    alone = [pipeline(photo, seed=seed) for photo, seed in zip(photos, (7, 0, 7))]
    batch = pipeline.many(photos, seeds=(7, 0, 7))
    turned = pipeline.many(photos.flip(0), seeds=(7, 0, 7)).flip(0)
    for i in range(3):
        assert torch.allclose(batch[i], alone[i], atol=1e-4)
        assert torch.allclose(turned[i], alone[i], atol=1e-4)
    assert not torch.allclose(batch[0], batch[2], atol=1e-2)  # same seed, another photo


@pytest.mark.parametrize("eta", (0.0, 1.0))
def test_explicit_noise_replaces_that_of_the_seed(pipeline, photos, eta):
    noise = pipeline.initial_noise(3)
    assert noise.shape == (6, 4, 8, 8)
    same = pipeline(photos[0], seed=3, eta=eta, noise=noise)
    assert torch.equal(same, pipeline(photos[0], seed=3, eta=eta))
    other = pipeline(photos[0], seed=3, eta=eta, noise=noise.flip(0))
    assert not torch.allclose(other, same, atol=1e-2)


def test_guidance_1_is_the_plain_prediction(pipeline, photos):
    """Guidance interpolates between the predictions with and without the photo."""
    latents = pipeline.initial_noise(0).unsqueeze(0)
    with torch.no_grad():
        condition = pipeline._condition(photos[:1])
        nothing = torch.zeros(1, dtype=torch.bool)
        with_photo = pipeline._guided(latents, 500, condition, 1.0)
        without = pipeline._guided(latents, 500, condition.dropped(nothing, nothing), 1.0)
        assert torch.allclose(pipeline._guided(latents, 500, condition, 0.0), without, atol=1e-5)
        tripled = pipeline._guided(latents, 500, condition, 3.0)
    assert (with_photo - without).abs().max() > 1e-4
    assert torch.allclose(tripled, without + 3 * (with_photo - without), atol=1e-5)


def test_guidance_rescale_restores_the_contrast():
    plain, guided = torch.randn(2, 6, 4, 8, 8), 3 * torch.randn(2, 6, 4, 8, 8)
    full = rescale_guidance(guided, plain, 1.0)
    axes = (1, 2, 3, 4)
    assert torch.allclose(full.std(dim=axes), plain.std(dim=axes), rtol=1e-4)
    half = rescale_guidance(guided, plain, 0.5)
    assert torch.allclose(half, 0.5 * (full + guided), atol=1e-5)


class Oracle(MultiViewDiffusion):
    """A model that knows the clean latents: DDIM must arrive at them from any noise."""

    def __init__(self, clean: torch.Tensor, schedule: ScheduleConfig):
        super().__init__(MODEL)
        self.clean, self.schedule = clean, DiffusionSchedule(schedule)

    def velocity(self, noisy, timesteps, condition):
        abar = self.schedule.cumulative_alphas[timesteps].float().view(-1, 1, 1, 1, 1)
        noise = (noisy - abar.sqrt() * self.clean) / (1 - abar).sqrt()
        return self.schedule.velocity(self.clean.expand_as(noisy), noise, timesteps)


@pytest.mark.parametrize("eta", (0.0, 1.0))
@pytest.mark.parametrize("steps", (1, 7, 30))
def test_a_perfect_model_is_sampled_exactly(photos, steps, eta):
    autoencoder = make_autoencoder()
    torch.manual_seed(2)
    clean = torch.randn(1, 6, 4, 8, 8)
    schedule = ScheduleConfig(snr_divisor=2.0)
    oracle = Oracle(clean, schedule)
    sampled = MultiViewPipeline(oracle, autoencoder, schedule)(
        photos[0], steps=steps, eta=eta, guidance=1.0
    )
    with torch.no_grad():
        want = autoencoder.decode(clean[0]).clamp(0, 1)
    assert torch.allclose(sampled, want, atol=1e-3)


def test_progress_reports_every_step(pipeline, photos):
    seen = []
    pipeline(photos[0], steps=3, progress=lambda done, steps: seen.append((done, steps)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_wrong_inputs_are_named(pipeline, photos):
    with pytest.raises(InputError, match="paints 16 x 16 pixels"):
        pipeline(torch.rand(3, 20, 20))
    with pytest.raises(InputError, match="2 seeds"):
        pipeline.many(photos, seeds=(0, 1))
    with pytest.raises(ConfigError, match="steps 0 must be 1 to 1000"):
        pipeline(photos[0], steps=0)
    with pytest.raises(ConfigError, match="eta 2"):
        pipeline(photos[0], eta=2.0)
    with pytest.raises(ConfigError, match="noise has shape"):
        pipeline(photos[0], noise=torch.zeros(5, 4, 8, 8))


def save_run(path, kind: str, config, model) -> None:
    state = checkpoints.TrainState(kind, 0, 0, to_dict(config), {"id": "x", "heads": 1})
    optimizer = torch.optim.AdamW(torch.nn.Module.parameters(model))
    checkpoints.save(path, state, model, model, optimizer, keep=1)


def test_loads_from_checkpoints_and_refuses_a_foreign_autoencoder(tmp_path, photos):
    autoencoder, model = make_autoencoder(), make_model()
    model.vae_digest.copy_(weights_digest(autoencoder))
    config = DiffusionConfig(
        vae=str(tmp_path / "vae"), model=replace(MODEL), image_size=16, sampling=SAMPLING
    )
    save_run(tmp_path / "vae", "vae", VaeConfig(model=VAE, image_size=16), autoencoder)
    save_run(tmp_path / "diffusion", "diffusion", config, model)
    save_run(tmp_path / "other", "vae", VaeConfig(model=VAE, image_size=16), make_autoencoder(9))

    loaded = MultiViewPipeline.load(tmp_path / "diffusion")
    assert loaded.sampling == SAMPLING
    want = MultiViewPipeline(model, autoencoder, config.schedule, SAMPLING)(photos[0], seed=1)
    assert torch.equal(loaded(photos[0], seed=1), want)
    assert not any(p.requires_grad for p in loaded.model.parameters())

    with pytest.raises(CheckpointError, match="another autoencoder"):
        MultiViewPipeline.load(tmp_path / "diffusion", tmp_path / "other")
    with pytest.raises(CheckpointError, match="holds a diffusion model, not an autoencoder"):
        MultiViewPipeline.load(tmp_path / "diffusion", tmp_path / "diffusion")
    with pytest.raises(CheckpointError, match="holds a vae model"):
        MultiViewPipeline.load(tmp_path / "vae")


def test_half_precision_exports_still_belong_together(tmp_path, photos):
    autoencoder, model = make_autoencoder(), make_model()
    model.vae_digest.copy_(weights_digest(autoencoder))
    save_run(tmp_path / "vae", "vae", VaeConfig(model=VAE, image_size=16), autoencoder)
    config = DiffusionConfig(vae="unused", model=MODEL, image_size=16, sampling=SAMPLING)
    save_run(tmp_path / "diffusion", "diffusion", config, model)
    for kind in ("vae", "diffusion"):
        checkpoints.export(tmp_path / kind, tmp_path / "export" / kind, half=True)
    loaded = MultiViewPipeline.load(tmp_path / "export/diffusion", tmp_path / "export/vae")
    want = MultiViewPipeline(model, autoencoder, config.schedule, SAMPLING)(photos[0])
    assert torch.allclose(loaded(photos[0]), want, atol=0.02)
