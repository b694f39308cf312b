"""The commands of `python -m aot`: each takes parsed options and says what it did through `Output`."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils._pytree import tree_leaves

from aot import install
from aot.artifacts import Artifact, ArtifactStore
from aot.blocks import MIN_BATCH, BlockPlan, plan_block
from aot.compile import CompileOptions, compile_plan, key_for
from aot.hub import open_place, pull, push
from aot.shapes import EVERY_SIZE, SizeRange
from aot.variants import Variant
from flashworld.cli.output import Output
from flashworld.config import FULL, NANO_DIR, ModelConfig
from flashworld.errors import CompiledBlockError, InputError
from flashworld.models.fp8 import probe_fp8
from flashworld.models.networks import Networks, random_networks

MAX_RELATIVE_ERROR = {"fp32": 1e-3, "bf16": 2e-2, "fp8": 5e-2}
"""Of compiled against eager, by precision: kernels round in another order, deep networks carry it on."""
VERIFY_SIZES = ((24, 480, 704), (24, 704, 480), (8, 256, 448), (1, 480, 704))
"""Frames, height, width; those that a graph serves are tried. One frame is the condition picture."""


def compile_command(args: argparse.Namespace, output: Output) -> None:
    """Compile networks on this machine and keep the graphs."""
    networks, options, store = build(args), options_of(args), ArtifactStore(args.store)
    made = []
    for plan in plans_of(args, networks):
        output.note(f"compiling {plan.name} for {plan.sizes.label}")
        artifact = compile_plan(plan, options).save(store)
        made.append(describe(artifact))
    output.result({"compiled": made}, "\n".join(f"{row['slug']}: {row['seconds']}, {row['mb']:.1f} MB" for row in made))


def list_command(args: argparse.Namespace, output: Output) -> None:
    """Show what a store or a place holds."""
    if args.place:
        names = open_place(args.place, args.revision).slugs()
        output.result({"entries": names}, "\n".join(names) or "nothing")
        return
    entries = list(ArtifactStore(args.store).entries())
    good = [describe(entry) for entry in entries if isinstance(entry, Artifact)]
    bad = [str(entry) for entry in entries if isinstance(entry, CompiledBlockError)]
    lines = [f"{row['slug']}: {row['mb']:.1f} MB" for row in good] + [f"damaged: {text}" for text in bad]
    output.result({"entries": good, "damaged": bad}, "\n".join(lines) or "nothing")


def verify_command(args: argparse.Namespace, output: Output) -> None:
    """Compare compiled graphs with eager networks on fresh random input.

    Raises:
        CompiledBlockError: a graph is missing, or further from eager than rounding explains.
    """
    networks, options, store = build(args), options_of(args), ArtifactStore(args.store)
    rows: list[Comparison] = []
    for plan in plans_of(args, networks):
        artifact = store.load(key_for(plan, options))
        for size in sizes_to_try(plan, networks.config):
            rows.append(compare(plan_block(networks, plan.name, plan.sizes, size), artifact, size))
            output.note(str(rows[-1]))
    data: dict[str, object] = {"rows": [vars(row) for row in rows]}
    output.result(data, "\n".join(map(str, rows)))
    wrong = [row for row in rows if not row.relative_error <= MAX_RELATIVE_ERROR.get(row.precision, 0.0)]
    if wrong:
        raise CompiledBlockError(f"expected at most {MAX_RELATIVE_ERROR[wrong[0].precision]:.0e}: {wrong[0]}")


def push_command(args: argparse.Namespace, output: Output) -> None:
    """Copy entries of the store to a place."""
    store, place = ArtifactStore(args.store), open_place(args.place, args.revision)
    slugs = args.slugs or [entry.slug for entry in store.entries() if isinstance(entry, Artifact)]
    if not slugs:
        raise CompiledBlockError(f"{store.root}: there is nothing to push")
    for slug in slugs:
        push(store, place, slug)
        output.note(f"pushed {slug}")
    output.result({"pushed": slugs, "place": args.place, "revision": args.revision}, f"pushed {len(slugs)}")


def pull_command(args: argparse.Namespace, output: Output) -> None:
    """Copy entries of a place to the store."""
    store, place = ArtifactStore(args.store), open_place(args.place, args.revision)
    slugs = args.slugs or place.slugs()
    if not slugs:
        raise CompiledBlockError(f"{args.place}: there is nothing to pull")
    for slug in slugs:
        pull(store, place, slug)
        output.note(f"pulled {slug}")
    output.result({"pulled": slugs, "place": args.place, "revision": args.revision}, f"pulled {len(slugs)}")


def gsplat_command(args: argparse.Namespace, output: Output) -> None:
    """Build gsplat's wheel with its kernels, keep it, and copy it where it is wanted."""
    from aot.gsplat.cuda_toolkit import fetch_toolkit, find_toolkit
    from aot.gsplat.startup import TOOLKIT_FOLDER
    from aot.gsplat.wheel import build_wheel, save_wheel, wheel_key

    store, key = ArtifactStore(args.store), wheel_key(args.arch)
    toolkit = find_toolkit() or (fetch_toolkit(store.root / TOOLKIT_FOLDER) if args.fetch_nvcc else None)
    output.note(f"compiling gsplat's kernels for {key.archs} with {toolkit.home if toolkit else 'no compiler'}")
    name, wheel = build_wheel(key, source=args.wheel, toolkit=toolkit, jobs=args.jobs)
    artifact = save_wheel(store, key, name, wheel)
    path = artifact.path / name
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        path = Path(shutil.copy(path, args.out / name))
    output.result({"slug": artifact.slug, "wheel": str(path), "bytes": len(wheel)}, str(path))


def bench_command(args: argparse.Namespace, output: Output) -> None:
    """Time every stage against its floor; see `benchmarks.stages` for all options."""
    from benchmarks import stages

    stages.main([*args.rest, *(["--json", "-"] if args.json and "--json" not in args.rest else [])])


@dataclass(frozen=True)
class Comparison:
    """One graph against eager at one size."""

    block: str
    precision: str
    size: str
    relative_error: float
    eager_ms: float
    compiled_ms: float

    def __str__(self) -> str:
        return (
            f"{self.block} {self.precision} {self.size}: relative error {self.relative_error:.1e}, "
            f"eager {self.eager_ms:.2f} ms, compiled {self.compiled_ms:.2f} ms"
        )


def compare(plan: BlockPlan, artifact: Artifact, size: tuple[int, int, int]) -> Comparison:
    """Run one network both ways on the same random input."""
    from benchmarks.machine import median_seconds

    device = next(plan.module.parameters()).device
    results, times = [], []
    with torch.inference_mode():
        for compiled in (False, True):
            install.remove(plan.module)
            if compiled:
                install.apply(plan.name, plan.module, [artifact], strict=True)
            torch.manual_seed(0)
            results.append(flat(plan.example()))
            times.append(median_seconds(plan.example, device, rounds=3, warm_up=1) * 1e3)
    install.remove(plan.module)
    error = float((results[1] - results[0]).norm() / results[0].norm())
    label = "x".join(map(str, size))
    return Comparison(plan.name, artifact.key["precision"], label, error, *times)


def flat(result: object) -> torch.Tensor:
    """All numbers a network gave, as one vector."""
    return torch.cat([part.float().flatten() for part in tree_leaves(result) if isinstance(part, torch.Tensor)])


def sizes_to_try(plan: BlockPlan, config: ModelConfig) -> Iterator[tuple[int, int, int]]:
    """Sizes for `verify`: the model's own and those of `VERIFY_SIZES` that the graph serves."""
    own = (config.frames, config.height, config.width)
    low, high = plan.sizes.frames
    doubles = plan.batch_argument is not None and low < high
    for frames, height, width in dict.fromkeys((own, *VERIFY_SIZES)):
        served = max(low, MIN_BATCH) if frames == 1 and doubles else frames
        if plan.sizes.contains(served, height, width):
            yield frames, height, width


def build(args: argparse.Namespace) -> Networks:
    """Networks with random weights: a graph depends on their layout, not on their values."""
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    mode = probe_fp8(device) if args.fp8 == "auto" else None if args.fp8 == "none" else args.fp8
    networks = random_networks(config_of(args.model), device=device, dtype=dtype)
    fp8 = mode if args.fused else None
    return Variant(fused=args.fused, folded=args.folded, fp8=fp8, text_int8=args.text_int8).apply(networks)


def config_of(model: str) -> ModelConfig:
    """Sizes by a model's name, or from a `config.json`.

    Raises:
        CheckpointError: the file is no configuration.
        InputError: there is no such file.
    """
    if model == "full":
        return FULL
    if model == "nano":
        from flashworld.nano.package import nano_config

        return nano_config(NANO_DIR)
    try:
        return ModelConfig.from_json(Path(model).read_text())
    except OSError as error:
        raise InputError(f"--model must be full, nano or a config.json, got {model}: {error.strerror}") from error


def options_of(args: argparse.Namespace) -> CompileOptions:
    """Compiler settings."""
    return CompileOptions(args.inductor, args.attention)


def plans_of(args: argparse.Namespace, networks: Networks) -> list[BlockPlan]:
    """What to compile: every block asked for, for every size asked for."""
    sizes = [parse_sizes(text) for text in args.shapes.split(",")]
    return [plan_block(networks, name, size) for name in args.blocks.split(",") for size in sizes]


def parse_sizes(text: str) -> SizeRange:
    """Read one of --shapes: dynamic, or FRAMESxHEIGHTxWIDTH.

    Raises:
        InputError: neither.
    """
    if text == "dynamic":
        return EVERY_SIZE
    try:
        frames, height, width = (int(part) for part in text.lower().split("x"))
        return SizeRange.exactly(frames, height, width)
    except ValueError as error:
        raise InputError(f"--shapes must list dynamic or sizes such as 24x480x704, got {text!r}") from error


def describe(artifact: Artifact) -> dict[str, object]:
    """An entry in a few plain values."""
    size = sum(row["bytes"] for row in artifact.metadata["files"].values())
    return {
        "slug": artifact.slug,
        "key": artifact.key,
        "mb": size / 1e6,
        "seconds": artifact.metadata.get("seconds"),
        "attention": artifact.metadata.get("attention"),
    }
