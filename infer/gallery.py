"""`index.html` over a folder of results: heads to spin, the dataset, the models, the numbers.

The page is one file with its own style and script; it refers to the pictures beside it by relative
paths, so the folder can be moved, zipped or opened from the file system.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from infer.artifacts import RECORD
from infer.gallery_data import (
    MODEL_NAMES,
    DatasetEntry,
    EvalEntry,
    Gallery,
    HeadEntry,
    RunEntry,
    collect,
)
from infer.page import stats, write_page
from synth.camera import CANONICAL_VIEWS
from synth.errors import InputError

_EVAL_HEADS = 12
TEMPLATE = Path(__file__).with_name("gallery.html")
MODEL_JOBS = {
    "vae": "pictures to latents and back",
    "diffusion": "one photo to six views",
    "gslrm": "six views to 3D Gaussians",
}


def collect_and_write(out: str | Path) -> Path:
    """Write `index.html` over all results below a folder.

    Args:
        out: folder with datasets, training runs and lifted heads, at any depth.

    Returns:
        The path of the page.

    Raises:
        InputError: nothing to show there.
    """
    out = Path(out)
    gallery = collect(out)
    if not (gallery.heads or gallery.datasets or gallery.runs or gallery.evals):
        raise InputError(
            f"{out} holds nothing to show: no contact.png, no training run and no {RECORD}"
        )
    return write_gallery(out, gallery)


def write_gallery(out: str | Path, gallery: Gallery, *, headline: str | None = None) -> Path:
    """Write `out/index.html`, atomically.

    Args:
        out: folder of the page; links are relative to it.
        gallery: what to show.
        headline: of the page; None makes one from what there is.

    Returns:
        The path of the page.
    """
    out = Path(out)
    sections = [
        _heads_section(out, gallery.heads),
        *(_eval_section(out, entry) for entry in gallery.evals),
        _datasets_section(out, gallery.datasets),
        _runs_section(out, gallery.runs),
        _machine_section(gallery.heads),
    ]
    title = headline or ("From one photo to a head" if gallery.heads else "Headloom results")
    return write_page(
        out / "index.html",
        TEMPLATE,
        title=escape(title),
        headline=escape(title),
        lead=(
            "Synthetic heads are rendered with Blender, two models learn from them, and together "
            "they lift one photo to 3D Gaussians that can be seen from every side."
        ),
        stats=stats(_headline(gallery)),
        sections="\n".join(section for section in sections if section),
    )


def _link(out: Path, target: Path) -> str:
    relative = os.path.relpath(target.resolve(), out.resolve())
    return escape(quote(Path(relative).as_posix()))


def _headline(gallery: Gallery) -> dict[str, str]:
    """The numbers at the top of the page."""
    pairs: dict[str, str] = {}
    for dataset in gallery.datasets[:1]:
        if "heads" in dataset.facts:
            pairs["heads"] = dataset.facts["heads"]
    if gallery.runs:
        pairs["models trained"] = str(len(gallery.runs))
    if gallery.heads:
        pairs["heads lifted"] = str(len(gallery.heads))
        record = gallery.heads[0].record
        if count := record.get("gaussians", {}).get("count"):
            pairs["Gaussians"] = f"{count:,}"
        if seconds := record.get("timings", {}).get("total_s"):
            pairs["seconds for a photo"] = f"{seconds:.1f}"
    return pairs


def _heads_section(out: Path, heads: Sequence[HeadEntry]) -> str:
    if not heads:
        return ""
    photos = [head for head in heads if head.record.get("kind") == "photo"]
    videos = [head for head in heads if head.record.get("kind") == "video"]
    parts = ['<section id="lifted"><h2>Lifted heads</h2>',
             '<p class="note">Drag a head to turn it. The back was never seen: it is what the '
             "models expect there.</p>"]  # fmt: skip
    parts += [_photo_card(out, head) for head in photos[:4]]
    if len(photos) > 4:
        cells = "".join(_small_head(out, head) for head in photos[4:])
        parts.append(f'<div class="grid">{cells}</div>')
    parts += [_video_card(out, head) for head in videos]
    return "\n".join([*parts, "</section>"])


def _photo_card(out: Path, head: HeadEntry) -> str:
    folder, record = head.folder, head.record
    name = escape(Path(record["input"]["path"]).name)
    labels = "".join(f"<span>{view.replace('_', ' ')}</span>" for view, _ in CANONICAL_VIEWS)
    timings = record.get("timings", {})
    facts = [
        f"{record['gaussians']['count']:,} Gaussians",
        f"seed {record['config']['seed']}",
        f"{timings['total_s']:.1f} s" if "total_s" in timings else "",
        _weights_line(record.get("weights", {})),
    ]
    return f"""<article class="card">
<div class="trio">
<figure><img class="square" src="{_link(out, folder / "input.png")}" alt="prepared photo {name}">
<figcaption>{name}, cropped and matted</figcaption></figure>
<figure>{_spinner(out, head)}<figcaption>drag to spin</figcaption></figure>
<figure><video class="square" src="{_link(out, folder / "turntable.mp4")}" autoplay loop muted
 playsinline></video><figcaption>turntable.mp4</figcaption></figure>
</div>
<div class="strip"><div><img src="{_link(out, folder / "views.png")}" alt="the six views">
<div class="names">{labels}</div></div></div>
<div class="row"><a class="button" href="{_link(out, folder / "head.ply")}">head.ply</a>
<a class="button" href="{_link(out, folder / RECORD)}">lift.json</a>
<span>{escape(" · ".join(fact for fact in facts if fact))}</span></div>
</article>"""


def _weights_line(weights: Mapping[str, Any]) -> str:
    sources = {entry["source"] for entry in weights.values()}
    words = {"given": "weights given", "shipped": "shipped weights", "fallback": "weights of this "
             "demo"}  # fmt: skip
    return ", ".join(words.get(source, source) for source in sorted(sources))


def _small_head(out: Path, head: HeadEntry) -> str:
    name = escape(Path(head.record["input"]["path"]).name)
    return (
        f'<figure class="card">{_spinner(out, head)}<figcaption>{name} · '
        f'<a href="{_link(out, head.folder / "head.ply")}">PLY</a></figcaption></figure>'
    )


def _spinner(out: Path, head: HeadEntry) -> str:
    spin = head.record["spin"]
    link = _link(out, head.folder / spin["file"])
    return (
        f'<div class="spin" role="slider" tabindex="0" aria-label="turn the head" '
        f'aria-valuemin="0" aria-valuemax="360" aria-valuenow="0" '
        f'data-frames="{int(spin["frames"])}" data-columns="{int(spin["columns"])}" '
        f"style=\"background-image:url('{link}')\"></div>"
    )


def _video_card(out: Path, head: HeadEntry) -> str:
    record = head.record
    name = escape(Path(record["input"]["path"]).name)
    return f"""<article class="card"><figure>
<video src="{_link(out, head.folder / "lifted.mp4")}" autoplay loop muted playsinline controls>
</video><figcaption>{name}: input and lifted head, {int(record["frames"])} frames, one splat file
each in <a href="{_link(out, head.folder / "frames")}">frames</a></figcaption></figure></article>"""


def _eval_section(out: Path, entry: EvalEntry) -> str:
    """Heads rebuilt from their six rendered views, to spin, with what unseen views score."""
    record, mean = entry.record, entry.record["mean"]
    cells = []
    for head in record["heads"][:_EVAL_HEADS]:
        folder = entry.folder / head["spec_id"]
        psnr = sum(view["psnr"] for view in head["views"]) / len(head["views"])
        cells.append(
            f'<figure class="card">{_spinner(out, HeadEntry(folder, record))}<figcaption>'
            f"{psnr:.1f} dB, {escape(head['split'])} · "
            f'<a href="{_link(out, folder / "compare.png")}">views</a> · '
            f'<a href="{_link(out, folder / "head.ply")}">PLY</a></figcaption></figure>'
        )
    return (
        '<section id="reconstructed"><h2>Rebuilt from six views</h2><p class="note">Rendered heads '
        "through the reconstructor alone: drag to turn. Views that it was not shown score "
        f"{mean['psnr']:.1f} dB PSNR, {mean['ssim']:.3f} SSIM, {mean['lpips']:.3f} LPIPS and "
        f"{mean['alpha_iou']:.3f} alpha "
        f'IoU at {int(record["size"])} px.</p><div class="grid">{"".join(cells)}</div></section>'
    )


def _datasets_section(out: Path, datasets: Sequence[DatasetEntry]) -> str:
    if not datasets:
        return ""
    cards = []
    for dataset in datasets:
        facts = escape(" · ".join(f"{value} {name}" for name, value in dataset.facts.items()))
        if dataset.datasheet is not None:
            facts += f' · <a href="{_link(out, dataset.datasheet)}">datasheet</a>'
        cards.append(
            f'<article class="card"><a href="{_link(out, dataset.contact_sheet)}">'
            f'<img src="{_link(out, dataset.contact_sheet)}" alt="contact sheet"></a>'
            f'<div class="row"><span>{facts}</span></div></article>'
        )
    return (
        '<section id="dataset"><h2>The heads they learned from</h2><p class="note">Rendered with '
        "Blender from sampled specifications; no person was scanned.</p>"
        + "\n".join(cards)
        + "</section>"
    )


def _runs_section(out: Path, runs: Sequence[RunEntry]) -> str:
    if not runs:
        return ""
    cards = "\n".join(_run_card(out, run) for run in runs)
    return (
        '<section id="training"><h2>The models</h2><p class="note">Loss over optimiser steps, '
        "logarithmic. In the pictures, rows of truth alternate with what the model makes of them."
        f'</p><div class="models">{cards}</div></section>'
    )


def _run_card(out: Path, run: RunEntry) -> str:
    name, job = MODEL_NAMES.get(run.kind, run.kind), MODEL_JOBS.get(run.kind, "")
    links = []
    if run.curves is not None:
        links.append(f'<a href="{_link(out, run.curves)}">all curves</a>')
    picture = ""
    if run.preview is not None:
        link = _link(out, run.preview)
        picture = (
            f'<a href="{link}"><img class="preview" src="{link}" loading="lazy" '
            f'alt="{escape(name)}: rows of truth, each above what the model makes of it"></a>'
        )
    facts = " · ".join(f"{value} {key}" for key, value in run.facts.items())
    return f"""<article class="card"><div class="head"><h3>{escape(name)}</h3>
<b>{run.losses[-1][1]:.3g}</b></div><p class="small">{escape(job)}</p>
{curve_svg(run.losses)}
{picture}
<p class="small">{escape(facts)} {" · ".join(links)}</p></article>"""


def curve_svg(losses: Sequence[tuple[float, float]], width: int = 340, height: int = 150) -> str:
    """A loss curve as inline SVG, which takes the colours of the page.

    Args:
        losses: (step, loss), at least one; losses at or below 0 are drawn on a linear axis.
        width, height: of the view box.
    """
    steps = [step for step, _ in losses]
    logarithmic = all(loss > 0 for _, loss in losses)
    values = [math.log10(loss) if logarithmic else loss for _, loss in losses]
    window = max(len(values) // 20, 1)
    smooth = [
        sum(part) / len(part)
        for part in (values[max(0, i - window) : i + window + 1] for i in range(len(values)))
    ]
    low, high = min(values), max(values)
    span, reach = max(high - low, 1e-9), max(steps[-1] - steps[0], 1e-9)
    left, bottom, top = 44, height - 20, 8

    def points(series: Sequence[float]) -> str:
        return " ".join(
            f"{left + (step - steps[0]) / reach * (width - left - 6):.1f},"
            f"{bottom - (value - low) / span * (bottom - top):.1f}"
            for step, value in zip(steps, series)
        )

    def label(value: float) -> str:
        return f"{10**value if logarithmic else value:.2g}"

    return f"""<svg viewBox="0 0 {width} {height}" role="img" aria-label="loss curve">
<line class="axis" x1="{left}" y1="{bottom}" x2="{width - 6}" y2="{bottom}"/>
<line class="axis" x1="{left}" y1="{top}" x2="{left}" y2="{bottom}"/>
<polyline class="raw" points="{points(values)}"/><polyline class="curve" points="{points(smooth)}"/>
<text x="{left - 6}" y="{top + 6}" text-anchor="end">{label(high)}</text>
<text x="{left - 6}" y="{bottom}" text-anchor="end">{label(low)}</text>
<text x="{left}" y="{height - 5}">step {steps[0]:,.0f}</text>
<text x="{width - 6}" y="{height - 5}" text-anchor="end">{steps[-1]:,.0f}</text></svg>"""


def _machine_section(heads: Sequence[HeadEntry]) -> str:
    photos = [head for head in heads if head.record.get("kind") == "photo"]
    if not photos:
        return ""
    record = photos[0].record
    timings = {
        name.removesuffix("_s"): f"{seconds:.2f} s"
        for name, seconds in record.get("timings", {}).items()
    }
    weights = {
        kind: f"{entry['source']}, {entry['samples_seen'] or 'unknown'} samples seen, "
        f"{entry['digest'][:12]}"
        for kind, entry in record.get("weights", {}).items()
    }
    tables = [("Time for the photo", timings), ("Weights", weights),
              ("Versions", record.get("versions", {}))]  # fmt: skip
    cards = "".join(_table_card(title, rows) for title, rows in tables if rows)
    return f'<section id="numbers"><h2>Numbers</h2><div class="two">{cards}</div></section>'


def _table_card(title: str, rows: Mapping[str, str]) -> str:
    body = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>"
        for name, value in rows.items()
    )
    return f'<div class="card scroll"><h3>{escape(title)}</h3><table>{body}</table></div>'
