"""A small dataset with everything that an export may carry: other views between the canonical six,
depth, segmentation and landmarks. Its pictures are noise, so that no two are equal."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path

import numpy as np

from synth.camera import Camera
from synth.dataset import Dataset
from synth.ground_truth import encode
from synth.landmarks import SPARSE_NAMES, HeadLandmarks, Visibility
from synth.landmarks_dense import DENSE_BASE_VERTICES
from synth.record import ShardWriter
from synth.rng import stream
from synth.sample import DatasetConfig, RingConfig, ViewsConfig

SIZE = 24
CONFIG = DatasetConfig(
    heads=3,
    size=SIZE,
    samples=1,
    heads_per_shard=2,
    passes=("depth", "landmarks"),
    views=ViewsConfig(
        rings=(RingConfig(count=2, elevation_deg=20.0),), random=2, random_fov_deg=(30.0, 60.0)
    ),
)


def picture(head: int, view: int) -> np.ndarray:
    """[H, W, 4] uint8 noise; alpha is 0 in the left column."""
    rgba = stream(head, view, "test.picture").integers(1, 256, (SIZE, SIZE, 4), dtype=np.uint8)
    rgba[:, 0, 3] = 0
    return rgba


def depth(head: int, view: int) -> np.ndarray:
    """[H, W] float32 scene units; 0 in the left column."""
    values = stream(head, view, "test.depth").uniform(1.5, 4.0, (SIZE, SIZE)).astype(np.float32)
    values[:, 0] = 0
    return values


def landmarks(head: int, cameras: tuple[Camera, ...]) -> HeadLandmarks:
    """Points near the origin; a view sees those on its side, and only the first sees the sixth."""
    rng = stream(head, 0, "test.landmarks")
    sparse = rng.normal(0, 0.2, (len(SPARSE_NAMES), 3))
    dense = rng.normal(0, 0.2, (len(DENSE_BASE_VERTICES), 3))
    sparse[3] = np.nan  # a point that a user's own head does not have

    def seen(points: np.ndarray) -> np.ndarray:
        facing = np.stack([points @ camera.position > 0 for camera in cameras])
        return np.where(facing, Visibility.VISIBLE, Visibility.HIDDEN).astype(np.uint8)

    sparse_seen = seen(sparse)
    sparse_seen[:, 5] = [Visibility.VISIBLE, *[Visibility.COVERED] * (len(cameras) - 1)]
    return HeadLandmarks(
        sparse_names=np.array(SPARSE_NAMES),
        sparse=sparse.astype(np.float32),
        dense_base_vertices=np.array(DENSE_BASE_VERTICES, np.int32),
        dense=dense.astype(np.float32),
        sparse_visibility=sparse_seen,
        dense_visibility=seen(dense),
    )


def make_dataset(
    root: Path, config: DatasetConfig = CONFIG, *, passes: bool = True, poor: Collection[int] = ()
) -> Dataset:
    """Write the dataset. A random view comes first and the canonical six are turned round; the spec
    keeps its order, as after an edit by hand. The `poor` heads have two views only, and
    no passes."""
    dataset = Dataset.create(root, config)
    assets = set()
    for plan in dataset.plan():
        with ShardWriter(plan.path, dataset_id=dataset.dataset_id) as writer:
            for spec in plan.specs(config):
                cameras = spec.resolved_cameras()
                cameras = (*cameras[-1:], *cameras[5::-1], *cameras[6:-1])[
                    : 2 if spec.index in poor else None
                ]
                views = range(len(cameras))
                extra = {}
                if passes and spec.index not in poor:
                    planes = [encode("depth", depth(spec.index, v), cameras[v]) for v in views]
                    marks = landmarks(spec.index, cameras).to_bytes()
                    extra = {"passes": {"depth": planes}, "files": {"landmarks.npz": marks}}
                writer.add_head(spec, cameras, [picture(spec.index, v) for v in views], **extra)
                assets.update(spec.assets)
    dataset.record_assets(assets)
    return Dataset.open(root)


def without_canonical(config: DatasetConfig = CONFIG) -> DatasetConfig:
    """Heads that FaceLift's diffusion model cannot use."""
    return dataclasses.replace(config, views=dataclasses.replace(config.views, canonical=False))
