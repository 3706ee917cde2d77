"""What a training step of the reconstructor costs, against its matrix products alone.

    python tests/bench/bench_train_step.py                          # mini, 128 px and 64 px
    python tests/bench/bench_train_step.py --layers 2 --rounds 2    # a smoke test

The network runs forward and backward on six views; the same products (linear layers, and attention
as plain matrix products, materialised) run bare on tensors of the same shapes and precision, in
turn, so that a busy machine slows both. Times are CPU time with one thread, else wall time.

With --data DIR whole steps of the real loop follow (loader, network, rasteriser, optimiser,
average): how long one takes, and the share of it that waits for data. Goals: the network at most
1.3 times its products, waiting under 5 %.
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from synth.camera import canonical_six, stack
from train.data import HeadDataset
from train.device import autocast
from train.gslrm.config import GslrmConfig
from train.gslrm.model import GAUSSIAN_NUMBERS, GSLRM, PIXEL_NUMBERS
from train.gslrm.step import GslrmTask
from train.loop import train
from train.metrics_log import read_metrics
from train.registry import resolve_config

GOAL, WAIT_GOAL = 1.3, 0.05
CPU = torch.device("cpu")


def network_pass(config: GslrmConfig, size: int) -> Callable[[], None]:
    """The network on six views, forward and backward, as a step calls it."""
    model = GSLRM(config.model).train()
    cam_from_world, K = (torch.from_numpy(a).float()[None] for a in stack(canonical_six(size)))
    images = torch.rand(1, 6, 3, size, size)

    def run() -> None:
        with autocast(CPU, config.train.precision):
            gaussians = model(images, cam_from_world, K)
        total = sum(getattr(gaussians, field.name).sum() for field in dataclasses.fields(gaussians))
        total.backward()
        model.zero_grad(set_to_none=True)

    return run


def product_shapes(config: GslrmConfig, size: int) -> Iterator[tuple[torch.dtype, tuple, tuple]]:
    """Shapes of the factors of every matrix product of a forward pass, and their precision."""
    model, patch = config.model, config.model.patch_size
    pixels = 6 * (size // patch) ** 2
    tokens, width = pixels + model.free_tokens, model.width
    inner = torch.bfloat16 if config.train.precision == "bf16" else torch.float32
    heads = width // model.head_width
    per_head = (heads, tokens, model.head_width)
    yield torch.float32, (pixels, PIXEL_NUMBERS * patch**2), (PIXEL_NUMBERS * patch**2, width)
    for _ in range(model.layers):
        yield inner, (tokens, width), (width, 3 * width)
        yield inner, per_head, (heads, model.head_width, tokens)
        yield inner, (heads, tokens, tokens), per_head
        yield inner, (tokens, width), (width, width)
        yield inner, (tokens, width), (width, model.mlp_ratio * width)
        yield inner, (tokens, model.mlp_ratio * width), (model.mlp_ratio * width, width)
    yield torch.float32, (pixels, width), (width, GAUSSIAN_NUMBERS * patch**2)


def product_pass(config: GslrmConfig, size: int) -> Callable[[], None]:
    """The products of `network_pass` and nothing else: a b, then g b^T and a^T g."""
    factors: dict[tuple, tuple[Tensor, Tensor, Tensor]] = {}
    order = list(product_shapes(config, size))
    for dtype, left, right in order:
        if (dtype, left, right) not in factors:
            a, b = torch.randn(left).to(dtype), torch.randn(right).to(dtype)
            factors[dtype, left, right] = (a, b, torch.randn_like(a @ b))

    def run() -> None:
        with torch.no_grad():
            for key in order:
                a, b, _ = factors[key]
                torch.matmul(a, b)
            for key in reversed(order):
                a, b, g = factors[key]
                torch.matmul(g, b.mT)
                torch.matmul(a.mT, g)

    return run


def compare(config: GslrmConfig, size: int, rounds: int) -> float:
    """Print and return the ratio of network to products, medians of rounds taken in turn."""
    runs = {"network": network_pass(config, size), "products": product_pass(config, size)}
    times: dict[str, list[float]] = {name: [] for name in runs}
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    for round_number in range(rounds + 1):
        for name, run in runs.items():
            began = clock()
            run()
            if round_number > 0:  # the first one warms up
                times[name].append(clock() - began)
    network, products = (statistics.median(times[name]) for name in ("network", "products"))
    flops = sum(2 * 3 * _products(a, b) for _, a, b in product_shapes(config, size))
    print(
        f"| {size} px | {network * 1e3:.0f} ms | {products * 1e3:.0f} ms | "
        f"{network / products:.2f} | {flops / products / 1e9:.0f} |"
    )
    return network / products


def _products(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    *batch, rows, inner = left
    count = rows * inner * right[-1]
    for size in batch:
        count *= size
    return count


def whole_steps(config: GslrmConfig, data: Path, size: int, steps: int) -> None:
    """Print where the time of a step of the real loop goes."""
    config = dataclasses.replace(
        config,
        image_size=size,
        train=dataclasses.replace(
            config.train, steps=steps, split="all", log_every=steps // 2, preview=False,
            checkpoint_every=steps, warmup_steps=2,
        ),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        task = GslrmTask(config)
        dataset = HeadDataset(data, "all", size, task.passes)
        train(task, dataset, Path(scratch) / "run", progress=False)
        last = read_metrics(Path(scratch) / "run" / "metrics.jsonl")[-1]
    began = time.perf_counter()
    for index in range(min(10, len(dataset))):
        dataset.load(index)
    loading = (time.perf_counter() - began) / min(10, len(dataset))
    print(
        f"{size} px: {last['seconds'] * 1e3:.0f} ms a step, {last['wait_fraction']:.1%} of it "
        f"waiting for data (goal {WAIT_GOAL:.0%}); decoding all views of a head "
        f"{loading * 1e3:.0f} ms; {3600 / last['seconds']:.0f} steps an hour"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--layers", type=int, help="instead of the preset's")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, help="a dataset, for whole steps of the loop")
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    config = resolve_config("gslrm", options.preset)
    if options.layers:
        model = dataclasses.replace(config.model, layers=options.layers)
        config = dataclasses.replace(config, model=model)
    print(f"{options.preset}, {config.train.precision}, torch {torch.__version__}, "
          f"{options.threads} threads, {platform.processor() or platform.machine()}\n")  # fmt: skip
    print(
        "| pictures | network | its products bare | ratio | GFLOP/s bare |\n|---|---|---|---|---|"
    )
    worst = max(compare(config, size, options.rounds) for size in options.sizes)
    print(f"\nworst ratio {worst:.2f}, goal {GOAL}\n")
    if options.data:
        for size in options.sizes:
            whole_steps(config, options.data, size, options.steps)


if __name__ == "__main__":
    main()
