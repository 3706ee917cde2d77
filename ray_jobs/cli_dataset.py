"""The command line of `headloom dataset`: a verb for each thing one does with a dataset."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ray_jobs import commands_dataset as commands
from ray_jobs.cli_flags import add_quiet, add_verb

_DESCRIPTION = """\
Check, describe, judge and arrange a dataset.

  headloom dataset info heads            # what it holds
  headloom dataset verify heads          # every byte of it
  headloom dataset report heads          # the datasheet, as a page

headloom dataset VERB --help explains a verb.
"""


def add_dataset(verbs) -> None:
    """Add `dataset` and its verbs to the command line."""
    parser = verbs.add_parser(
        "dataset",
        help="check, describe, judge and arrange a dataset",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inner = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _add_info(inner)
    _add_verify(inner)
    _add_sheet(inner)
    _add_report(inner)


def _verb(
    verbs, name: str, run: Callable[[argparse.Namespace], int], summary: str, description: str
) -> argparse.ArgumentParser:
    """A verb on one dataset."""
    parser = add_verb(verbs, name, run, summary, description)
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of the dataset")
    add_quiet(parser)
    return parser


def _add_info(verbs) -> None:
    _verb(
        verbs,
        "info",
        commands.info,
        "what a dataset holds",
        "Heads, identities, views, splits and bytes; no picture is decoded.\n\n"
        "  headloom dataset info heads",
    )


def _add_verify(verbs) -> None:
    _verb(
        verbs,
        "verify",
        commands.verify,
        "check that every expected head is there once and every digest holds",
        "Reads every byte. Exit code 0: complete and undamaged; 1: each problem is named.\n\n"
        "  headloom dataset verify heads",
    )


def _add_sheet(verbs) -> None:
    _verb(
        verbs,
        "sheet",
        commands.sheet,
        "write the contact sheet of the front views, DATASET/contact.png",
        "The first heads on one picture, front large, sides small.\n\n"
        "  headloom dataset sheet heads",
    )


def _add_report(verbs) -> None:
    parser = _verb(
        verbs,
        "report",
        commands.report,
        "write the datasheet: heads, distributions, judges, cost, licences, as a page",
        "A missed goal of a judge is told, but is no failure of the command.\n\n"
        "  headloom dataset report heads                        # all judges\n"
        "  headloom dataset report heads --judges faces,pictures --out report",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the report; default DATASET/report"
    )
    parser.add_argument(
        "--judges",
        metavar="NAMES",
        default="all",
        help="all (default), none, or faces,landmarks,identity,pictures",
    )
    parser.add_argument(
        "--judged",
        type=int,
        metavar="N",
        help="heads that the judges look at (default 1000, evenly spaced)",
    )
