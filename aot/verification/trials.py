"""Graphs of a store tried one after the other, and what was found out kept beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aot.artifacts import Artifact, ArtifactStore
from aot.compiler import Compiler
from aot.shapes import SizeRange
from aot.verification.comparison import Comparison
from aot.verification.records import Records
from aot.verification.runner import verify_graphs
from aot.verification.standins import Recipe
from aot.verification.verdict import EVERY_TRIAL, TRIALS_AT_START, Job


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
    """Try graphs and write down in the store's records what is found out.

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
    records = Records(store.root)
    rows: list[Comparison] = []
    problems: list[str] = []
    for (_, _, artifact), verdict in zip(graphs, verify_graphs(recipe, jobs), strict=True):
        for row in (Comparison(**row) for row in verdict.rows):
            note(str(row))
            rows.append(row)
        records.store(store, artifact, verdict, str(compiler) if compiler else None)
        if not verdict.verified:
            problems.append(f"{artifact.slug}: {verdict.reason}")
    return Trials(tuple(rows), tuple(problems))
