"""The verbs of `headloom weights`."""

from __future__ import annotations

import argparse
import sys


def import_weights(arguments: argparse.Namespace) -> int:
    """`headloom weights import`: published weights under our names, after their licence."""
    from synth.config import to_dict
    from train.checkpoint import write_export
    from train.gslrm import openfacelift

    print(openfacelift.LICENCE, file=sys.stderr)
    model = openfacelift.build(openfacelift.read(arguments.file))
    about = {
        "kind": "gslrm",
        "precision": "fp32",
        "source": arguments.source,
        "licence": "non-commercial",
        "config": to_dict(openfacelift.config_of(model)),
    }
    write_export(model.state_dict(), about, arguments.out)
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{arguments.out}: {count / 1e6:.1f} M parameters, {model.config.layers} layers")
    return 0


def export_weights(arguments: argparse.Namespace) -> int:
    """`headloom weights export`: the averaged weights of a run."""
    from train.checkpoint import export

    print(export(arguments.weights, arguments.out, half=arguments.half))
    return 0
