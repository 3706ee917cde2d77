"""Loss curves as a PNG, drawn from `metrics.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from synth.config import atomic_write

_BOOKKEEPING = {"samples_seen", "step", "seconds", "wait_fraction", "samples_per_second", "skipped"}
_FEW = 12
"""Below so many records an average would hide more than it shows."""
_LAST = {"learning_rate", "gradient_norm"}
_INK, _RAW, _SMOOTH, _GRID = "#2b2f36", "#b9c7dd", "#2a5fb4", "#e6e8ec"


def smooth(values: np.ndarray, share: float = 0.05) -> np.ndarray:
    """Moving average over a share of the curve, centred but for the ends, where it is cut off.

    Args:
        values: [N] float; NaN is left out of the averages.
        share: width of the window relative to N.
    """
    half = max(1, round(len(values) * share / 2))
    present = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(present, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(present)])
    at = np.arange(len(values))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums[high] - sums[low]) / (counts[high] - counts[low])


def draw_curves(records: Sequence[Mapping[str, Any]], path: str | Path, title: str) -> None:
    """Draw every logged quantity over the steps and write a PNG, atomically.

    Args:
        records: of `metrics.jsonl`; nothing is drawn without records.
        path: the PNG.
        title: headline, for example "gslrm: 40 of 2000 steps".
    """
    names = [n for n in dict.fromkeys(k for r in records for k in r) if n not in _BOOKKEEPING]
    if not records or not names:
        return
    names.sort(key=lambda name: (name != "loss", name in _LAST))
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.6 * columns, 0.55 + 2.9 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, color=_INK, fontsize=13, fontweight="bold", x=0.02, ha="left")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, name in zip(axes, names):
        _draw(axis, records, name)
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    with atomic_write(path) as file:
        figure.savefig(file, format="png")


def _draw(axis: Any, records: Sequence[Mapping[str, Any]], name: str) -> None:
    steps = np.array([record["step"] for record in records], dtype=float)
    raw = [record.get(name) for record in records]
    values = np.array([np.nan if value is None else value for value in raw], dtype=float)
    marker = "." if len(values) < 40 else None
    if name == "learning_rate" or len(values) < _FEW:
        axis.plot(steps, values, color=_SMOOTH, linewidth=1.8, marker=marker)
    else:
        axis.plot(steps, values, color=_RAW, linewidth=1.0, marker=marker, markersize=4)
        axis.plot(steps, smooth(values), color=_SMOOTH, linewidth=1.8)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    finite = values[np.isfinite(values)]
    if len(finite) and finite.min() > 0 and finite.max() / finite.min() > 30:
        axis.set_yscale("log")
    else:
        axis.yaxis.set_major_formatter("{x:g}")
    last = f"{finite[-1]:.4g}" if len(finite) else "none"
    axis.set_title(name.replace("_", " "), loc="left", color=_INK, fontsize=10)
    axis.set_title(last, loc="right", color=_SMOOTH, fontsize=10)
    axis.set_xlabel("step", color=_INK, fontsize=8)
    axis.grid(True, color=_GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=8, colors=_INK, length=0)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.spines["bottom"].set_color(_GRID)
    axis.margins(x=0.01)
