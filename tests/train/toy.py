"""A tiny dataset and a tiny task for the tests of training.

Run as a script it trains the toy task until something kills it; see `test_resume.py`.
"""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from synth import spec as specs
from synth.camera import CANONICAL_VIEWS, Camera
from synth.record import ShardWriter
from synth.rng import stream
from synth.spec import HeadSpec, OrbitCamera
from train.data import HeadDataset
from train.loop import TrainConfig, train
from train.transforms import choose_views, composite, draw_background

GREY = (0.5, 0.5, 0.5)


def make_spec(index: int, size: int, extra_views: int = 2) -> HeadSpec:
    """A valid spec of its own identity, with the six canonical views and some more."""
    rng = stream(7, index, "test.cameras")
    orbits = [OrbitCamera(name, azimuth, 0.0) for name, azimuth in CANONICAL_VIEWS]
    orbits += [
        OrbitCamera(f"random_{i:02d}", float(rng.uniform(-180, 180)), float(rng.uniform(-20, 40)))
        for i in range(extra_views)
    ]
    return HeadSpec(
        seed=7,
        index=index,
        identity=specs.Identity(f"toy-{index:03d}", {"age": 0.5}, {}, 30.0, "female"),
        expression=specs.Expression(),
        gaze=specs.Gaze(),
        pose=specs.HeadPose(),
        skin=specs.Skin(0.4, 0.3, 0.1, 0.2, 0.5, 0.1, 0.0, 0.0, 1.0, 1.0, index),
        eyes=specs.Eyes("brown", GREY, GREY, GREY, 0.5, 0.3, 0.1),
        hair=specs.Hair("bald", specs.HairColour("brown", 0.6, 0.3, GREY), 0),
        facial_hair=specs.FacialHair("none", 0, specs.HairColour("brown", 0.6, 0.3, GREY)),
        clothes=specs.Clothes("tee", GREY, GREY),
        accessories=specs.Accessories(),
        light=specs.Light("ambient"),
        cameras=tuple(orbits),
        render=specs.RenderSettings(size=size, samples=1),
    )


def sphere(camera: Camera, colour: np.ndarray, radius: float = 0.6) -> np.ndarray:
    """A sphere whose colour varies with the surface point: [H, W, 4] uint8, straight alpha."""
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    in_camera = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(camera.K).T
    rays = in_camera @ camera.cam_from_world[:3, :3]
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    along = -(rays @ camera.position)
    closest = camera.position + along[..., None] * rays
    inside = radius**2 - np.sum(closest**2, -1)
    surface = closest - np.sqrt(np.clip(inside, 0, None))[..., None] * rays
    shade = np.clip(colour + 0.35 * surface / radius, 0, 1)
    alpha = np.clip(inside * camera.width / 2, 0, 1)
    return (np.concatenate([shade, alpha[..., None]], -1) * 255 + 0.5).astype(np.uint8)


def make_dataset(root: Path, heads: int = 4, size: int = 32, heads_per_shard: int = 3) -> Path:
    """Write a dataset of coloured spheres."""
    (root / "shards").mkdir(parents=True, exist_ok=True)
    for shard, first in enumerate(range(0, heads, heads_per_shard)):
        with ShardWriter(root / "shards" / f"shard-{shard:06d}.tar") as writer:
            for index in range(first, min(first + heads_per_shard, heads)):
                spec = make_spec(index, size)
                cameras = spec.resolved_cameras()
                colour = stream(7, index, "test.colour").uniform(0.2, 0.8, 3)
                writer.add_head(spec, cameras, [sphere(c, colour) for c in cameras])
    return root


@dataclass(frozen=True)
class ToyConfig:
    """Configuration of the toy task."""

    width: int = 8
    image_size: int = 16
    poison_batch: int | None = None
    train: TrainConfig = field(default_factory=TrainConfig)


@dataclass(frozen=True)
class ToyBatch:
    """Pictures [B, 3, H, W] float32; `poison` makes the loss NaN."""

    images: Tensor
    poison: bool

    def to(self, device: torch.device) -> ToyBatch:
        return dataclasses.replace(self, images=self.images.to(device))


class ToyTask:
    """Denoises one random view; draws from every generator that the loop hands out."""

    name = "toy"
    passes = ()

    def __init__(self, config: ToyConfig):
        self.config = config
        self.loaded: list[tuple[int, ...]] = []

    def build_model(self) -> nn.Module:
        width = self.config.width
        return nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.GroupNorm(2, width),
            nn.SiLU(),
            nn.Dropout(0.1),  # draws from torch's global generator
            nn.Conv2d(width, 3, 3, padding=1),
        )

    def load_batch(
        self, dataset: HeadDataset, indices: Sequence[int], rng: np.random.Generator
    ) -> ToyBatch:
        images = []
        for index in indices:
            views = choose_views(len(dataset.info(index).view_names), 1, rng)
            item = dataset.load(index, views)
            images.append(composite(item.rgba, draw_background("mixed", rng))[0])
        poison = len(self.loaded) == self.config.poison_batch
        self.loaded.append(tuple(indices))
        return ToyBatch(torch.stack(images), poison)

    def loss(self, model: nn.Module, batch: ToyBatch, generator: torch.Generator, step: int):
        noise = torch.randn(batch.images.shape, generator=generator)
        error = (model(batch.images + 0.3 * noise) - batch.images).square().mean()
        return error * (float("nan") if batch.poison else 1.0), {"mse": error}

    def preview(self, model: nn.Module, dataset: HeadDataset) -> np.ndarray:
        with torch.no_grad():
            picture = model(composite(dataset.load(0, (0,)).rgba))[0]
        return (picture.clamp(0, 1) * 255).to(torch.uint8).permute(1, 2, 0).numpy()


def stalling(task, batches: int):
    """The task, whose loader hands out some batches and then blocks until it is killed."""
    load, handed_out = task.load_batch, []

    def load_batch(dataset, indices, rng):
        if len(handed_out) == batches:
            threading.Event().wait()
        handed_out.append(indices)
        return load(dataset, indices, rng)

    task.load_batch = load_batch
    return task


if __name__ == "__main__":
    root, run, kind, config_path = map(str, sys.argv[1:5])
    torch.set_num_threads(1)
    if kind == "toy":
        from synth.config import load_config

        task = ToyTask(load_config(ToyConfig, config_path))
    else:
        from train.registry import make_task, resolve_config

        task = make_task(kind, resolve_config(kind, config_path))
    data = HeadDataset(root, "all", task.config.image_size)
    train(stalling(task, 2), data, run, progress=False)
