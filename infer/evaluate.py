"""How well the reconstructor rebuilds heads from six of their pictures.

Inputs are true pictures, so the numbers speak of the reconstructor alone: the six canonical views,
or those that stand nearest to them (data of others), or six at random (the cameras people have).
All other views are scored. A result folder holds

    <spec_id>/compare.png   the other views: truth above reconstruction
    <spec_id>/head.ply      the Gaussians
    <spec_id>/spin.jpg      a turn around them, for the gallery
    metrics.json            every view of every head, and the means; written last
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from infer import preview
from infer.artifacts import METRICS, SPIN_COLUMNS
from infer.config import TurntableConfig
from infer.ply import write_ply
from infer.predictor import Progress, load_reconstructor, no_progress
from infer.weights import tensors_digest
from synth.camera import CANONICAL_VIEWS, orbit_position
from synth.color import rgba8_from_float
from synth.config import atomic_write
from synth.errors import InputError
from synth.rng import stream
from train import losses
from train.data import HeadDataset, HeadInfo, HeadItem, Split
from train.device import resolve_device
from train.gaussians import Gaussians
from train.gslrm.model import GSLRM
from train.perceptual import Lpips
from train.rasterize import render
from train.transforms import alpha, composite

SCHEMA = 2
Inputs = Literal["canonical", "random"]
"""Which six views the reconstructor is shown."""
INPUT_VIEWS = len(CANONICAL_VIEWS)
_COMPARED_VIEWS = 8
_SPIN = TurntableConfig(frames=36, size_px=160, spin_frames=36, spin_size_px=160)


@dataclass(frozen=True)
class ViewScores:
    """One view that the reconstructor was not shown, on white.

    Attributes:
        name: of the view.
        psnr: dB, peak 1.
        ssim: Wang et al. 2004, at most 1.
        lpips: Zhang et al. 2018 with VGG-16, at least 0.
        alpha_iou: of the silhouettes, at most 1.
    """

    name: str
    psnr: float
    ssim: float
    lpips: float
    alpha_iou: float


@dataclass(frozen=True)
class HeadScores:
    """The scores of one head, the split that its identity belongs to, and its input views."""

    spec_id: str
    split: str
    inputs: tuple[str, ...]
    views: tuple[ViewScores, ...]


@dataclass(frozen=True)
class EvalSummary:
    """What an evaluation found; prints as one line for a person."""

    path: Path
    heads: tuple[HeadScores, ...]

    @property
    def mean(self) -> dict[str, float]:
        """Mean of each score over all views of all heads."""
        names = [field.name for field in fields(ViewScores) if field.name != "name"]
        views = [view for head in self.heads for view in head.views]
        return {name: float(np.mean([getattr(view, name) for view in views])) for name in names}

    def __str__(self) -> str:
        mean = self.mean
        return (
            f"{self.path}: {len(self.heads)} heads, {sum(len(h.views) for h in self.heads)} unseen "
            f"views: PSNR {mean['psnr']:.2f} dB, SSIM {mean['ssim']:.3f}, "
            f"LPIPS {mean['lpips']:.3f}, alpha IoU {mean['alpha_iou']:.3f}"
        )


def evaluate_reconstructor(
    data: str | Path,
    weights: str | Path,
    out: str | Path,
    *,
    split: Split = "test",
    inputs: Inputs = "canonical",
    max_heads: int | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> EvalSummary:
    """Rebuild heads of a dataset from six views each and score all other views.

    Args:
        data: dataset directory.
        weights: run, checkpoint or export of a reconstructor.
        out: folder of the results.
        split: which identities; "test" was held out of every training on split "train".
        inputs: "canonical": the canonical six or the six nearest to them; "random": six drawn by
            the id of the head.
        max_heads: stop after so many.
        device: "auto", "cpu", "cuda" or "cuda:N".
        progress: told of every head.

    Raises:
        InputError: no dataset, an empty split, or a head with fewer than seven views.
        CheckpointError: the weights cannot be used, or those of LPIPS are not installed.
    """
    out = Path(out)
    model, config = load_reconstructor(weights)
    target = resolve_device(device)
    model = model.to(target).eval()
    dataset = HeadDataset(data, split, config.image_size)
    count = min(len(dataset), max_heads or len(dataset))
    lpips = Lpips()
    heads = []
    for index in range(count):
        progress("heads", index, count)
        shown = _input_views(dataset.info(index), inputs)
        heads.append(_evaluate_head(model, lpips, dataset, index, shown, target, out))
    summary = EvalSummary(out / METRICS, tuple(heads))
    source = {"path": str(weights), "digest": tensors_digest(model.state_dict())}
    _write_metrics(summary, dataset, inputs, source)
    return summary


def _input_views(head: HeadInfo, inputs: Inputs) -> tuple[int, ...]:
    count = len(head.view_names)
    if count <= INPUT_VIEWS:
        raise InputError(
            f"head {head.spec_id} in {head.shard} has {count} views: six are shown to the "
            "reconstructor, and none is left to score; render with views.random above 0"
        )
    if inputs == "canonical":
        return nearest_to_canonical(head.cam_from_world.double().numpy())
    rng = stream(0, int(head.spec_id, 16), "eval.inputs")
    return tuple(int(view) for view in rng.choice(count, INPUT_VIEWS, replace=False))


def nearest_to_canonical(cam_from_world: np.ndarray) -> tuple[int, ...]:
    """The six cameras that stand nearest to the canonical six, one for each of them.

    Args:
        cam_from_world: [V, 4, 4] OpenCV cameras, V at least 6.

    Returns:
        Positions in the order of `CANONICAL_VIEWS`, with the least sum of the angles between the
        directions in which the cameras stand, seen from the origin: the canonical six themselves
        where they are among the cameras.
    """
    rotation, translation = cam_from_world[:, :3, :3], cam_from_world[:, :3, 3]
    stand = -np.einsum("vji,vj->vi", rotation, translation)
    stand = stand / np.linalg.norm(stand, axis=1, keepdims=True)
    wanted = np.stack([orbit_position(azimuth, 0.0, 1.0) for _, azimuth in CANONICAL_VIEWS])
    _, chosen = linear_sum_assignment(np.arccos(np.clip(wanted @ stand.T, -1.0, 1.0)))
    return tuple(int(position) for position in chosen)


def _evaluate_head(
    model: GSLRM,
    lpips: Lpips,
    dataset: HeadDataset,
    index: int,
    inputs: tuple[int, ...],
    device: torch.device,
    out: Path,
) -> HeadScores:
    head = dataset.info(index)
    others = [view for view in range(len(head.view_names)) if view not in inputs]
    shown, unseen = dataset.load(index, inputs), dataset.load(index, others)
    with torch.inference_mode():
        gaussians = _reconstruct(model, shown, device)
        prediction = _render(gaussians, unseen)
        truth = composite(unseen.rgba, torch.ones(3))
        scores = {
            "psnr": losses.psnr(prediction[:, :3], truth),
            "ssim": losses.ssim(prediction[:, :3], truth),
            "lpips": lpips(prediction[:, :3], truth),
            "alpha_iou": losses.alpha_iou(prediction[:, 3:], alpha(unseen.rgba)),
        }
    folder = out / unseen.spec_id
    folder.mkdir(parents=True, exist_ok=True)
    write_ply(folder / "head.ply", gaussians)
    rows = [preview.strip(_pictures(rows[:_COMPARED_VIEWS])) for rows in (truth, prediction[:, :3])]
    preview.write_image(folder / "compare.png", np.concatenate(rows))
    frames = preview.turntable(gaussians, _SPIN)
    sheet = preview.sprite_sheet(frames, _SPIN.spin_size_px, SPIN_COLUMNS)
    preview.write_image(folder / "spin.jpg", sheet)
    views = tuple(
        ViewScores(name, **{key: round(float(values[i]), 5) for key, values in scores.items()})
        for i, name in enumerate(unseen.view_names)
    )
    return HeadScores(head.spec_id, head.split, shown.view_names, views)


def _reconstruct(model: GSLRM, shown: HeadItem, device: torch.device) -> Gaussians:
    images = composite(shown.rgba, torch.ones(3))
    batch = model(images[None].to(device), shown.cam_from_world[None].to(device),
                  shown.K[None].to(device))  # fmt: skip
    return batch[0].to(torch.float32).to("cpu")


def _render(gaussians: Gaussians, views: HeadItem) -> Tensor:
    """[V, 4, H, W] colour on white and alpha."""
    height, width = views.rgba.shape[-2:]
    result = render(
        gaussians, views.cam_from_world, views.K, width, height, background=torch.ones(3)
    )
    return torch.cat([result.color.clamp(0, 1), result.alpha], dim=-1).permute(0, 3, 1, 2)


def _pictures(images: Tensor) -> list[np.ndarray]:
    return list(rgba8_from_float(images.permute(0, 2, 3, 1).numpy()))


def _write_metrics(
    summary: EvalSummary, dataset: HeadDataset, inputs: Inputs, weights: dict[str, Any]
) -> None:
    record = {
        "schema": SCHEMA,
        "kind": "reconstructor",
        "dataset": {"path": str(dataset.root), "split": dataset.split, "id": dataset.dataset_id},
        "size": dataset.size,
        "weights": weights,
        "inputs": inputs,
        "background": "white",
        "mean": summary.mean,
        "heads": [asdict(head) for head in summary.heads],
        "spin": {"file": "spin.jpg", "frames": _SPIN.spin_frames, "columns": SPIN_COLUMNS},
    }
    with atomic_write(summary.path) as file:
        file.write(json.dumps(record, indent=1).encode())
