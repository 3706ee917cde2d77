"""The command line of `headloom dataset`: a verb for each thing one does with a dataset."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ray_jobs import commands_dataset as commands
from ray_jobs.cli_exchange import add_export, add_import
from ray_jobs.cli_flags import add_quiet, add_verb

_DESCRIPTION = """\
Check, describe, judge and arrange a dataset.

  headloom dataset info heads            # what it holds
  headloom dataset verify heads          # every byte of it
  headloom dataset report heads          # the datasheet, as a page
  headloom dataset export heads --to colmap --out scenes

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
    _add_index(inner)
    _add_sample(inner)
    add_export(inner)
    add_import(inner)


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


def _add_index(verbs) -> None:
    parser = _verb(
        verbs,
        "index",
        commands.index,
        "bring DATASET/index.parquet up to date, a row per head with every attribute",
        "Reads only the shards that the index does not have yet; `render` and `sample` do it too.\n"
        "Any tool that reads Parquet can ask it; so can `dataset sample --where`.\n\n"
        "  headloom dataset index heads\n"
        "  headloom dataset index heads --columns               # what there is to ask by",
    )
    parser.add_argument(
        "--columns", action="store_true", help="list the columns with their types, write nothing"
    )


def _add_sample(verbs) -> None:
    parser = _verb(
        verbs,
        "sample",
        commands.sample,
        "choose heads: by a condition, at random, balanced by a column",
        "Lists them, or writes a picture of their front views. The condition compares columns of\n"
        "the index: and, or, not, == != < <= > >= in, is None. The same seed chooses the same\n"
        "heads, also of a dataset that grew, as far as no new head ranks before them.\n\n"
        "  headloom dataset sample heads --n 24 --out sheet.png\n"
        "  headloom dataset sample heads --where \"age_years > 60 and sex == 'female'\"\n"
        "  headloom dataset sample heads --where 'expression.actions.jawOpen > 0.3' --n all\n"
        "  headloom dataset sample heads --balance ancestry --n 60 --out sheet.png",
    )
    parser.add_argument("--where", metavar="CONDITION", help="only heads that meet it")
    parser.add_argument(
        "--n", default="24", metavar="N", help="how many (default 24), or all that meet it"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="another one, others")
    parser.add_argument(
        "--balance", metavar="COLUMN", help="each value of the column equally often, if it can be"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="write their front views")
    parser.add_argument("--json", action="store_true", help="list as JSON, one line per head")
