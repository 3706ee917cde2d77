"""The sections of the datasheet, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import quote

import numpy as np

from infer import datasheet_charts as charts
from infer.datasheet_data import DatasetFacts, licences
from infer.datasheet_pictures import LABEL_COLOURS, Figure, Pictures
from synth.collection import Collection
from synth.dataset import Dataset
from synth.imported import ImportConfig

_STEPS = ("import", "reset", "build", "check", "probe", "render")
"""Of a head, in the order of time; a step that is not named here comes after them."""


def section(name: str, title: str, note: str, body: str) -> str:
    """A section with an anchor."""
    return (
        f'<section id="{name}"><h2>{escape(title)}</h2><p class="note">{note}</p>{body}</section>'
    )


def image(figure: Figure, style: str = "") -> str:
    """A picture that opens itself, with its caption."""
    link = escape(quote(figure.file))
    caption = f"<figcaption>{escape(figure.caption)}</figcaption>" if figure.caption else ""
    return (
        f'<figure class="{style}"><a href="{link}"><img src="{link}" loading="lazy" '
        f'alt="{escape(figure.caption or figure.file)}"></a>{caption}</figure>'
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells are HTML."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
        "</div>"
    )


def card(title: str, chart: str) -> str:
    """A chart or table under its title; nothing for an empty one."""
    heading = f"<h4>{escape(title)}</h4>" if title else ""
    return f'<div class="card">{heading}{chart}</div>' if chart else ""


def heads_section(facts: DatasetFacts, pictures: Pictures) -> str:
    """Front views, all views of a few heads, looks of one person."""
    which = "All heads"
    if pictures.shown < facts.heads:
        which = f"{pictures.shown} of {facts.heads:,} heads, evenly spaced"
    parts = [f'<div class="card tight scroll">{image(pictures.fronts, "natural wide")}</div>']
    if pictures.views:
        parts.append("<h3>Every view of a few heads</h3>")
        parts.append(_sheets(pictures.views))
    if pictures.looks:
        parts.append(
            "<h3>One person, other looks</h3><p class='note'>Each picture is one identity with "
            "other hair, clothes, expression and light; splits keep them together.</p>"
            f"{_sheets(pictures.looks)}"
        )
    note = f"{which}, by their place in the dataset; nobody picked them."
    return section("heads", "The heads", note, "".join(parts))


def _sheets(figures: Sequence[Figure]) -> str:
    """Sheets of different widths, as many beside each other as there is room for."""
    sheets = "".join(image(figure, "natural") for figure in figures)
    return f'<div class="card tight views">{sheets}</div>'


def truth_section(facts: DatasetFacts, pictures: Pictures) -> str:
    """The passes beside the picture, and landmarks on it."""
    if not pictures.passes and not pictures.landmarks:
        return ""
    parts = []
    if pictures.passes:
        cells = "".join(image(figure) for figure in pictures.passes)
        legend = ""
        if any(name.startswith(("segmentation", "coverage")) for name in facts.passes):
            legend = charts.legend([(name, colour) for name, colour in LABEL_COLOURS.items()])
        parts.append(f'<div class="card"><div class="tiles">{cells}</div>{legend}</div>')
    if pictures.landmarks:
        cells = "".join(image(figure) for figure in pictures.landmarks)
        legend = charts.legend((("ground truth", "truth"), ("mediapipe", "seen")))
        parts.append(f'<div class="card">{legend}<div class="tiles">{cells}</div></div>')
    names = ", ".join(facts.passes) or "none stored"
    note = (
        f"Passes in this dataset: {escape(names)}. Landmarks, parameters and cameras follow from "
        "each head's spec. Formats and units: docs/dataset_format.md."
    )
    return section("truth", "Ground truth", note, "".join(parts))


# ------------------------------------------------------------------------------ cost and origin


def cost_section(facts: DatasetFacts, dataset: Dataset) -> str:
    """Time by step, heads an hour, bytes."""
    mean = {name: float(np.mean(values)) for name, values in facts.timings_s.items()}
    build = {
        name.removeprefix("build.").removesuffix("_s"): seconds
        for name, seconds in sorted(mean.items(), key=lambda item: -item[1])
        if name.startswith("build.")
    }
    steps = {name: mean[f"{name}_s"] for name in _STEPS if f"{name}_s" in mean}
    steps |= {
        name.removesuffix("_s"): seconds
        for name, seconds in mean.items()
        if "." not in name and name != "head_s" and name.removesuffix("_s") not in _STEPS
    }
    cards = []
    if steps:
        cards.append(card("A head, seconds of wall time", charts.stacked(steps, "s")))
    if build:
        cards.append(card("Building it", charts.stacked(build, "s")))
    kinds = {name: count / facts.heads / 1e6 for name, count in facts.bytes_by_kind.most_common()}
    cards.append(card("A head, megabytes", charts.stacked(kinds, "MB")))
    if "head_s" in facts.timings_s:
        seconds = np.array(facts.timings_s["head_s"], np.float32)
        chart = charts.histogram(seconds, low=0, unit=" s", width=charts.MEDIUM)
        cards.append(card("Seconds a head", chart))
    devices = ", ".join(f"{name} ({count:,} heads)" for name, count in facts.devices.items())
    note = (
        f"{heads_per_hour(facts)}{len(dataset.shard_paths())} shards, "
        f"{size_of(facts)}. Rendered on: {escape(devices)}. "
        "Times are those of the machine that rendered, whatever else it did."
    )
    return section("cost", "Cost", note, f'<div class="two">{"".join(cards)}</div>')


def size_of(facts: DatasetFacts) -> str:
    """Stored bytes of all heads, for people."""
    size = sum(facts.bytes_by_kind.values())
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def heads_per_hour(facts: DatasetFacts) -> str:
    """The rate of one process, as the start of a sentence; empty if no head was timed."""
    seconds = facts.timings_s.get("head_s")
    if not seconds:
        return ""
    return f"{3600 / float(np.mean(seconds)):.0f} heads an hour for each process. "


def origin_section(facts: DatasetFacts, dataset: Dataset, config_file: str) -> str:
    """Licences, versions, splits and how to make the dataset again."""
    noted = {row.ref: row for row in dataset.licences}
    assets, texts = [], []
    for ref, count in licences(facts):
        row = noted.get(ref)
        text = row.licence_text if row else ""
        if text:
            texts.append(
                f"<details><summary>{escape(ref.licence)}, of {escape(ref.asset_id)}</summary>"
                f"<pre>{escape(text)}</pre></details>"
            )
        origin = ", ".join(filter(None, (row.source, row.attribution))) if row else ""
        digest = f"<code>{ref.sha256[:12]}</code>"
        cells = (ref.asset_id, ref.licence, origin, f"{count:,}")
        assets.append((*map(escape, cells), digest))
    rows = [(escape(name), escape(version), f"{n:,}") for (name, version), n in sorted(
        facts.versions.items())]  # fmt: skip
    splits = [(escape(str(name)), f"{count:,}") for name, count in facts.splits.most_common()]
    listed = table(("asset", "licence", "source", "heads", "SHA-256"), assets)
    cards = [
        card("Versions", table(("package", "version", "heads"), rows)),
        card("Splits, by identity", table(("split", "heads"), splits)),
        card("Heads that failed or were rejected", _absent(facts)),
        card("Make it again", _again(dataset, config_file)),
    ]
    note = f"Dataset <code>{dataset.dataset_id}</code>. "
    if any(isinstance(source.config, ImportConfig) for source in dataset.sources):
        note += (
            "Pictures were imported: what they show, and whether anyone consented to it, is "
            "for their makers to say."
        )
    else:
        note += (
            "The pictures are synthetic: no person was photographed or scanned, and no name is "
            "attached to any head."
        )
    licence_card = card("Licences of the assets", listed + "".join(texts))
    body = f'{licence_card}<div class="two">{"".join(cards)}</div>'
    return section("origin", "Origin", note, body)


def _absent(facts: DatasetFacts) -> str:
    """How many heads the shards do without and why, as HTML; empty if there are none."""
    rows = [(escape(reason), f"{count:,}") for reason, count in facts.absent_for.most_common()]
    return (
        table(("failed to render, or rejected by quality control", "heads"), rows) if rows else ""
    )


def _again(dataset: Dataset, config_file: str) -> str:
    """The commands that make the dataset again, as HTML."""
    if isinstance(dataset, Collection):
        roots = [root for source in dataset.sources for root in source.roots]
        return (
            f"<p>By <code>{escape(dataset.maker)}</code> of {escape(', '.join(roots))}.</p>"
            f'<p class="small"><a href="{escape(config_file)}">{escape(config_file)}</a> holds the '
            "configuration of each.</p>"
        )
    if dataset.is_imported:
        given = dataset.config
        opaque = " --opaque" if given.opaque else ""
        made = f"headloom dataset import {given.source} --from {given.layout}{opaque} --out again"
        remark = "The same folders give the same heads."
    else:
        made = f"headloom render --config {config_file} --out again"
        remark = (
            f'Seed {dataset.config.seed}, <a href="{escape(config_file)}">{escape(config_file)}'
            "</a>. The same seed and versions give the same heads, and on the same kind of CPU the "
            "same pixels."
        )
    commands = f"{made}\nheadloom dataset verify again\nheadloom dataset report again"
    return f"<pre>{escape(commands)}</pre><p class='small'>{remark}</p>"
