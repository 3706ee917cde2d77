"""What the parsers of all verbs have in common: one way to add a verb, one spelling of a flag."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from synth.errors import InputError
from synth.storage import Place, place


def add_verb(
    verbs,  # argparse's own type of sub-parsers is private
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    description: str,
) -> argparse.ArgumentParser:
    """Add a verb.

    Args:
        verbs: what `add_subparsers` of the parent returned.
        name: the word to type.
        run: called with the parsed arguments; returns the exit code.
        summary: one line for the list of verbs, in lower case.
        description: for `--help`, with examples indented by two spaces.
    """
    parser = verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.\n\n{description}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--verbose", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run)
    return parser


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """`--quiet`, of every verb that shows progress."""
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def dataset_place(text: str) -> Place:
    """Type of an argument: the folder of a dataset, or a URL such as s3://bucket/heads."""
    try:
        return place(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
