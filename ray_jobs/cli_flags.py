"""What the parsers of all verbs have in common: one way to add a verb, one spelling of a flag."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from synth import export_frame
from synth.config import did_you_mean
from synth.errors import InputError
from synth.storage import Place, place


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations, which the next flag would make ambiguous, and tells of
    a flag it does not know with the usage of the verb that was typed."""

    def __init__(self, **options: Any):
        super().__init__(allow_abbrev=False, **options)

    def parse_known_args(
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse does, but nothing is left over: argparse would have the outermost parser
        complain, whose usage names no flag of a verb."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            hint = did_you_mean(unknown[0].partition("=")[0], self._option_string_actions)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return found, unknown


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
    return _understood(place, text)


def local_path(text: str) -> Path:
    """Type of an argument: a file or folder of this machine; a URL would become a folder `s3:`."""
    return _understood(export_frame.local_path, text)


def positive(text: str) -> int:
    """Type of an argument: a count, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give a number, 1 or more")
    return int(text)


def _understood(read: Callable[[str], Any], text: str) -> Any:
    """argparse names the flag of an error of its own type only."""
    try:
        return read(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
