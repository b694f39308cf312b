"""Graphs of a store tried one after the other, and what was found out kept beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aot.artifacts import Artifact, ArtifactStore
from aot.compiler import Compiler
from aot.proof.comparison import Comparison
from aot.proof.ledger import Ledger
from aot.proof.prover import prove
from aot.proof.standins import Recipe
from aot.proof.verdicts import EVERY_TRIAL, TRIALS_AT_START, Job
from aot.shapes import SizeRange


@dataclass(frozen=True)
class Trials:
    """What trying graphs has shown.

    Attributes:
        rows: Every comparison with the eager network.
        problems: One sentence for each graph that may not serve.
    """

    rows: tuple[Comparison, ...]
    problems: tuple[str, ...]


def try_graphs(
    recipe: Recipe,
    store: ArtifactStore,
    graphs: Sequence[tuple[str, SizeRange, Artifact]],
    note: Callable[[str], None],
    *,
    compiler: Compiler | None = None,
    every_size: bool = False,
) -> Trials:
    """Try graphs and write down in the store's ledger what is found out.

    Args:
        recipe: Of the networks.
        store: Where the graphs are.
        graphs: Network, sizes, graph.
        note: Told every comparison.
        compiler: That has made them just now.
        every_size: Whether to try all sizes and time each three times.
    """
    most, rounds = (EVERY_TRIAL, 3) if every_size else (TRIALS_AT_START, 1)
    jobs = [Job(str(artifact.path), name, sizes, most, rounds) for name, sizes, artifact in graphs]
    ledger = Ledger(store.root)
    rows: list[Comparison] = []
    problems: list[str] = []
    for (_, _, artifact), verdict in zip(graphs, prove(recipe, jobs), strict=True):
        for row in (Comparison(**row) for row in verdict.rows):
            note(str(row))
            rows.append(row)
        ledger.settle(store, artifact, verdict, str(compiler) if compiler else None)
        if not verdict.proved:
            problems.append(f"{artifact.slug}: {verdict.reason}")
    return Trials(tuple(rows), tuple(problems))
