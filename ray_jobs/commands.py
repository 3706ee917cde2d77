"""The verbs of the command line: arguments in, exit code out.

Each turns the flags a person types into a configuration, calls the one function that does the work
and prints its result.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ray_jobs.pools import PRESETS, ClusterConfig, WorkerPool
from synth.config import load_config, to_dict, yaml_text
from synth.errors import ConfigError, InputError

if TYPE_CHECKING:
    from synth.sample import DatasetConfig

SYNTH_PRESETS = Path(__file__).parents[1] / "synth" / "configs"
INFER_PRESETS = Path(__file__).parents[1] / "infer" / "configs"


def version_text() -> str:
    """Name and version of the installed distribution."""
    return f"headloom {importlib.metadata.version('headloom')}"


def render(arguments: argparse.Namespace) -> int:
    """`headloom render`: sample, render, commit shards, index, contact sheet."""
    from synth.dataset import Dataset
    from synth.sample import DatasetConfig, sample_head
    from synth.sample_config import with_known_assets

    overrides = list(arguments.overrides)
    for key in ("heads", "size", "seed"):
        value = getattr(arguments, key)
        if value is not None:
            overrides.append(f"{key}={value}")
    config = load_config(
        DatasetConfig, _starting_point(arguments), overrides, presets=SYNTH_PRESETS
    )
    cluster = cluster_config(arguments)
    if arguments.dry_run:
        config = with_known_assets(config)
        _print_yaml("configuration", config)
        _print_yaml("cluster", cluster)
        plan = Dataset.preview(arguments.out, config).plan(retry_failed=arguments.retry_failed)
        print(f"# plan: {plan.missing} of {config.heads} heads to render into {arguments.out}")
        for shard in plan[:5]:
            print(
                f"#   {shard.path.name}: heads {shard.start} ... {shard.stop - 1}: {shard.reason}"
            )
        if len(plan) > 5:
            print(f"#   and {len(plan) - 5} more shards")
        _print_yaml("head 0", sample_head(config, 0))
        return 0

    if arguments.estimate:
        return _estimate(arguments, with_known_assets(config), cluster)

    from ray_jobs.render import render_dataset

    summary = render_dataset(
        config,
        arguments.out,
        cluster=cluster,
        quiet=arguments.quiet,
        log_format=arguments.log_format,
        retry_failed=arguments.retry_failed,
    )
    print(summary)
    return 1 if summary.failed else 0


def _starting_point(arguments: argparse.Namespace) -> str | DatasetConfig:
    """What the other flags of `render` change: --config, else what the dataset in place has."""
    from synth import storage
    from synth.dataset import HEADER_NAME, Dataset
    from synth.sample import DatasetConfig

    if arguments.config is None and storage.exists(arguments.out / HEADER_NAME):
        recipe = Dataset.open(arguments.out).recipe
        if isinstance(recipe, DatasetConfig):
            return recipe
    return arguments.config or "heads_v1"


def _estimate(arguments: argparse.Namespace, config: DatasetConfig, cluster: ClusterConfig) -> int:
    """`headloom render --estimate`: what the heads took that are there, or a few rendered here."""
    from ray_jobs.estimate import MEASURED_HEADS, estimate, measure, recorded
    from synth.dataset import Dataset

    if len(cluster.pools) > 1 and any(pool.workers is None for pool in cluster.pools):
        raise ConfigError(
            "--estimate must know how many workers there are of each kind: set `workers` in the "
            f"pools of --cluster {arguments.cluster}"
        )
    dataset = Dataset.preview(arguments.out, config)
    plan = dataset.plan(retry_failed=arguments.retry_failed)
    if not plan.missing:
        print(f"{arguments.out}: nothing is left to be rendered")
        return 0
    pools = []
    for pool in cluster.pools:
        measured = recorded(dataset, plan, pool)
        if measured is None:
            if not arguments.quiet:
                print(f"rendering {MEASURED_HEADS} heads on {pool} ...", file=sys.stderr)
            measured = measure(config, pool)
        pools.append((pool, measured))
    found = estimate(pools, heads=plan.missing, shards=len(plan))
    print(json.dumps(to_dict(found)) if arguments.log_format == "json" else found)
    return 0


def cluster_config(arguments: argparse.Namespace) -> ClusterConfig:
    """The cluster of `render`: from --cluster, or one pool from the flags; --address goes first."""
    values = {name: getattr(arguments, name) for name in ("workers", "threads", "device")}
    given = {name: value for name, value in values.items() if value is not None}
    if arguments.cluster is None:
        return ClusterConfig(arguments.address, (WorkerPool(**given),))
    if given:
        flags = ", ".join(f"--{name}" for name in given)
        raise ConfigError(f"{flags}: give it in the pools of --cluster {arguments.cluster}")
    overrides = [f"address={arguments.address}"] if arguments.address else []
    return load_config(ClusterConfig, arguments.cluster, overrides, presets=PRESETS)


def assets(arguments: argparse.Namespace) -> int:
    """`headloom assets`: a user's own assets and the store that they lie in."""
    from ray_jobs import assets as actions
    from synth.asset_store import DEFAULT_STORE, AssetStore

    store = AssetStore(arguments.store or DEFAULT_STORE)
    target = arguments.target
    if target is None and arguments.action in ("add", "remove", "template"):
        raise ConfigError(f"`assets {arguments.action}` needs a folder or a name")
    if arguments.action == "add":
        added = actions.add_folder(Path(target), store, replace_others=arguments.replace)
        print(f"{len(added)} assets in {store.root}; weigh them with --set assets.heads={{...}}")
    elif arguments.action == "list":
        print("\n".join(actions.list_lines(store)))
    elif arguments.action == "check":
        problems = actions.check_store(store)
        print("\n".join(problems) or f"{store.root}: {len(store.ids())} assets, all undamaged")
        return 1 if problems else 0
    elif arguments.action == "remove":
        print("removed " + ", ".join(store.remove(target)))
    elif arguments.action == "pack":
        return actions.install_pack(
            target, store, accepted=arguments.accept_licence, replace_others=arguments.replace
        )
    else:
        for path in actions.write_template(Path(target)):
            print(path)
    return 0


def train(arguments: argparse.Namespace) -> int:
    """`headloom train`: one of the three models, resumable."""
    overrides = list(arguments.overrides)
    if arguments.vae is not None:
        if arguments.kind != "diffusion":
            raise ConfigError(
                f"--vae belongs to `train diffusion`, not to `train {arguments.kind}`"
            )
        overrides.append(f"vae={arguments.vae}")

    from ray_jobs import train as training

    if arguments.dry_run:
        config = training.resolve_config(arguments.kind, arguments.config or "tiny", overrides)
        _print_yaml("configuration", config)
        steps = f"{config.train.steps} steps on {arguments.data}"
        print(f"# plan: train {arguments.kind} for {steps} into {arguments.out}")
        return 0
    result = training.train(
        arguments.kind,
        arguments.config or "tiny",
        overrides,
        arguments.data,
        arguments.out,
        num_workers=arguments.workers,
        use_gpu=arguments.gpu,
        address=arguments.address,
        progress=not arguments.quiet,
    )
    print(result)
    return 0


def lift(arguments: argparse.Namespace) -> int:
    """`headloom lift`: photos, folders and videos to Gaussians."""
    from infer.config import LiftConfig

    overrides = list(arguments.overrides)
    if arguments.seed is not None:
        overrides.append(f"seed={arguments.seed}")
    for kind in ("diffusion", "vae", "gslrm"):
        if getattr(arguments, kind) is not None:
            overrides.append(f"weights.{kind}={getattr(arguments, kind)}")
    if arguments.fallback_weights is not None:
        overrides.append(f"weights.fallback={arguments.fallback_weights}")
    config = load_config(LiftConfig, arguments.config, overrides, presets=INFER_PRESETS)
    missing = [str(path) for path in arguments.inputs if not path.exists()]
    if missing:
        raise InputError(f"no such file or folder: {', '.join(missing)}")
    if arguments.dry_run:
        _print_yaml("configuration", config)
        print(f"# plan: lift {', '.join(map(str, arguments.inputs))} into {arguments.out}")
        return 0

    from ray_jobs.infer import lift as run_lift

    summary = run_lift(
        arguments.inputs,
        arguments.out,
        config=config,
        address=arguments.address,
        overwrite=arguments.overwrite,
        progress=not arguments.quiet,
    )
    print(summary)
    return 1 if summary.failed else 0


def evaluate(arguments: argparse.Namespace) -> int:
    """`headloom eval reconstructor`: scores on views that the model was not shown."""
    from infer.evaluate import evaluate_reconstructor
    from ray_jobs.progress import StageProgress

    with StageProgress("eval", enabled=not arguments.quiet) as bar:
        summary = evaluate_reconstructor(
            arguments.data,
            arguments.weights,
            arguments.out,
            split=arguments.split,
            inputs=arguments.inputs,
            max_heads=arguments.max_heads,
            progress=bar.update,
        )
    print(summary)
    return 0


def gallery(arguments: argparse.Namespace) -> int:
    """`headloom gallery`: index.html over a folder of results."""
    from infer.gallery import collect_and_write

    print(collect_and_write(arguments.out))
    return 0


def submit(arguments: argparse.Namespace) -> int:
    """`headloom submit`: one of the other commands, on a cluster."""
    from ray_jobs import cli
    from ray_jobs import submit as jobs

    words = arguments.command[arguments.command[:1] == ["--"] :]
    if not words or words[0] not in jobs.VERBS:
        raise ConfigError(
            f"submit runs {', '.join(jobs.VERBS)}, not {words[0] if words else 'nothing'}: "
            "headloom submit --address http://HEAD:8265 -- render --out /shared/heads"
        )
    job = jobs.submit(
        words,
        cli.build_parser().parse_args(words),
        arguments.address,
        wait=not arguments.no_wait,
        python=arguments.python,
    )
    print(job.job_id)
    return job.exit_code or 0


def doctor(arguments: argparse.Namespace) -> int:
    """`headloom doctor`: the checks of this machine."""
    from ray_jobs.doctor import report, run_checks

    checks = run_checks(quick=arguments.quick)
    print(report(checks))
    return 1 if any(check.status == "failed" for check in checks) else 0


def _print_yaml(title: str, obj: object) -> None:
    print(f"# {title}\n{yaml_text(obj)}")
