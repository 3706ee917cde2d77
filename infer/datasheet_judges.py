"""The judges' part of the datasheet, as HTML: verdicts, what is behind them, heads that fail."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from infer import datasheet_charts as charts
from infer.datasheet_data import LOOKS_JUDGED
from infer.datasheet_pictures import Pictures
from infer.datasheet_sections import card, image, section, table
from infer.judges_identity import ALIKE, IdentityDistances
from infer.judges_pictures import SKIN_RANGE
from infer.judges_verdicts import MAX_HEAD_ERROR, Judgement, Verdict

_LISTED_FAILURES = 60


def judges_section(judgement: Judgement | None, pictures: Pictures, heads: int) -> str:
    """The verdicts, the distributions behind them, and the heads that fail; of a dataset of `heads`
    heads."""
    if judgement is None or not judgement.verdicts:
        note = "Not asked for: <code>headloom dataset report DATASET --judges all</code>."
        return section("judges", "Judges", note, "")
    parts = [f'<div class="card">{verdict_table(judgement.verdicts)}</div>']
    parts.append(f'<div class="two">{"".join(_judges_charts(judgement))}</div>')
    if judgement.identity is not None:
        parts.append(_identity_card(judgement, pictures))
    parts.append(_failures_card(judgement, pictures))
    note = (
        f"What third-party networks and plain checks say about {_judged(judgement.heads, heads)}. "
        "Goals are those of Headloom's default dataset."
    )
    if judgement.no_truth:
        note += (
            f" {judgement.no_truth:,} heads of a user's own, or imported, have no known landmarks; "
            "skin and landmarks are judged without them."
        )
    return section("judges", "Judges", note, "".join(parts))


def _judged(judged: int, heads: int) -> str:
    if judged >= heads:
        return "every head that is there"
    return (
        f"{judged:,} of {heads:,} heads: identities at even distances, up to {LOOKS_JUDGED} heads "
        "of each"
    )


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """Pass or fail, the number reached, the goal."""
    rows = []
    for verdict in verdicts:
        state = {True: ("good", "reached"), False: ("bad", "missed"), None: ("open", "")}
        style, word = state[verdict.passed]
        if verdict.value is None:
            word = "not run" if verdict.note.startswith("not run") else "not measured"
            value = f'<span class="small">{escape(verdict.note.removeprefix("not run: "))}</span>'
        else:
            value = f"<b>{escape(verdict.goal.show(verdict.value))}</b>"
            word = word or "no goal"
        rows.append(
            (
                escape(verdict.goal.title),
                f'<span class="pill {style}">{word}</span>',
                value,
                escape(str(verdict.goal)) or "&ndash;",
                f"{verdict.count:,}" if verdict.value is not None else "",
            )
        )
    return table(("", "", "reached", "goal", "of"), rows)


def _judges_charts(judgement: Judgement) -> list[str]:
    cards = []
    if judgement.found_by_angle:
        shares = [
            (
                f"{row.low_deg:.0f}&ndash;{row.high_deg:.0f}°",
                f"{100 * row.found / row.views:.1f} %",
                f"{row.found:,} of {row.views:,}",
            )
            for row in judgement.found_by_angle
        ]
        chart = table(("face turned from the camera by", "found", ""), shares)
        cards.append(card("mediapipe, by angle", chart))
    if judgement.skin_medians:
        low, high = SKIN_RANGE
        chart = charts.histogram(
            np.array(judgement.skin_medians),
            low=0,
            high=1,
            bins=40,
            limits=SKIN_RANGE,
            width=charts.MEDIUM,
        )
        note = (
            f"<p class='small'>Median over cheeks and forehead of the front view, linear light of "
            f"the display; usable is {low:g} to {high:g}.</p>"
        )
        cards.append(card("Skin luminance", chart + note))
    for views, errors in judgement.landmarks.items():
        rows = [
            (
                escape(row.group),
                f"{100 * row.median:.1f} %",
                f"{100 * row.percentile_95:.1f} %",
                f"{100 * row.right:+.1f}, {100 * row.down:+.1f}",
                f"{row.count:,}",
            )
            for row in errors
            if row.is_group
        ]
        head = ("group", "median", "95 %", "mean right, down", "points")
        title = f"Landmark error / eye distance, {views} views"
        cards.append(card(title, table(head, rows)))
    return cards


def _identity_card(judgement: Judgement, pictures: Pictures) -> str:
    identity = judgement.identity
    names = (
        f"one identity, other looks ({len(identity.same):,} pairs)",
        f"two identities ({len(identity.different):,} pairs)",
    )
    chart = charts.histogram_pair(
        identity.same, identity.different, names, low=0.0, high=1.2, limits=(ALIKE,)
    )
    parts = [
        f'<div class="card"><h4>Identity: distances between heads</h4><p class="small">dlib\'s '
        f"network, front views; line at {ALIKE}. Photographs of one person lie at 0.34 to 0.44, of "
        f"two people at 0.7 to 0.9.</p>{chart}</div>"
    ]
    if identity.changes:
        parts.append(_changes_card(identity))
    for title, figures in (
        ("Closest pairs of two identities", pictures.look_alikes),
        ("Farthest pairs of one identity", pictures.strangers),
    ):
        if figures:
            cells = "".join(image(figure) for figure in figures)
            parts.append(f'<h3>{title}</h3><div class="card pairs">{cells}</div>')
    return "".join(parts)


def _changes_card(identity: IdentityDistances) -> str:
    """Distances of one identity by what differs between the two looks."""

    def number(value: float | None, form: str) -> str:
        return "&ndash;" if value is None else f"{value:{form}}"

    rows = [
        (
            escape(change.what),
            f"{change.pairs:,}",
            number(change.median, ".2f"),
            number(change.other_median, ".2f"),
            number(change.effect, "+.3f"),
        )
        for change in identity.changes
    ]
    head = ("what differs", "pairs", "median distance", "where it does not", "effect alone")
    note = (
        f"<p class='small'>The {len(identity.same):,} pairs of one identity. Several things differ "
        "in most of them; the effect of each alone is a least squares fit over all, not given for "
        "few pairs.</p>"
    )
    return f"<h3>One identity: what moves the distance</h3>{card('', table(head, rows) + note)}"


def _failures_card(judgement: Judgement, pictures: Pictures) -> str:
    if not judgement.failures:
        return "<h3>Failing heads</h3><p class='note'>None.</p>"
    parts = ["<h3>Failing heads</h3>"]
    if pictures.failures:
        cells = "".join(image(figure) for figure in pictures.failures)
        parts.append(f'<div class="card"><div class="tiles">{cells}</div></div>')
    rows = [
        (str(f.index), f"<code>{f.spec_id}</code>", escape(f.judge), str(f.view), escape(f.reason))
        for f in judgement.failures[:_LISTED_FAILURES]
    ]
    more = len(judgement.failures) - len(rows)
    tail = f'<p class="small">and {more} more in report.json</p>' if more > 0 else ""
    parts.append(
        f"<details class='card'><summary>Objections: {len(judgement.failures)}, to "
        f"{len({f.spec_id for f in judgement.failures})} of {judgement.heads} heads</summary>"
        f"{table(('head', 'spec', 'judge', 'view', 'reason'), rows)}{tail}</details>"
        f"<p class='small'>Landmarks count as off when the median error of a front view exceeds "
        f"{100 * MAX_HEAD_ERROR:.0f} %.</p>"
    )
    return "".join(parts)
