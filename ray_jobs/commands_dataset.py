"""The verbs of `headloom dataset`: arguments in, exit code out.

Results are printed on stdout; what is heavy to import is imported by the verb that needs it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from synth.config import to_dict
from synth.errors import ConfigError, RecordError

if TYPE_CHECKING:
    from ray_jobs.progress import StageProgress


def info(arguments: argparse.Namespace) -> int:
    """`headloom dataset info`: counts, from the index unless that cannot be brought up to date."""
    from ray_jobs.index import count_indexed
    from ray_jobs.sampling import ready_index
    from synth.dataset import Dataset
    from synth.dataset_report import describe

    data = Dataset.open(arguments.dataset)
    counts = None
    with _progress(arguments, "info") as bar:
        if not arguments.full and data.head_count():
            try:
                counts = count_indexed(ready_index(data, bar.update))
            except RecordError as error:
                print(f"note: {error}; so every head is read", file=sys.stderr)
        found = describe(data, bar.update, counts)
    _print(found, found, arguments)
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """`headloom dataset verify`: every byte; exit code 1 if anything is wrong or missing."""
    from synth.dataset import Dataset
    from synth.dataset_report import verify as check

    if not 0 <= arguments.sample <= 1:
        raise ConfigError(f"--sample {arguments.sample:g}: give a share from 0 to 1")
    data = Dataset.open(arguments.dataset)
    with _progress(arguments, "verify") as bar:
        report = check(data, bar.update, jobs=arguments.jobs, sample=arguments.sample)
    _print(report, report.summary(), arguments)
    return 0 if report.ok else 1


def repair(arguments: argparse.Namespace) -> int:
    """`headloom dataset repair`: what is wrong is put aside; exit code 1 if that is not enough."""
    from synth.repair import repair as mend

    with _progress(arguments, "repair") as bar:
        done = mend(
            arguments.dataset,
            dry_run=arguments.dry_run,
            jobs=arguments.jobs,
            progress=bar.update,
        )
    _print(done, done.summary(), arguments)
    return 0 if done.ok else 1


def sheet(arguments: argparse.Namespace) -> int:
    """`headloom dataset sheet`: the front views of the first heads."""
    from synth.dataset import Dataset
    from synth.report import contact_sheet

    print(contact_sheet(Dataset.open(arguments.dataset), arguments.dataset / "contact.png"))
    return 0


def report(arguments: argparse.Namespace) -> int:
    """`headloom dataset report`: the datasheet; a missed goal is no failure of the command."""
    from infer.datasheet import MAX_JUDGED, write_report
    from infer.judges import MAX_THREADS, parse_judges
    from synth.dataset import Dataset
    from synth.storage import is_local

    data = Dataset.open(arguments.dataset)
    if arguments.out is None and not is_local(data.root):
        raise ConfigError(f"the report of {data.root} needs a folder of this machine: --out DIR")
    judges = parse_judges(arguments.judges)
    with _progress(arguments, "report") as bar:
        summary = write_report(
            data,
            arguments.out,
            judges,
            max_judged=arguments.judged or MAX_JUDGED,
            threads=min(MAX_THREADS, os.cpu_count() or 1),
            progress=bar.update,
        )
    print(summary)
    return 0


def index(arguments: argparse.Namespace) -> int:
    """`headloom dataset index`: Parquet, a row per head."""
    from ray_jobs.index import write_index
    from ray_jobs.index_schema import columns
    from synth.dataset import Dataset
    from synth.lock import exclusive

    data = Dataset.open(arguments.dataset)
    if arguments.columns:
        for column in columns().values():
            print(f"{column.name:<38} {column.kind:<16} {column.meaning}".rstrip())
        return 0
    with exclusive(data.root), _progress(arguments, "index") as bar:
        print(write_index(data, bar.update))
    return 0


def sample(arguments: argparse.Namespace) -> int:
    """`headloom dataset sample`: chosen heads as a list, a picture or a dataset."""
    from ray_jobs.collecting import copy_selection
    from ray_jobs.sampling import listing, ready_index, select
    from synth.dataset import Dataset
    from synth.report import MAX_CARDS, sheet_of

    out = arguments.out
    data = Dataset.open(arguments.dataset)
    with _progress(arguments, "sample") as bar:
        chosen = select(
            ready_index(data, bar.update),
            where=arguments.where,
            count=_count(arguments.n),
            seed=arguments.seed,
            balance=arguments.balance,
        )
        if out is None:
            print(listing(chosen, as_json=arguments.json))
        elif out.name.endswith(".png"):
            if len(chosen.rows) > MAX_CARDS:
                raise ConfigError(
                    f"{len(chosen.rows)} heads are too many for one picture; --n {MAX_CARDS} or "
                    "fewer, or another --out to copy them"
                )
            print(sheet_of(chosen.records(data, bar.update), out))
        else:
            choice = {"where": arguments.where, "n": arguments.n, "seed": arguments.seed}
            choice["balance"] = arguments.balance
            print(copy_selection(data, chosen, choice, out, progress=bar.update))
    return 0


def duplicates(arguments: argparse.Namespace) -> int:
    """`headloom dataset duplicates`: heads that look alike, or a dataset without them."""
    from ray_jobs.collecting import copy_selection
    from ray_jobs.duplicates import DISTANCE, find_duplicates
    from ray_jobs.sampling import ready_index
    from synth.dataset import Dataset

    distance = DISTANCE if arguments.distance is None else arguments.distance
    if not 0 < distance <= 255:
        raise ConfigError(f"--distance {distance:g}: give more than 0, at most 255")
    data = Dataset.open(arguments.dataset)
    with _progress(arguments, "duplicates") as bar:
        found = find_duplicates(ready_index(data, bar.update), distance)
        print(found.to_json() if arguments.json else found)
        if arguments.out is not None:
            made = copy_selection(
                data,
                found.rest,
                {"distance": distance},
                arguments.out,
                made_by="duplicates",
                copy=arguments.copy,
                progress=bar.update,
            )
            print(made, file=sys.stderr if arguments.json else sys.stdout)
    return 0


def merge(arguments: argparse.Namespace) -> int:
    """`headloom dataset merge`: several datasets as one."""
    from ray_jobs.collecting import merge as merge_datasets
    from synth.dataset import Dataset

    sources = [Dataset.open(path) for path in arguments.datasets]
    with _progress(arguments, "merge") as bar:
        print(
            merge_datasets(
                sources,
                arguments.out,
                copy=arguments.copy,
                dry_run=arguments.dry_run,
                progress=bar.update,
            )
        )
    return 0


def split(arguments: argparse.Namespace) -> int:
    """`headloom dataset split`: by identity, or into equal parts."""
    from ray_jobs.collecting import split_by_identity, split_into_parts
    from synth.dataset import Dataset

    data = Dataset.open(arguments.dataset)
    options = {"copy": arguments.copy}
    with _progress(arguments, "split") as bar:
        if arguments.parts is None:
            made = split_by_identity(data, arguments.out, progress=bar.update, **options)
        else:
            made = split_into_parts(
                data, arguments.out, arguments.parts, progress=bar.update, **options
            )
    print("\n".join(made))
    return 0


def _print(text: object, data: object, arguments: argparse.Namespace) -> None:
    """For a person, or with `--json` for a script."""
    print(json.dumps(to_dict(data)) if arguments.json else text)


def _progress(arguments: argparse.Namespace, name: str) -> StageProgress:
    from ray_jobs.progress import StageProgress

    return StageProgress(name, enabled=not arguments.quiet)


def _count(text: str) -> int | None:
    """The number of heads to choose; None for all."""
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--n {text}: give a number from 1, or all")
    return int(text)
