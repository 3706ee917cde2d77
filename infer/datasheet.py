"""`headloom dataset report`: the datasheet of a dataset as one page with its pictures beside it.

index.html   the page; all links are relative, so the folder can be moved or zipped
*.jpg        sheets of heads, passes, failures
report.json  every number on the page and more
config.yaml  how the dataset was made; of a rendered one, makes it again
judges/      what the judges saw, so that a second report costs seconds
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from infer.datasheet_data import (
    DatasetFacts,
    collect_facts,
    judged_places,
    licences,
    open_head,
)
from infer.datasheet_diversity import diversity_section
from infer.datasheet_judges import judges_section
from infer.datasheet_pictures import Pictures
from infer.datasheet_sections import (
    cost_section,
    heads_section,
    origin_section,
    size_of,
    truth_section,
)
from infer.datasheet_sheets import Artist
from infer.judges import JUDGES, judge
from infer.judges_verdicts import Judgement
from infer.page import stats, write_page
from synth.config import atomic_write, canonical_json, save_yaml, to_dict
from synth.dataset import Dataset
from synth.dataset_report import REPORT_PAGE, Progress, absent_text
from synth.sample import DatasetConfig

SCHEMA = 1
"""Version of `report.json`."""
PAGE, NUMBERS, CONFIG, CACHE = REPORT_PAGE.name, "report.json", "config.yaml", "judges"
TEMPLATE = Path(__file__).with_name("datasheet.html")
_DISTANCE_EDGES = np.linspace(0, 1.5, 61)

MAX_JUDGED = 1000
"""Heads that the judges look at unless told otherwise: a share of 99 % is then known to 0.3 %."""


@dataclass(frozen=True)
class ReportSummary:
    """A written report; `str` prints it for a person."""

    page: Path
    heads: int
    judgement: Judgement | None

    def __str__(self) -> str:
        lines = [str(self.page)]
        for verdict in self.judgement.verdicts if self.judgement else ():
            state = {True: "reached", False: "MISSED", None: "-"}[verdict.passed]
            value = verdict.note if verdict.value is None else verdict.goal.show(verdict.value)
            goal = f" ({verdict.goal})" if str(verdict.goal) else ""
            lines.append(f"  {state:<8} {verdict.goal.title}: {value}{goal}")
        return "\n".join(lines)


def write_report(
    dataset: Dataset,
    out: str | Path | None = None,
    judges: Sequence[str] = JUDGES,
    *,
    max_judged: int = MAX_JUDGED,
    threads: int = 1,
    progress: Progress = lambda *_: None,
) -> ReportSummary:
    """Write the datasheet of a dataset.

    Args:
        dataset: with at least one head; an unfinished one is reported as it is.
        out: folder of the page; None is `report` in the dataset.
        judges: which judges look at it, of `JUDGES`.
        max_judged: heads that they look at; of more, see `judged_places`.
        threads: heads that the judges look at together.
        progress: told what is going on.

    Raises:
        RecordError: no heads are rendered yet.
        RecordCorrupt: a record or a picture is damaged.
    """
    out = Path(out) if out is not None else dataset.root / REPORT_PAGE.parent
    total = dataset.head_count()
    facts = collect_facts(dataset, lambda n: progress("reading specs", n, total))
    judgement = None
    if judges:
        places = judged_places(facts.places, max_judged)
        judgement = judge(
            map(open_head, places),
            judges,
            cache=out / CACHE,
            threads=threads,
            done=lambda n: progress("judging", n, len(places)),
        )
    drawn = 0

    def draw(count: int) -> None:
        nonlocal drawn
        drawn += count
        progress("drawing", drawn, max(drawn, 12))

    pictures = Artist(facts, out, draw).draw(judgement)
    out.mkdir(parents=True, exist_ok=True)
    save_yaml(dataset.recipe, out / CONFIG)
    with atomic_write(out / NUMBERS) as file:
        file.write(canonical_json(numbers(dataset, facts, judgement)).encode() + b"\n")
    _write_page(out / PAGE, dataset, facts, judgement, pictures)
    return ReportSummary(out / PAGE, facts.heads, judgement)


def _write_page(
    path: Path,
    dataset: Dataset,
    facts: DatasetFacts,
    judgement: Judgement | None,
    pictures: Pictures,
) -> None:
    sections = {
        "heads": heads_section(facts, pictures),
        "truth": truth_section(facts, pictures),
        "diversity": diversity_section(facts),
        "judges": judges_section(judgement, pictures, facts.heads),
        "cost": "" if dataset.is_imported else cost_section(facts, dataset),
        "origin": origin_section(facts, dataset, CONFIG),
    }
    titles = {**{name: name.capitalize() for name in sections}, "truth": "Ground truth"}
    write_page(
        path,
        TEMPLATE,
        title=escape(f"{dataset.root.absolute().name}: datasheet"),
        name=escape(dataset.root.absolute().name),
        stats=stats(_headline(dataset, facts, judgement)),
        links="".join(f'<a href="#{n}">{titles[n]}</a>' for n, part in sections.items() if part),
        sections="\n".join(part for part in sections.values() if part),
    )


def _headline(dataset: Dataset, facts: DatasetFacts, judgement: Judgement | None) -> dict[str, str]:
    """The numbers at the top of the page."""
    pairs = {"heads": f"{facts.heads:,}", "identities": f"{len(facts.identities):,}"}
    if facts.heads < dataset.expected_heads:
        pairs["heads"] += f" of {dataset.expected_heads:,}{absent_text(facts.absent)}"
    pairs["views"] = f"{facts.views:,}"
    configs = [source.config for source in dataset.sources]
    sizes = sorted({config.size for config in configs})
    pairs["pixels"] = ", ".join(f"{size} × {size}" for size in sizes)
    samples = sorted({c.samples for c in configs if isinstance(c, DatasetConfig)})
    if samples:
        pairs["samples a pixel"] = ", ".join(map(str, samples))
    pairs["passes"] = str(len(facts.passes))
    pairs["size"] = size_of(facts)
    if judgement is not None:
        told = [verdict.passed for verdict in judgement.verdicts if verdict.passed is not None]
        if told:
            pairs["goals reached"] = f"{sum(told)} of {len(told)}"
    return pairs


def numbers(dataset: Dataset, facts: DatasetFacts, judgement: Judgement | None) -> dict[str, Any]:
    """Every number of the report as plain data."""
    quantiles = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)

    def spread(values: Sequence[float]) -> dict[str, float]:
        cuts = np.quantile(np.array(values, float), quantiles)
        named = {f"{100 * q:g} %": round(float(c), 6) for q, c in zip(quantiles, cuts)}
        return {**named, "mean": round(float(np.mean(values)), 6), "count": len(values)}

    return {
        "schema": SCHEMA,
        "headloom": importlib.metadata.version("headloom"),
        "dataset": {
            "id": dataset.dataset_id,
            "heads": facts.heads,
            "heads_measured": facts.measured,
            "expected_heads": dataset.expected_heads,
            "absent": dict(facts.absent),
            "absent_for": dict(facts.absent_for),
            "identities": len(facts.identities),
            "views": facts.views,
            "passes": list(facts.passes),
            "splits": dict(facts.splits),
            "bytes": dict(facts.bytes_by_kind),
            "devices": dict(facts.devices),
            "versions": {f"{name} {version}": n for (name, version), n in facts.versions.items()},
            "assets": [{**to_dict(ref), "heads": count} for ref, count in licences(facts)],
            "config": to_dict(dataset.recipe),
        },
        "drawn_and_configured": [
            {**to_dict(comparison), "p_value": comparison.p_value}
            for comparison in facts.comparisons
        ],
        "nearest_people": to_dict(facts.people.nearest(20)[0]),
        "words": {name: dict(counts.most_common()) for name, counts in facts.words.items()},
        "numbers": {name: spread(values) for name, values in facts.numbers.items()},
        "facial_actions": {name: spread(values) for name, values in facts.actions.items()},
        "timings_s": {name: spread(values) for name, values in facts.timings_s.items()},
        "judges": _judged(judgement) if judgement is not None else None,
    }


def _judged(judgement: Judgement) -> dict[str, Any]:
    identity = judgement.identity
    distances = None
    if identity is not None:
        distances = {
            "heads": identity.heads,
            "edges": [round(float(edge), 4) for edge in _DISTANCE_EDGES],
            "same": np.histogram(identity.same, _DISTANCE_EDGES)[0].tolist(),
            "different": np.histogram(identity.different, _DISTANCE_EDGES)[0].tolist(),
            "look_alikes": to_dict(identity.look_alikes),
            "strangers": to_dict(identity.strangers),
            "changes": to_dict(identity.changes),
        }
    return {
        "heads": judgement.heads,
        "without_ground_truth": judgement.no_truth,
        "verdicts": [
            {
                **to_dict(verdict.goal),
                "value": verdict.value,
                "count": verdict.count,
                "passed": verdict.passed,
                "note": verdict.note,
            }
            for verdict in judgement.verdicts
        ],
        "failures": to_dict(judgement.failures),
        "landmarks": to_dict(judgement.landmarks),
        "found_by_angle": to_dict(judgement.found_by_angle),
        "identity": distances,
        "skin_medians": list(judgement.skin_medians),
    }
