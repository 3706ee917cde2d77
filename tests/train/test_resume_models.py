"""Exact resume after SIGKILL for the three real models, at tiny size."""

from __future__ import annotations

import pytest
import torch

from train.data import HeadDataset
from train.loop import train
from train.registry import make_task, resolve_config

SCHEDULE = (
    "image_size=16",
    "train.steps=4",
    "train.batch_size=2",
    "train.warmup_steps=1",
    "train.checkpoint_every=2",
    "train.log_every=1",
    "train.split=all",
    "train.preview=false",
)
SMALL = {
    "vae": ("model.block_out_channels=[8, 8]", "model.norm_groups=4"),
    "diffusion": (
        "model.unet.block_out_channels=[16, 16]",
        "model.unet.attention_levels=[false, true]",
        "model.unet.heads=[1, 2]",
        "model.unet.cross_attention_dim=16",
        "model.image_encoder.width=16",
        "model.image_encoder.channels=[8, 8, 8, 8]",
        "model.latent_size=8",
    ),
    "gslrm": ("model.width=64", "model.layers=2"),
}


@pytest.fixture(scope="module")
def vae_run(sphere_dataset, tmp_path_factory):
    """A barely trained autoencoder for the diffusion model."""
    torch.set_num_threads(1)
    run = tmp_path_factory.mktemp("vae")
    config = resolve_config("vae", "tiny", (*SCHEDULE, *SMALL["vae"]))
    train(make_task("vae", config), HeadDataset(sphere_dataset, "all", 16), run, progress=False)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vae", "diffusion", "gslrm"])
def test_model_resumes_exactly_after_sigkill(kind, resume_check, sphere_dataset, tmp_path, request):
    overrides = [*SCHEDULE, *SMALL[kind]]
    if kind == "diffusion":
        overrides.append(f"vae={request.getfixturevalue('vae_run')}")
    config = resolve_config(kind, "tiny", overrides)
    resume_check(lambda c: make_task(kind, c), config, kind, sphere_dataset, tmp_path)
