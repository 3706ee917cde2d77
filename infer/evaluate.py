"""How well the reconstructor rebuilds rendered heads from their six canonical views.

Inputs are the true renders, so the numbers speak of the reconstructor alone. A result folder holds

    <spec_id>/compare.png   the other views: truth above reconstruction
    <spec_id>/head.ply      the Gaussians
    <spec_id>/spin.jpg      a turn around them, for the gallery
    metrics.json            every view of every head, and the means; written last
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infer import preview
from infer.artifacts import METRICS, SPIN_COLUMNS
from infer.config import TurntableConfig
from infer.ply import write_ply
from infer.predictor import Progress, load_reconstructor, no_progress
from infer.weights import tensors_digest
from synth.camera import CANONICAL_VIEWS
from synth.color import rgba8_from_float
from synth.config import atomic_write
from synth.errors import InputError
from train import losses
from train.data import HeadDataset, HeadItem, Split
from train.device import resolve_device
from train.gaussians import Gaussians
from train.gslrm.model import GSLRM
from train.perceptual import Lpips
from train.rasterize import render
from train.transforms import alpha, composite

SCHEMA = 1
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
    """The scores of one head, and the split that its identity belongs to."""

    spec_id: str
    split: str
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
    max_heads: int | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> EvalSummary:
    """Rebuild heads of a dataset from their six canonical views and score all other views.

    Args:
        data: dataset directory.
        weights: run, checkpoint or export of a reconstructor.
        out: folder of the results.
        split: which identities; "test" was held out of every training on split "train".
        max_heads: stop after so many.
        device: "auto", "cpu", "cuda" or "cuda:N".
        progress: told of every head.

    Raises:
        InputError: no dataset, an empty split, or no view beside the canonical six.
        RecordError: a head lacks one of the canonical views.
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
        heads.append(_evaluate_head(model, lpips, dataset, index, target, out))
    summary = EvalSummary(out / METRICS, tuple(heads))
    source = {"path": str(weights), "digest": tensors_digest(model.state_dict())}
    _write_metrics(summary, dataset, source)
    return summary


def _evaluate_head(
    model: GSLRM,
    lpips: Lpips,
    dataset: HeadDataset,
    index: int,
    device: torch.device,
    out: Path,
) -> HeadScores:
    inputs = dataset.views_named(index, [name for name, _ in CANONICAL_VIEWS])
    names = dataset.info(index).view_names
    others = [view for view in range(len(names)) if view not in inputs]
    if not others:
        raise InputError(
            f"{dataset.root}: head {dataset.info(index).spec_id} has no view beside the canonical "
            "six to score; render with views.random above 0"
        )
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
    return HeadScores(unseen.spec_id, dataset.info(index).split, views)


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


def _write_metrics(summary: EvalSummary, dataset: HeadDataset, weights: dict[str, Any]) -> None:
    record = {
        "schema": SCHEMA,
        "kind": "reconstructor",
        "dataset": {"path": str(dataset.root), "split": dataset.split, "id": dataset.dataset_id},
        "size": dataset.size,
        "weights": weights,
        "inputs": [name for name, _ in CANONICAL_VIEWS],
        "background": "white",
        "mean": summary.mean,
        "heads": [asdict(head) for head in summary.heads],
        "spin": {"file": "spin.jpg", "frames": _SPIN.spin_frames, "columns": SPIN_COLUMNS},
    }
    with atomic_write(summary.path) as file:
        file.write(json.dumps(record, indent=1).encode())
