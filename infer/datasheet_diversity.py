"""How every attribute of a dataset is spread, as HTML: drawn and configured, charts, people."""

from __future__ import annotations

from html import escape

import numpy as np

from infer import datasheet_charts as charts
from infer.datasheet_data import DatasetFacts
from infer.datasheet_people import ALMOST_ONE
from infer.datasheet_sections import card, section, table
from infer.datasheet_weights import NONE
from synth.splits import split_of

DIFFERS = 0.001
"""Probability below which drawn and configured shares do not fit; of ten attributes of a right
dataset one does not in one dataset of a hundred."""
FACTORS = {
    "identity": "identities", "look": "looks", "expression": "expressions", "light": "lights",
}  # fmt: skip
_LISTED_NEIGHBOURS, _LISTED_WORDS = 6, 40

SKIN_TONES = (
    "#f3dcc9", "#e6c3a5", "#d5a883", "#b98660", "#94613f", "#6e4329", "#4a2b1b",
)  # fmt: skip
"""About how melanin 0 ... 1 looks in a picture, to colour its axis."""


def diversity_section(facts: DatasetFacts) -> str:
    """How every attribute is spread; of imported heads, whose attributes nobody knows, cameras."""
    if facts.imported:
        note = "How imported heads were made is not known; where their cameras stand is."
        return section("diversity", "Diversity", note, _cameras_card(facts))
    parts = [_comparison_card(facts)]
    parts.append(f'<div class="charts">{"".join(_people(facts))}</div>')
    parts.append(f'<h3>Look</h3><div class="charts">{"".join(_look(facts))}</div>')
    parts.append(
        f'<h3>Pose, expression and light</h3><div class="charts">{"".join(_scene(facts))}</div>'
    )
    parts.append(_cameras_card(facts))
    parts.append(_neighbours_card(facts))
    parts.append(
        "<details class='card'><summary>Every number of the spec</summary>"
        f"{_number_table(facts)}</details>"
        "<details class='card'><summary>Every word of the spec</summary>"
        f"{_word_table(facts)}</details>"
    )
    note = (
        "What the sampler drew, read back from the spec of every head. Bars without marks are of "
        f"{facts.ours:,} heads."
    )
    if facts.ours < facts.heads:
        note += (
            f" Of the other {facts.heads - facts.ours:,}, whole heads of a user's own, only the "
            "light is counted."
        )
    if facts.measured < facts.heads:
        note += f" Numbers are those of {facts.measured:,} heads at even distances."
    return section("diversity", "Diversity", note, "".join(parts))


def _cameras_card(facts: DatasetFacts) -> str:
    return (
        '<div class="card"><h4>Cameras</h4><p class="small">Azimuth from the front and elevation, '
        f"equal area; {min(facts.views, len(facts.cameras)):,} of {facts.views:,} views.</p>"
        f"{charts.camera_map(facts.cameras)}</div>"
    )


def _bars(facts: DatasetFacts, title: str, name: str, palette: str = "") -> str:
    counts = facts.counts(name)
    swatches = {
        key: charts.hex_colour(np.median(colours, axis=0))
        for key, colours in facts.colours.get(palette, {}).items()
    }
    return card(title, charts.bars(counts, facts.ours, swatches=swatches) if counts else "")


def _worn(facts: DatasetFacts, title: str, section_name: str, kind: str) -> str:
    """A part that a head may lack: its kinds, and how many have none."""
    counts = facts.counts(f"{section_name}.{kind}")
    without = facts.ours - sum(counts.values())
    return card(title, charts.bars({NONE: without, **counts}, facts.ours))


def _compared(facts: DatasetFacts, name: str) -> str:
    """Draws of an attribute, with a mark where its configured weight lies."""
    found = [comparison for comparison in facts.comparisons if comparison.field == name]
    if not found:
        return ""
    (comparison,) = found
    counts = dict(sorted(comparison.drawn.items(), key=lambda item: -item[1]))
    counts |= {value: 0 for value in comparison.expected if value not in counts}
    chart = charts.bars(counts, comparison.draws, expected=comparison.expected)
    return card(comparison.title, chart)


def _comparison_card(facts: DatasetFacts) -> str:
    rows = []
    for comparison in facts.comparisons:
        value, off = comparison.farthest
        style, word, told = _fit(comparison.p_value)
        drawn, wanted = (
            100 * counts.get(value, 0) / comparison.draws
            for counts in (comparison.drawn, comparison.expected)
        )
        error = 100 * comparison.error(value) / comparison.draws
        rows.append(
            (
                escape(comparison.title),
                f"{comparison.draws:,} {FACTORS[comparison.factor]}",
                f"{charts.label(value)}: {drawn:.1f} %",
                f"{wanted:.1f} &plusmn; {error:.1f} %",
                f"{off:+.1f}",
                told,
                f'<span class="pill {style}">{word}</span>',
            )
        )
    note = (
        "<p class='small'>Marks in the charts below show the configured share. Here each attribute "
        "stands with the value that is farthest from it, in standard errors, and with the "
        f"probability of such a fit by chance (chi-square; differs below {DIFFERS:g}).</p>"
    )
    head = ("attribute", "draws", "farthest, drawn", "configured", "errors", "p", "")
    return card("Drawn and configured", table(head, rows) + note) if rows else ""


def _fit(p_value: float | None) -> tuple[str, str, str]:
    """Style, word and number of a test."""
    if p_value is None:
        return "", "too few", ""
    number = f"{p_value:.2g}" if p_value >= 1e-4 else "&lt; 0.0001"
    return ("good", "fits", number) if p_value >= DIFFERS else ("bad", "differs", number)


def _neighbours_card(facts: DatasetFacts) -> str:
    """The people who are most alike by their shape; a copy would stand out."""
    closest, usual = facts.people.nearest(_LISTED_NEIGHBOURS)
    if usual is None:
        return ""
    rows = [
        (
            f"<code>{escape(pair.first)}</code>, <code>{escape(pair.second)}</code>",
            f"{split_of(pair.first)}, {split_of(pair.second)}",
            f"{pair.distance:.2f}",
            '<span class="pill bad">nearly one</span>' if pair.distance < ALMOST_ONE else "",
        )
        for pair in closest
    ]
    note = (
        f"<p class='small'>{len(facts.people):,} identities, by all {facts.people.controls:,} "
        "controls of their shape: root mean square of the differences in standard deviations. "
        f"Independent people lie at about 1.4, the usual nearest neighbour at {usual:.2f}, a copy "
        f"at 0; below {ALMOST_ONE:g} two count as nearly one.</p>"
    )
    head = ("closest pairs", "splits", "distance", "")
    return card("People who are alike", table(head, rows) + note)


def _spread(facts: DatasetFacts, title: str, name: str, **options) -> str:
    return card(title, charts.histogram(facts.values(name), **options))


def _people(facts: DatasetFacts) -> list[str]:
    return [
        _compared(facts, "identity.sex"),
        _spread(facts, "Age", "identity.age_years", low=18, high=90, unit=" y"),
        _compared(facts, "identity.ancestry"),
        _spread(facts, "Melanin", "skin.melanin", low=0, high=1, colours=SKIN_TONES),
        _spread(facts, "Weight", "identity.phenotype.weight", low=0, high=1),
        _spread(facts, "Sculpted controls", "sculpted controls", low=-1, high=1),
        _bars(facts, "Iris", "eyes.iris_name", "iris"),
        _spread(facts, "Wrinkles", "skin.wrinkles", low=0, high=1),
        _spread(facts, "Freckles", "skin.freckles", low=0, high=1),
    ]


def _look(facts: DatasetFacts) -> list[str]:
    return [
        _bars(facts, "Hair style", "hair.style"),
        _bars(facts, "Hair colour", "hair.colour.name", "hair"),
        _spread(facts, "Grey hair", "hair.colour.grey", low=0, high=1),
        _compared(facts, "facial_hair.beard"),
        _compared(facts, "clothes.garment"),
        _bars(facts, "Pattern", "clothes.pattern"),
        _worn(facts, "Glasses", "accessories.glasses", "shape"),
        _compared(facts, "accessories.headwear.kind"),
        _worn(facts, "Earrings", "accessories.earrings", "kind"),
        *(_compared(facts, f"user_parts.{kind}") for kind in ("head", "hair", "garment", "skin")),
    ]


def _scene(facts: DatasetFacts) -> list[str]:
    actions: dict[str, int] = {}
    for name, values in facts.actions.items():
        both = name.removesuffix("Left").removesuffix("Right")
        actions[both] = max(actions.get(both, 0), len(values))
    frequent = dict(sorted(actions.items(), key=lambda item: -item[1])[:14])
    measured = len(facts.values("identity.age_years"))  # heads of ours whose numbers are kept
    return [
        _compared(facts, "expression.name"),
        card("Facial actions, share of heads", charts.bars(frequent, measured)),
        _compared(facts, "light.kind"),
        _compared(facts, "light.hdri"),
        _spread(facts, "Head yaw", "pose.yaw_deg", low=-30, high=30, unit="°"),
        _spread(facts, "Head pitch", "pose.pitch_deg", low=-20, high=20, unit="°"),
        _spread(facts, "Head roll", "pose.roll_deg", low=-20, high=20, unit="°"),
        _spread(facts, "Gaze yaw", "gaze.yaw_deg", low=-20, high=20, unit="°"),
        _spread(facts, "Gaze pitch", "gaze.pitch_deg", low=-15, high=15, unit="°"),
    ]


def _word_table(facts: DatasetFacts) -> str:
    """Every text field that has more than one value, with how many heads have each."""
    rows = []
    for name in sorted(facts.words):
        counts = list(facts.counts(name).items())
        if len(counts) > 1:
            told = [f"{charts.label(value)} {count:,}" for value, count in counts[:_LISTED_WORDS]]
            told += [f"and {len(counts) - _LISTED_WORDS} more"] * (len(counts) > _LISTED_WORDS)
            rows.append((escape(name), f'<span class="small">{", ".join(told)}</span>'))
    return table(("field", "heads by value"), rows)


def _number_table(facts: DatasetFacts) -> str:
    rows = []
    for name in sorted(facts.numbers):
        values = facts.values(name)
        if name.endswith("seed") or values.min() == values.max():
            continue
        low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
        cells = [escape(name), *(f"{v:.3g}" for v in (low, middle, high)), charts.sparkline(values)]
        rows.append([*cells, f"{len(values):,}"])
    return table(("field", "5 %", "median", "95 %", "", "values"), rows)
