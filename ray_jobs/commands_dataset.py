"""The verbs of `headloom dataset`: arguments in, exit code out.

Results are printed on stdout; what is heavy to import is imported by the verb that needs it.
"""

from __future__ import annotations

import argparse
import os

from synth.errors import ConfigError


def info(arguments: argparse.Namespace) -> int:
    """`headloom dataset info`: counts."""
    from ray_jobs.progress import StageProgress
    from synth.dataset import Dataset
    from synth.dataset_report import describe

    data = Dataset.open(arguments.dataset)
    with StageProgress("info", enabled=not arguments.quiet) as bar:
        print(describe(data, bar.update))
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """`headloom dataset verify`: every byte; exit code 1 if anything is wrong or missing."""
    from ray_jobs.progress import StageProgress
    from synth.dataset import Dataset
    from synth.dataset_report import verify as check

    data = Dataset.open(arguments.dataset)
    with StageProgress("verify", enabled=not arguments.quiet) as bar:
        report = check(data, bar.update)
    print(report)
    return 0 if report.ok else 1


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
    from ray_jobs.progress import StageProgress
    from synth.dataset import Dataset

    data = Dataset.open(arguments.dataset)
    judges = parse_judges(arguments.judges)
    max_judged = MAX_JUDGED if arguments.judged is None else arguments.judged
    if max_judged < 1:
        raise ConfigError(f"--judged {max_judged}: give 1 or more; without judges: --judges none")
    with StageProgress("report", enabled=not arguments.quiet) as bar:
        summary = write_report(
            data,
            arguments.out,
            judges,
            max_judged=max_judged,
            threads=min(MAX_THREADS, os.cpu_count() or 1),
            progress=bar.update,
        )
    print(summary)
    return 0
