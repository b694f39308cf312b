"""Parts that compile and verify graphs, all by `python -m aot`, as an app does at its start."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aot.artifacts import ArtifactStore
from aot.shapes import EVERY_SIZE
from aot.startup import find
from benchmarks.gpu.run import Run
from flashworld.errors import CompiledBlockError

EIGHT_BIT = "transformer"


def compile_missing(run: Run) -> dict[str, object]:
    """Compile the graphs that are missing from the store."""
    found: dict[str, Any] = {}
    for name in run.blocks:
        try:
            artifact = find(run.networks, name, EVERY_SIZE, run.settings, ArtifactStore(run.args.graphs))
            found[name] = described(dict(artifact.metadata), "found")
        except CompiledBlockError:
            continue
    run.drop()
    return compile_together(run, [name for name in run.blocks if name not in found], (), found)


def static_graphs(run: Run) -> dict[str, object]:
    """Graphs for one size against those for every size, at that size."""
    networks = [name for name in run.blocks if name != "text_encoder"]  # its graph does not depend on the size
    shapes = "x".join(map(str, (run.config.frames, *run.size)))
    found = compile_together(run, networks, ("--shapes", shapes), {})
    if not networks or "error" in found:
        return found
    rows = {
        kind: verified(run, networks, ("--shapes", sizes))
        for kind, sizes in (("static", shapes), ("dynamic", "dynamic"))
    }
    same = {kind: [row for row in table if row["size"] == shapes] for kind, table in rows.items()}
    if not all(same.values()):
        raise CompiledBlockError(f"verify: expected rows for {shapes}, got {rows}")
    return found | {"rows": same}


def bfloat16_graph(run: Run) -> dict[str, object]:
    """The transformer compiled without FP8."""
    if EIGHT_BIT not in run.blocks:
        return {}
    found = compile_together(run, [EIGHT_BIT], ("--fp8", "none"), {})
    return found if "error" in found else found | {"rows": verified(run, [EIGHT_BIT], ("--fp8", "none"))}


def verify(run: Run) -> dict[str, object]:
    """Every graph against eager at several sizes: relative error, milliseconds."""
    return {"rows": verified(run, run.blocks, ())}


def compile_together(
    run: Run, networks: Sequence[str], options: Sequence[str], found: dict[str, Any]
) -> dict[str, object]:
    """Compile and verify networks by one command, as the app does at its start, and add a row for each to those found."""
    if not networks:
        return {"networks": found}
    start = time.perf_counter()
    done = aot(run, "compile", networks, options)
    result: dict[str, object] = {"networks": found, "wall_s": time.perf_counter() - start}
    for row in first_json(done.stdout).get("compiled", []):
        found[row["slug"].split("-")[0]] = described(row, "compiled")
    if done.returncode or not found.keys() >= set(networks):
        result["error"] = f"not compiled: exit {done.returncode}: {done.stderr[-800:]}"
    return result


def described(row: dict[str, Any], state: str) -> dict[str, Any]:
    """The report's row of a graph."""
    kept = {"state": state, "seconds": row.get("seconds"), "attention": row.get("attention")}
    if "mb" in row:
        return kept | {"mb": row["mb"]}
    return kept | {"mb": sum(entry["bytes"] for entry in row["files"].values()) / 1e6}


def verified(run: Run, networks: Sequence[str], options: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of `python -m aot verify`.

    Raises:
        CompiledBlockError: a graph is missing or wrong.
    """
    done = aot(run, "verify", networks, options)
    rows = first_json(done.stdout).get("rows", [])
    if done.returncode:
        run.keep(rows=rows)
        raise CompiledBlockError(f"verify: exit {done.returncode}: {done.stderr[-800:]}")
    return rows


def first_json(printed: str) -> dict[str, Any]:
    """The object that a command printed first: a second one, after its result, is an error."""
    return json.JSONDecoder().raw_decode(printed)[0] if printed.startswith("{") else {}


def aot(run: Run, command: str, networks: Sequence[str], options: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """`python -m aot COMMAND` for networks as the app runs them."""
    argv = [sys.executable, "-m", "aot", command, "--model", model_option(run), "--device", run.device.type]
    argv += ["--blocks", ",".join(networks), "--store", str(run.args.graphs), "--text-int8", "--json", *options]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def model_option(run: Run) -> str:
    """Name of the model, or a file with its sizes if it has no name on the command line."""
    if run.args.model in ("full", "nano"):
        return run.args.model
    path: Path = run.result.parent / f"{run.args.model}.config.json"
    path.write_text(run.config.to_json())
    return str(path)
