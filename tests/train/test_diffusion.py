"""The multi-view model, its noise schedule and its training objective."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from safetensors.torch import save_file

from synth.config import load_config, to_dict
from synth.errors import AssetError, CheckpointError, ConfigError
from train.diffusion import step as step_module
from train.diffusion.conditioning import ConvImageEncoder, build_image_encoder
from train.diffusion.config import (
    PRESETS,
    VIEW_NAMES,
    AutoencoderConfig,
    DiffusionConfig,
    DropConfig,
    ImageEncoderConfig,
    MultiViewConfig,
    ScheduleConfig,
    UNetConfig,
    VaeConfig,
)
from train.diffusion.model import MultiViewDiffusion, _unet_arguments, build_unet, widen_conv_in
from train.diffusion.schedule import DiffusionSchedule, build_sampler, cumulative_alphas
from train.diffusion.step import DiffusionTask, MultiViewBatch, rotate
from train.diffusion.vae import Autoencoder, measure_latent_statistics

UNET = UNetConfig(
    block_out_channels=(16, 32), attention_levels=(True, True), layers_per_block=1, heads=(2, 2),
    cross_attention_dim=16, norm_groups=8,
)  # fmt: skip
MODEL = MultiViewConfig(
    unet=UNET,
    image_encoder=ImageEncoderConfig(width=16, channels=(8, 16)),
    latent_size=8,
    view_tokens=2,
)
PLAIN = ScheduleConfig(zero_terminal_snr=False)


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors: a second thread only waits, and on a busy machine for long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def build(config: MultiViewConfig = MODEL) -> MultiViewDiffusion:
    torch.manual_seed(0)
    return MultiViewDiffusion(config)


# --- the model


def test_weights_are_those_of_a_stock_unet():
    """Same names, same shapes: multi-view attention adds no parameter."""
    stock = UNet2DConditionModel(**_unet_arguments(MODEL, 8))
    ours = build().unet.state_dict()
    assert {k: v.shape for k, v in ours.items()} == {
        k: v.shape for k, v in stock.state_dict().items()
    }


def inputs(batch: int = 2) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "noisy": torch.randn(batch, 6, 4, 8, 8, generator=generator),
        "timesteps": torch.tensor([10, 900])[:batch],
        "photo_latents": torch.randn(batch, 4, 8, 8, generator=generator),
        "photos": torch.rand(batch, 3, 16, 16, generator=generator),
        "keep_latents": torch.ones(batch, dtype=torch.bool),
        "keep_embedding": torch.ones(batch, dtype=torch.bool),
    }


@pytest.mark.parametrize("mode", ("dense", "sparse", "row"))
def test_views_see_each_other_and_heads_do_not(mode):
    model = build(replace(MODEL, attention=mode))
    base = inputs()
    changed = {**base, "noisy": base["noisy"].clone()}
    changed["noisy"][0, 0] += 1.0  # view 0 of head 0
    with torch.no_grad():
        moved = (model(**changed) - model(**base)).abs().amax(dim=(2, 3, 4))
    assert moved[0].min() > 1e-5
    assert moved[1].max() < 1e-5


def test_every_condition_reaches_the_output():
    model, base = build(), inputs()
    with torch.no_grad():
        reference = model(**base)
        for name in ("photo_latents", "photos", "timesteps"):
            other = {**base, name: base[name].flip(0)}
            assert (model(**other) - reference).abs().max() > 1e-4, name
        # A dropped condition is exactly a zero one.
        no_latent = model(**{**base, "keep_latents": torch.zeros(2, dtype=torch.bool)})
        zero_latent = model(**{**base, "photo_latents": torch.zeros(2, 4, 8, 8)})
        assert torch.equal(no_latent, zero_latent)
        no_embedding = {**base, "keep_embedding": torch.zeros(2, dtype=torch.bool)}
        flipped = {**no_embedding, "photos": base["photos"].flip(0)}
        assert torch.equal(model(**no_embedding), model(**flipped))


def test_only_the_view_embeddings_tell_the_views_apart():
    """With equal embeddings and equal noise all views come out equal; with learned ones not."""
    model, base = build(), inputs()
    base["noisy"] = base["noisy"][:, :1].expand(-1, 6, -1, -1, -1)

    def spread(x: torch.Tensor) -> float:
        return float((x - x[:, :1]).abs().max())

    with torch.no_grad():
        assert spread(model(**base)) > 1e-3
        model.view_embeddings.copy_(model.view_embeddings[:1].expand_as(model.view_embeddings))
        assert spread(model(**base)) < 1e-5


def test_fresh_view_embeddings_are_as_large_as_a_text_encoders():
    """They reach the UNet without a norm: much smaller ones leave the views alike for long."""
    assert 0.7 < float(build().view_embeddings.detach().std()) < 1.3


def test_a_wrong_number_of_views_is_refused():
    base = inputs()
    with pytest.raises(ConfigError, match=r"paints 6 views \(front, .*\), got 5"):
        build()(**{**base, "noisy": base["noisy"][:, :5]})


def test_gradient_checkpointing_changes_nothing():
    plain = build().train()
    lean = build(replace(MODEL, unet=replace(UNET, gradient_checkpointing=True))).train()
    for model in (plain, lean):
        model(**inputs()).square().mean().backward()
    for a, b in zip(plain.parameters(), lean.parameters()):
        assert torch.allclose(a.grad, b.grad, atol=1e-6)


def save_stock_unet(folder, **changes) -> UNet2DConditionModel:
    torch.manual_seed(7)
    unet = UNet2DConditionModel(**{**_unet_arguments(MODEL, 4), **changes})
    unet.save_pretrained(folder / "unet")
    return unet.eval()


def test_a_pretrained_unet_starts_as_what_it_was(tmp_path):
    """Zero weights of the added input channels: any photo latent gives the base's own output."""
    stock = save_stock_unet(tmp_path)
    unet = build_unet(replace(MODEL, base=str(tmp_path))).eval()
    noisy, photo = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    rest = (torch.tensor([3, 500]), torch.randn(2, 2, 16), torch.randn(2, 16))
    with torch.no_grad():
        t, text, label = rest
        want = stock(noisy, t, encoder_hidden_states=text, class_labels=label).sample
        wide = torch.cat([noisy, photo], dim=1)
        got = unet(wide, t, encoder_hidden_states=text, class_labels=label).sample
    assert torch.allclose(got, want, atol=1e-6)
    assert unet.config.in_channels == 8
    with pytest.raises(ConfigError, match="from 8 to 4"):
        widen_conv_in(unet, 4)


def test_a_base_that_differs_from_its_description_is_refused(tmp_path):
    save_stock_unet(tmp_path, cross_attention_dim=24)
    with pytest.raises(ConfigError, match="cross_attention_dim 24, the configuration says 16"):
        build_unet(replace(MODEL, base=str(tmp_path)))


def test_fixed_view_embeddings_come_from_a_file(tmp_path):
    save_stock_unet(tmp_path)
    values = torch.randn(6, 2, 16)
    save_file({"views": values}, tmp_path / "views.safetensors")
    config = replace(MODEL, base=str(tmp_path), view_embeddings=str(tmp_path / "views.safetensors"))
    model = build(config)
    assert torch.equal(model.view_embeddings, values)
    assert not model.view_embeddings.requires_grad
    with pytest.raises(ConfigError, match=r"shape \(6, 2, 16\).*asks for \(6, 3, 16\)"):
        build(replace(config, view_tokens=3))
    with pytest.raises(AssetError, match="cannot read the view embeddings"):
        build(replace(config, view_embeddings=str(tmp_path / "none.safetensors")))


def test_missing_clip_says_what_to_do(tmp_path):
    clip = ImageEncoderConfig(kind="clip", width=1024, folder=str(tmp_path))
    with pytest.raises(AssetError, match=r"pip install transformers|holds no CLIP vision model"):
        build_image_encoder(clip)
    assert clip.class_width == 2048


def test_conv_encoder_takes_any_size():
    encoder = ConvImageEncoder(24, (8, 12))
    assert encoder(torch.rand(2, 3, 32, 32)).shape == (2, 24)
    assert encoder(torch.rand(1, 3, 50, 36)).shape == (1, 24)


# --- the schedule


def test_schedule_is_stable_diffusions():
    reference = DDPMScheduler(1000, 0.00085, 0.012, "scaled_linear")
    assert torch.allclose(cumulative_alphas(PLAIN).float(), reference.alphas_cumprod, atol=1e-5)


def test_zero_terminal_snr_is_the_published_rescaling():
    reference = DDPMScheduler(1000, 0.00085, 0.012, "scaled_linear", rescale_betas_zero_snr=True)
    abar = cumulative_alphas(ScheduleConfig())
    # diffusers sets the last value to 2^-24 instead of 0
    assert torch.allclose(abar.float(), reference.alphas_cumprod, atol=1e-5)
    assert abar[-1] == 0.0


def test_snr_divisor_divides_the_snr():
    def snr(config: ScheduleConfig) -> torch.Tensor:
        abar = cumulative_alphas(config)
        return abar / (1 - abar)

    assert torch.allclose(snr(replace(PLAIN, snr_divisor=6.0)) * 6.0, snr(PLAIN))


@pytest.mark.parametrize("divisor", (0.4, 1.0, 3.0, 6.0))
def test_sampler_uses_the_noise_levels_of_the_training(divisor):
    config = ScheduleConfig(snr_divisor=divisor)
    abar, one = cumulative_alphas(config), torch.ones(1)
    for steps in (*range(1, 60), 333, 1000):
        scheduler, timesteps = build_sampler(config, steps)
        assert timesteps[0] == 999
        levels = scheduler.alphas_cumprod[scheduler.timesteps]
        assert torch.allclose(levels.double(), abar[timesteps], atol=1e-6)
        # from pure noise, rounding must never give NaN
        x = scheduler.step(one, steps - 1, one, eta=1.0, variance_noise=one).prev_sample
        assert torch.isfinite(x).all()


@pytest.mark.parametrize("config", (PLAIN, ScheduleConfig()))
def test_velocity_is_diffusers_and_inverts(config):
    """v = sqrt(abar) e - sqrt(1 - abar) x0, and it leads back to x0."""
    schedule = DiffusionSchedule(config)
    clean, noise = torch.randn(3, 6, 4, 2, 2), torch.randn(3, 6, 4, 2, 2)
    timesteps = torch.tensor([0, 400, 999])
    noisy = schedule.add_noise(clean, noise, timesteps)
    velocity = schedule.velocity(clean, noise, timesteps)
    reference = DDPMScheduler(1000, 0.00085, 0.012, "scaled_linear")
    reference.alphas_cumprod = cumulative_alphas(config).float()
    assert torch.allclose(velocity, reference.get_velocity(clean, noise, timesteps), atol=1e-6)
    assert torch.allclose(noisy, reference.add_noise(clean, noise, timesteps), atol=1e-6)
    back = schedule.clean_from_velocity(noisy, velocity, timesteps)
    assert torch.allclose(back, clean, atol=1e-5)


def test_loss_weights():
    snr = cumulative_alphas(PLAIN) / (1 - cumulative_alphas(PLAIN))
    t = torch.arange(1000)
    weight = DiffusionSchedule(replace(PLAIN, loss_weight="min_snr")).loss_weight(t).double()
    assert torch.allclose(weight, snr.clamp(max=5) / (snr + 1), atol=1e-6)
    plus_one = DiffusionSchedule(PLAIN).loss_weight(t)
    assert plus_one[-1] == 1.0
    assert plus_one[0] == pytest.approx(5.0 / (float(snr[0]) + 1), rel=1e-4)
    with pytest.raises(ValueError, match="never be trained"):
        ScheduleConfig(loss_weight="min_snr")


# --- the task


class Heads:
    """One head whose six views are single colours and all of one opacity."""

    def __init__(self, alpha: int = 255, size: int = 16):
        self.rgba = torch.zeros(6, 4, size, size, dtype=torch.uint8)
        for i in range(6):
            self.rgba[i, 0] = 40 * i
        self.rgba[:, 3] = alpha

    def __len__(self) -> int:
        return 1

    def views_named(self, index, names):
        stored = ("back", *(n for n in VIEW_NAMES if n != "back"))
        return tuple(stored.index(n) for n in names)

    def load(self, index, views):
        eye = torch.eye(4).repeat(len(views), 1, 1)
        return step_module.HeadItem("0", "x", self.rgba[list(views)], eye, eye, VIEW_NAMES)


@pytest.fixture
def make_task(monkeypatch):
    """A task over a tiny autoencoder with random weights."""
    torch.manual_seed(1)
    autoencoder = Autoencoder(
        AutoencoderConfig(block_out_channels=(8, 16), norm_groups=4, mid_attention=False)
    )
    pictures = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    measure_latent_statistics(autoencoder, [pictures])
    autoencoder = autoencoder.eval().requires_grad_(False)
    monkeypatch.setattr(step_module, "load_autoencoder", lambda path: autoencoder)

    def make(**options) -> DiffusionTask:
        config = DiffusionConfig(**{"vae": "x", "model": MODEL, "image_size": 16, **options})
        return DiffusionTask(config)

    return make


def test_batch_has_the_canonical_views_by_name(make_task):
    """The stored order differs (back comes first); view 0 is the photo, the front view."""
    batch = make_task().load_batch(Heads(), [0], np.random.default_rng(0))
    reds = (batch.views[0, :, 0, 0, 0] * 255).round().int().tolist()
    assert reds == [40, 80, 120, 0, 160, 200]
    assert torch.equal(batch.photos[0], batch.views[0, 0])


def test_photo_and_views_share_one_background_per_head(make_task):
    task, heads = make_task(), Heads(alpha=0)
    batch = task.load_batch(heads, [0] * 40, np.random.default_rng(0))
    colours = batch.views[:, :, :, 0, 0]  # [B, 6, 3]
    assert torch.equal(colours, colours[:, :1].expand_as(colours))
    assert torch.equal(batch.photos[:, :, 0, 0], colours[:, 0])
    assert sorted({float(c) for c in colours[:, 0, 0]}) == [0.0, 0.5, 1.0]


def test_a_rotated_photo_is_what_view_0_must_repeat(make_task):
    options = {"input_rotation_deg": 20.0, "backgrounds": ("black",)}
    heads = Heads()
    truth = make_task(backgrounds=("black",)).load_batch(heads, [0], np.random.default_rng(0))
    with_trick = make_task(**options).load_batch(heads, [0], np.random.default_rng(0))
    assert torch.equal(with_trick.views[0, 0], with_trick.photos[0])
    assert not torch.equal(with_trick.photos[0], truth.photos[0])
    without = make_task(reconstruct_input=False, **options)
    batch = without.load_batch(heads, [0], np.random.default_rng(0))
    assert torch.equal(batch.views, truth.views)
    assert torch.equal(batch.photos, with_trick.photos)


def test_rotation_is_counter_clockwise_over_the_background():
    image = torch.full((3, 9, 9), 0.5)
    image[:, 4, 8] = 1.0  # a dot at the right
    turned = rotate(image, 90.0, torch.tensor([0.5, 0.5, 0.5]))
    assert turned[0].argmax() == 4  # now at the top, in the middle
    assert torch.all(rotate(torch.ones(3, 8, 8), 45.0, torch.ones(3)) == 1.0)


class Perfect(torch.nn.Module):
    """Stands in for the model: records its input and returns what it was given."""

    def __init__(self, answer: torch.Tensor | None = None):
        super().__init__()
        self.answer = answer

    def forward(self, noisy, timesteps, photo_latents, photos, keep_latents, keep_embedding):
        self.seen = dataclasses.make_dataclass("Seen", ["noisy", "timesteps", "photo_latents"])(
            noisy, timesteps, photo_latents
        )
        return torch.zeros_like(noisy) if self.answer is None else self.answer


def test_loss_is_the_weighted_error_of_the_velocity(make_task):
    """Recover the noise from what the model was given, and compute the loss by hand."""
    task, model = make_task(), Perfect()
    batch = task.load_batch(Heads(), [0, 0, 0], np.random.default_rng(3))
    loss, metrics = task.loss(model, batch, torch.Generator().manual_seed(11), 0)
    seen = model.seen
    clean = task.autoencoder.encode(batch.views.flatten(0, 1)).unflatten(0, (3, 6))
    assert torch.allclose(seen.photo_latents, clean[:, 0], atol=1e-5)
    assert len(set(seen.timesteps.tolist())) == 3  # one timestep per head
    abar = task.schedule.cumulative_alphas[seen.timesteps].float().view(3, 1, 1, 1, 1)
    noise = (seen.noisy - abar.sqrt() * clean) / (1 - abar).sqrt()
    assert noise.std() == pytest.approx(1.0, abs=0.05)
    views = noise.flatten(2)
    assert torch.corrcoef(views[0])[0, 1].abs() < 0.3  # independent noise per view
    velocity = abar.sqrt() * noise - (1 - abar).sqrt() * clean
    weight = task.schedule.loss_weight(seen.timesteps)
    by_hand = (weight * velocity.square().mean(dim=(1, 2, 3, 4))).mean()
    assert torch.allclose(loss, by_hand, rtol=1e-4)
    assert torch.allclose(metrics["velocity_mse"], velocity.square().mean(), rtol=1e-4)
    perfect, _ = task.loss(Perfect(velocity), batch, torch.Generator().manual_seed(11), 0)
    assert perfect < 1e-8


def test_noise_comes_from_the_generator_alone(make_task):
    task = make_task()
    model = task.build_model()
    batch = task.load_batch(Heads(), [0], np.random.default_rng(0))
    before = torch.get_rng_state()
    losses = [
        task.loss(model, batch, torch.Generator().manual_seed(seed), 0)[0].item()
        for seed in (4, 4, 5)
    ]
    assert losses[0] == losses[1] != losses[2]
    assert torch.equal(torch.get_rng_state(), before)


def test_conditions_are_dropped_as_often_as_configured(make_task):
    task = make_task(drop=DropConfig(latent=0.1, embedding=0.2, both=0.3))
    uniform = torch.linspace(0, 1, 1001)[:-1]
    latents, embedding = task.kept_conditions(uniform)
    assert (~latents & embedding).float().mean() == pytest.approx(0.1, abs=0.002)
    assert (latents & ~embedding).float().mean() == pytest.approx(0.2, abs=0.002)
    assert (~latents & ~embedding).float().mean() == pytest.approx(0.3, abs=0.002)
    everything, too = make_task(drop=DropConfig(0.0, 0.0, 0.0)).kept_conditions(uniform)
    assert everything.all()
    assert too.all()
    with pytest.raises(ValueError, match="at most 1"):
        DropConfig(0.5, 0.5, 0.1)


def test_the_autoencoder_is_required_and_must_fit(make_task):
    with pytest.raises(ConfigError, match="--set vae=DIR"):
        DiffusionTask(DiffusionConfig())
    with pytest.raises(ConfigError, match=r"4 x 8\^2 latents of 16 px.*wants 4 x 4\^2"):
        make_task(model=replace(MODEL, latent_size=4))


def test_the_model_remembers_its_autoencoder(make_task):
    task = make_task()
    assert task.build_model().vae_digest.any()
    names = set(task.build_model().state_dict())
    assert not any("encoder.conv_in" in n and not n.startswith("image_encoder") for n in names)


def test_overfits_one_head(make_task):
    task = make_task(drop=DropConfig(0.0, 0.0, 0.0))
    torch.manual_seed(0)
    model = task.build_model().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    one = task.load_batch(Heads(), [0] * 2, np.random.default_rng(0))
    many = task.load_batch(Heads(), [0] * 24, np.random.default_rng(0))

    def error() -> float:
        with torch.no_grad():
            _, metrics = task.loss(model, many, torch.Generator().manual_seed(99), 0)
        return float(metrics["velocity_mse"])

    before, generator = error(), torch.Generator().manual_seed(0)
    for _ in range(60):
        loss, _ = task.loss(model, one, generator, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert error() < 0.45 * before
    assert task.preview(model.eval(), Heads()).shape == (2 * 16, 6 * 16, 3)


# --- presets


@pytest.mark.parametrize("name", ("vae_tiny", "vae_mini"))
def test_vae_presets_load(name):
    config = load_config(VaeConfig, name, presets=PRESETS)
    assert load_config(VaeConfig, None, ()) == VaeConfig()
    assert to_dict(config)["model"]["base"] is None


@pytest.mark.parametrize("name", ("diffusion_tiny", "diffusion_mini"))
def test_diffusion_presets_fit_their_autoencoders(name):
    config = load_config(DiffusionConfig, name, presets=PRESETS)
    vae = load_config(VaeConfig, name.replace("diffusion", "vae"), presets=PRESETS)
    assert config.image_size == vae.image_size
    assert config.model.latent_size * vae.model.downsampling == config.image_size
    assert config.model.latent_channels == vae.model.latent_channels


def test_mini_is_small_enough_to_ship():
    config = load_config(DiffusionConfig, "diffusion_mini", presets=PRESETS)
    with torch.device("meta"):
        count = sum(p.numel() for p in MultiViewDiffusion(config.model).parameters())
    assert 6e6 < count < 10e6


def test_sd21_preset_has_the_shapes_of_stable_diffusion():
    """Against the published size of the SD 2.1 UNet: 865,910,724 parameters without unCLIP."""
    overrides = ["vae=x", "model.base=x", "model.image_encoder.folder=x"]
    config = load_config(DiffusionConfig, "diffusion_sd21", overrides, presets=PRESETS)
    with torch.device("meta"):
        unet = build_unet(replace(config.model, base=None))
    shapes = {name: tuple(p.shape) for name, p in unet.named_parameters()}
    class_embedding = 2048 * 1280 + 1280 + 1280 * 1280 + 1280
    extra_input = 320 * 4 * 9
    count = sum(p.numel() for p in unet.parameters())
    assert count == 865_910_724 + class_embedding + extra_input
    assert shapes["conv_in.weight"] == (320, 8, 3, 3)
    assert shapes["conv_out.weight"] == (4, 320, 3, 3)
    assert shapes["class_embedding.linear_1.weight"] == (1280, 2048)
    block = "down_blocks.2.attentions.0.transformer_blocks.0"
    assert shapes[f"{block}.attn2.to_k.weight"] == (1280, 1024)
    assert shapes["down_blocks.0.attentions.0.proj_in.weight"] == (320, 320)  # linear projection
    blocks = {m.group(1) for n in shapes if (m := re.match(r"(.*transformer_blocks\.0)\.", n))}
    assert len(blocks) == 16
    heads = {unet.get_submodule(f"{b}.attn1").heads for b in blocks}
    assert heads == {5, 10, 20}


def test_config_errors_name_the_values():
    with pytest.raises(ValueError, match="2 levels, attention_levels 3"):
        UNetConfig(block_out_channels=(16, 32), heads=(1, 1))
    with pytest.raises(ValueError, match="latent_size 6 is not divisible by 4"):
        MultiViewConfig(latent_size=6)
    with pytest.raises(ValueError, match="needs `folder`"):
        ImageEncoderConfig(kind="clip")
    with pytest.raises(ConfigError, match=r"unknown key 'atention' \(did you mean 'attention'"):
        load_config(DiffusionConfig, None, ["model.atention=dense"])
    with pytest.raises(CheckpointError, match="holds no weights"):
        DiffusionTask(DiffusionConfig(vae="/nonexistent"))


def test_batches_move_between_devices():
    batch = MultiViewBatch(torch.zeros(1, 3, 2, 2), torch.zeros(1, 6, 3, 2, 2))
    moved = batch.to(torch.device("meta"))
    assert moved.photos.is_meta
    assert moved.views.is_meta
