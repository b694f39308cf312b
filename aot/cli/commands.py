"""The commands of `python -m aot`: each takes parsed options and reports its result through `Output`."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch

from aot.artifacts import Artifact, ArtifactStore
from aot.blocks import BLOCKS, BlockPlan, plan_block
from aot.compile import CompileOptions, key_for
from aot.compiler import choose_compiler
from aot.gpu_work import compile_all
from aot.hub import open_place, pull, push
from aot.served_model import load_served
from aot.shapes import EVERY_SIZE, SizeRange
from aot.variants import Variant
from aot.verification.records import Records
from aot.verification.standins import Recipe
from aot.verification.trials import try_graphs
from flashworld.cli import batch
from flashworld.cli.output import Output
from flashworld.config import FULL, NANO_DIR, ModelConfig
from flashworld.errors import CompiledBlockError, InputError
from flashworld.models.fp8 import probe_fp8
from flashworld.models.networks import Networks


def compile_command(args: argparse.Namespace, output: Output) -> None:
    """Compile networks on this machine, verify the graphs and store them.

    Raises:
        CompiledBlockError: there is no usable compiler, or a graph could not be compiled or verified.
    """
    wanted = [(name, parse_sizes(text)) for name in blocks_of(args) for text in args.shapes.split(",")]
    recipe, store, compiler = recipe_of(args), ArtifactStore(args.store), choose_compiler()
    output.note(f"compiling {', '.join(f'{name} for {sizes.label}' for name, sizes in wanted)} with {compiler}")
    packages, failures = compile_all(recipe.blank, recipe, wanted)
    graphs = [(*one, package.save(store)) for one, package in packages.items()]
    problems = [f"{name} for {sizes.label}: {failure}" for (name, sizes), failure in failures.items()]
    problems += try_graphs(recipe, store, graphs, output.note, compiler=compiler).problems
    rows = [describe(artifact) for _, _, artifact in graphs]
    output.result({"compiled": rows}, "\n".join(f"{row['slug']}: {row['seconds']}, {row['mb']:.1f} MB" for row in rows))
    if problems:
        raise CompiledBlockError("; ".join(problems))


def batch_command(args: argparse.Namespace, output: Output) -> int:
    """Make every scene of a manifest as `flashworld batch` does, with compiled graphs on every worker."""
    return batch.run(args, output, load_served)


def list_command(args: argparse.Namespace, output: Output) -> None:
    """List the entries of a store or a place."""
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
        CompiledBlockError: a graph is missing or was set aside, or it crashes, or differs from eager by more than
            rounding and has therefore been set aside.
    """
    blocks_of(args)
    recipe, store = recipe_of(args), ArtifactStore(args.store)
    records = Records(store.root)
    graphs = []
    for plan in plans_of(args, recipe.stand_ins()):
        key = key_for(plan, recipe.options)
        try:
            graphs.append((plan.name, plan.sizes, store.load(key)))
        except CompiledBlockError as error:
            why = records.set_aside_for(store, key.slug)
            raise CompiledBlockError(f"{error}{f'; one was set aside: {why}' if why else ''}") from error
    trials = try_graphs(recipe, store, graphs, output.note, every_size=True)
    data: dict[str, object] = {"rows": [vars(row) for row in trials.rows]}
    output.result(data, "\n".join(map(str, trials.rows)))
    if trials.problems:
        raise CompiledBlockError("; ".join(trials.problems))


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
    """Build gsplat's wheel with its kernels, store it, and copy it to --out."""
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


def recipe_of(args: argparse.Namespace) -> Recipe:
    """The networks given by the options: a graph depends on their layout, not on their weights."""
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    mode = probe_fp8(device) if args.fp8 == "auto" else None if args.fp8 == "none" else args.fp8
    fp8 = mode if args.fused else None
    variant = Variant(fused=args.fused, sub_pixel=args.sub_pixel, fp8=fp8, text_int8=args.text_int8)
    return Recipe(config_of(args.model), variant, device.type, dtype, CompileOptions(args.inductor, args.attention))


def config_of(model: str) -> ModelConfig:
    """Sizes by a model's name, or from a `config.json`.

    Raises:
        CheckpointError: the file is not a configuration.
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


def blocks_of(args: argparse.Namespace) -> list[str]:
    """The networks of --blocks.

    Raises:
        InputError: there is no such network.
    """
    names = args.blocks.split(",")
    if unknown := {*names} - {*BLOCKS}:
        raise InputError(f"--blocks must be among {', '.join(BLOCKS)}, got {min(unknown)!r}")
    return names


def plans_of(args: argparse.Namespace, networks: Networks) -> list[BlockPlan]:
    """The graphs to compile: every requested block for every requested size."""
    sizes = [parse_sizes(text) for text in args.shapes.split(",")]
    return [plan_block(networks, name, size) for name in blocks_of(args) for size in sizes]


def parse_sizes(text: str) -> SizeRange:
    """Parse one of --shapes: dynamic, or FRAMESxHEIGHTxWIDTH.

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
    """A summary of an entry."""
    size = sum(row["bytes"] for row in artifact.metadata["files"].values())
    return {
        "slug": artifact.slug,
        "key": artifact.key,
        "mb": size / 1e6,
        "seconds": artifact.metadata.get("seconds"),
        "attention": artifact.metadata.get("attention"),
    }
