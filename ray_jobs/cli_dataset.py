"""The command line of `headloom dataset`: a verb for each thing one does with a dataset."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ray_jobs import commands_dataset as commands
from ray_jobs.cli_exchange import add_export, add_import
from ray_jobs.cli_flags import add_quiet, add_verb, dataset_place, local_path, positive

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
    _add_repair(inner)
    _add_sheet(inner)
    _add_report(inner)
    _add_index(inner)
    _add_sample(inner)
    _add_duplicates(inner)
    add_export(inner)
    add_import(inner)
    _add_merge(inner)
    _add_split(inner)


def _verb(
    verbs, name: str, run: Callable[[argparse.Namespace], int], summary: str, description: str
) -> argparse.ArgumentParser:
    """A verb on one dataset."""
    parser = add_verb(verbs, name, run, summary, description)
    parser.add_argument(
        "dataset", type=dataset_place, metavar="DATASET", help="folder or URL of the dataset"
    )
    add_quiet(parser)
    return parser


def _add_info(verbs) -> None:
    parser = _verb(
        verbs,
        "info",
        commands.info,
        "what a dataset holds",
        "Heads, identities, views, splits, bytes, and why heads are absent. Counted from the\n"
        "index, which is brought up to date first; no picture is decoded.\n\n"
        "  headloom dataset info heads\n"
        "  headloom dataset info heads --full                   # also bytes by kind of file",
    )
    parser.add_argument("--full", action="store_true", help="read the specs of all heads instead")
    _add_json(parser)


def _add_verify(verbs) -> None:
    parser = _verb(
        verbs,
        "verify",
        commands.verify,
        "check that every expected head is there once and every digest holds",
        "Reads every byte. Exit code 0: complete and undamaged; 1: each problem is named.\n\n"
        "  headloom dataset verify heads --jobs 8\n"
        "  headloom dataset verify 's3://bucket/heads?region=eu-central-1' --sample 0.01",
    )
    _add_jobs(parser)
    parser.add_argument(
        "--sample",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="read every byte of this share of the shards only, chosen anew each time (0 ... 1)",
    )
    _add_json(parser)


def _add_repair(verbs) -> None:
    parser = _verb(
        verbs,
        "repair",
        commands.repair,
        "put aside what verify finds wrong, so that it is made again",
        "Damaged and foreign shards go to DATASET/quarantine; nothing is deleted but\n"
        "unfinished files of writers that are gone. Then run the command that made the dataset\n"
        "again: it finds their places empty. Exit code 1 if something is wrong that no shard is\n"
        "at fault for.\n\n"
        "  headloom dataset repair heads --dry-run\n"
        "  headloom dataset repair heads --jobs 8\n"
        "  headloom render --out heads",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be moved")
    _add_jobs(parser)
    _add_json(parser)


def _add_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--jobs",
        type=positive,
        default=1,
        metavar="N",
        help="processes that check shards (default 1)",
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one line of JSON for scripts")


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
        "--out", type=local_path, metavar="DIR", help="folder of the report; default DATASET/report"
    )
    parser.add_argument(
        "--judges",
        metavar="NAMES",
        default="all",
        help="all (default), none, or faces,landmarks,identity,pictures",
    )
    parser.add_argument(
        "--judged",
        type=positive,
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
        "Lists them, draws their front views, or copies them into a dataset of their own. The\n"
        "condition compares columns of the index: and, or, not, == != < <= > >= in, is None. The\n"
        "same seed chooses the same heads, also of a dataset that grew, as far as no new head\n"
        "ranks before them.\n\n"
        "  headloom dataset sample heads --n 24 --out sheet.png\n"
        "  headloom dataset sample heads --where \"age_years > 60 and sex == 'female'\"\n"
        "  headloom dataset sample heads --where 'expression.actions.jawOpen > 0.3' --n all\n"
        "  headloom dataset sample heads --where glasses --n all --out with_glasses\n"
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
    parser.add_argument(
        "--out",
        type=dataset_place,
        metavar="FILE.png_OR_DIR",
        help="write their front views, or copy them into a new dataset",
    )
    parser.add_argument("--json", action="store_true", help="list as JSON, one line per head")


def _add_duplicates(verbs) -> None:
    parser = _verb(
        verbs,
        "duplicates",
        commands.duplicates,
        "find heads that look alike, anywhere in a dataset",
        "Quality control compares the heads of one shard; this compares all, by the fingerprints\n"
        "of their front views. Of heads that look alike the first one is kept. Pictures of fewer\n"
        "than 128 pixels and few samples are too noisy to be told apart so finely.\n\n"
        "  headloom dataset duplicates heads\n"
        "  headloom dataset duplicates heads --distance 3 --json\n"
        "  headloom dataset duplicates heads --out distinct     # a dataset without them",
    )
    parser.add_argument(
        "--distance",
        type=float,
        metavar="D",
        help="heads that differ by less look alike: root mean square of 16 x 16 luminances, each"
        " 0 ... 255 (default 1.8; noise alone is about 1, another expression 3 and more)",
    )
    parser.add_argument(
        "--out", type=dataset_place, metavar="DIR", help="make a dataset of all others"
    )
    _add_copy(parser)
    parser.add_argument("--json", action="store_true", help="list as JSON, one line per head")


def _add_copy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--copy", action="store_true", help="copy shards instead of linking them (other disks)"
    )


def _add_merge(verbs) -> None:
    parser = add_verb(
        verbs,
        "merge",
        commands.merge,
        "make one dataset of several, of one or of many configurations",
        "Whole shards are hard-linked (from and to an object store, copied), heads that are there\n"
        "twice (by spec id) are left out, and every head stays on its side of the split. The\n"
        "result is read like any dataset; it names its sources with their configurations and\n"
        "all licences. Nothing can be rendered into it. Run again, it finishes what was\n"
        "interrupted.\n\n"
        "  headloom dataset merge heads studio --out all\n"
        "  headloom dataset merge site_a s3://bucket/site_b --out s3://bucket/all --dry-run",
    )
    parser.add_argument(
        "datasets", type=dataset_place, nargs="+", metavar="DATASET", help="folder or URL of each"
    )
    parser.add_argument(
        "--out", type=dataset_place, required=True, metavar="DIR", help="the new dataset, or a URL"
    )
    parser.add_argument("--dry-run", action="store_true", help="count, make nothing")
    _add_copy(parser)
    add_quiet(parser)


def _add_split(verbs) -> None:
    parser = _verb(
        verbs,
        "split",
        commands.split,
        "write train, val and test as datasets of their own, or share a dataset out in parts",
        "Which split a head belongs to is a hash of its identity (90, 5 and 5 %), here as\n"
        "everywhere. Parts are runs of whole shards; merged again they are the dataset.\n\n"
        "  headloom dataset split heads --out splits            # splits/train, val, test\n"
        "  headloom dataset split heads --parts 4 --out parts   # parts/part-0 ... part-3",
    )
    parser.add_argument(
        "--out", type=dataset_place, required=True, metavar="DIR", help="folder or URL above them"
    )
    parser.add_argument("--parts", type=positive, metavar="K", help="K parts of equal size instead")
    _add_copy(parser)
